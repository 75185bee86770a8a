"""Samples of a normal distribution, differentiable by its parameters."""
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.functions._loss import expect_alike
from minichain.functions.exponential import exp
from minichain.type_check import expect_shape


def gaussian(mean, ln_var, *, eps=None, return_eps=False):
    """mean + exp(ln_var / 2) eps, with eps drawn from the standard normal distribution.

    Args:
        mean, ln_var: mean and logarithm of the variance, float, one shape and dtype.
        eps: the noise to use instead of drawing it, an array of the shape of ``mean``.
        return_eps: also return the noise.
    Raises:
        InvalidType: shapes or dtypes differ.
    Kingma, Welling 2013, "Auto-encoding variational Bayes", arXiv:1312.6114.
    """
    mean, ln_var = expect_alike('gaussian', mean=mean, ln_var=ln_var)
    if eps is None:
        eps = get_array_module(mean).random.standard_normal(mean.shape).astype(mean.dtype)
    eps = as_array(eps)
    expect_shape('gaussian', mean.shape, eps=eps)
    y = mean + exp(ln_var / 2) * eps
    return (y, eps) if return_eps else y

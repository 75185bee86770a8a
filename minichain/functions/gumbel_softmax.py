"""Samples of a categorical distribution, softened so that they are differentiable."""
from minichain.autograd import as_variable
from minichain.backend import get_array_module
from minichain.errors import InvalidArgument
from minichain.functions.softmax import softmax
from minichain.type_check import expect_float


def gumbel_softmax(log_pi, tau=0.1, axis=1):
    """softmax((log_pi + g) / tau), with g drawn from the standard Gumbel distribution.

    Args:
        log_pi: logarithms of the probabilities, up to a constant; float, with this axis.
        tau: temperature > 0; the lower, the closer are samples to one-hot vectors.
        axis: along which the samples sum to 1.
    Raises:
        InvalidType: ``log_pi`` is not float, or has no such axis.
        InvalidArgument: ``tau`` is not positive.
    Jang et al. 2016, "Categorical reparameterization with Gumbel-softmax", arXiv:1611.01144.
    """
    if not tau > 0:
        raise InvalidArgument(f'gumbel_softmax: tau > 0 expected, got {tau}')
    expect_float('gumbel_softmax', log_pi=log_pi)
    noise = get_array_module(log_pi).random.gumbel(size=log_pi.shape).astype(log_pi.dtype)
    return softmax((as_variable(log_pi) + noise) * (1 / tau), axis)

"""Negative log likelihoods of Bernoulli and normal variables, and a divergence of normal ones."""
import math

from minichain.functions._loss import expect_alike, expect_choice, reduced
from minichain.functions.exponential import exp
from minichain.functions.softplus import softplus

REDUCTIONS = ('sum', 'mean', 'no')


def bernoulli_nll(x, y, reduce='sum'):
    """Negative log likelihood of a Bernoulli variable with logit y:  log(1 + exp(y)) - x y.

    Args:
        x: values from 0 to 1, float, any shape.
        y: logits, same shape and dtype.
        reduce: 'sum', 'mean', or 'no' for all values.
    Raises:
        InvalidType: shapes or dtypes differ. InvalidArgument: unknown ``reduce``.
    """
    expect_choice('bernoulli_nll', 'reduce', reduce, REDUCTIONS)
    x, y = expect_alike('bernoulli_nll', x=x, y=y)
    return reduced(softplus(y) - x * y, reduce)


def gaussian_nll(x, mean, ln_var, reduce='sum'):
    """Negative log likelihood of a normal variable:  (log 2 pi + v + (x - m) ** 2 exp(-v)) / 2.

    Args:
        x: values, float, any shape.
        mean, ln_var: m and v, the logarithm of the variance; same shape and dtype.
        reduce: 'sum', 'mean', or 'no' for all values.
    Raises:
        InvalidType: shapes or dtypes differ. InvalidArgument: unknown ``reduce``.
    """
    expect_choice('gaussian_nll', 'reduce', reduce, REDUCTIONS)
    x, mean, ln_var = expect_alike('gaussian_nll', x=x, mean=mean, ln_var=ln_var)
    difference = x - mean
    losses = difference * difference * exp(-ln_var) + (ln_var + math.log(2 * math.pi))
    return reduced(losses / 2, reduce)


def gaussian_kl_divergence(mean, ln_var, reduce='sum'):
    """Kullback-Leibler divergence from the standard normal:  (m ** 2 + exp(v) - v - 1) / 2.

    Args:
        mean, ln_var: m and v, the logarithm of the variance; float, one shape and dtype.
        reduce: 'sum', 'mean', or 'no' for all values.
    Raises:
        InvalidType: shapes or dtypes differ. InvalidArgument: unknown ``reduce``.
    Kingma, Welling 2013, "Auto-encoding variational Bayes", arXiv:1312.6114.
    """
    expect_choice('gaussian_kl_divergence', 'reduce', reduce, REDUCTIONS)
    mean, ln_var = expect_alike('gaussian_kl_divergence', mean=mean, ln_var=ln_var)
    return reduced((mean * mean + exp(ln_var) - ln_var - 1) / 2, reduce)

"""Batch renormalization: batch statistics, corrected towards the running averages."""
import math

from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.errors import InvalidArgument
from minichain.functions.batch_normalization import (
    batch_normalization,
    compute_dtype,
    fixed_batch_normalization,
    normalized_axes,
    update_averages,
)

LABEL = 'batch_renormalization'


def batch_renormalization(x, gamma, beta, rmax, dmax, eps=2e-5, running_mean=None,
                          running_var=None, decay=0.9, update_statistics=False):
    """y = gamma (r (x - mean) / sqrt(var + eps) + d) + beta, with statistics of this batch.

    The constants r and d make the result what the running averages m, v would give, in bounds:

        r = clip(sqrt((var + eps) / (v + eps)), 1 / rmax, rmax)
        d = clip((mean - m) / sqrt(v + eps), -dmax, dmax)

    Args:
        x, gamma, beta, eps: as of :func:`batch_normalization`.
        rmax, dmax: bounds of the correction, rmax >= 1 and dmax >= 0.
        running_mean, running_var: m and v, arrays of the shape of ``gamma``; required.
        decay: weight of the past in these averages.
        update_statistics: change the averages in place, with the unbiased variance.
    Raises:
        InvalidType: shapes or dtypes do not fit.
        InvalidArgument: an average is missing.
    Ioffe 2017, "Batch renormalization", arXiv:1702.03275.
    """
    if running_mean is None or running_var is None:
        raise InvalidArgument(f'{LABEL}: running_mean and running_var expected, got None')
    m, v, values = as_array(running_mean), as_array(running_var), as_array(x)
    axes = normalized_axes(LABEL, x, gamma, None, beta=beta, running_mean=m, running_var=v)
    xp, dtype = get_array_module(values), compute_dtype(x, gamma)
    count = math.prod(x.shape[axis] for axis in axes)
    mean = values.sum(axis=axes, dtype=dtype, keepdims=True) / max(1, count)
    var = ((values - mean) ** 2).sum(axis=axes, dtype=dtype).reshape(m.shape) / max(1, count)
    mean = mean.reshape(m.shape)
    deviation = xp.sqrt(v + eps)
    r = xp.clip(xp.sqrt(var + eps) / deviation, 1 / rmax, rmax).astype(gamma.dtype)
    d = xp.clip((mean - m) / deviation, -dmax, dmax).astype(gamma.dtype)
    if update_statistics:
        update_averages(m, v, mean, var, count, decay)
    return batch_normalization(x, gamma * r, beta + gamma * d, eps=eps)


def fixed_batch_renormalization(x, gamma, beta, mean, var, eps=2e-5):
    """Batch renormalization with given statistics is :func:`fixed_batch_normalization`."""
    return fixed_batch_normalization(x, gamma, beta, mean, var, eps)

"""Normalization within each sample: of all its features, or of groups of channels."""
import functools
import math

from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.configuration import thread_state
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions._axis import sum_dtype
from minichain.functions.cast import cast
from minichain.functions.power import rsqrt
from minichain.functions.reshape import reshape
from minichain.functions.sum import sum
from minichain.gpu import normalization as by_kernels
from minichain.gpu.dispatch import fused
from minichain.type_check import expect_float, expect_ndim, expect_same_dtype, expect_shape


@fused(by_kernels.standardize)
def standardize(x, eps):
    """Return (x - mean) / sqrt(var + eps) along the last axis of an array, and the way back.

    Returns:
        (y, function from (x, gy) to the gradient of x).
    """
    xp, dtype, count = get_array_module(x), sum_dtype(x.dtype), max(1, x.shape[-1])
    y = xp.subtract(x, x.sum(axis=-1, dtype=dtype, keepdims=True) / count, dtype=dtype)
    var = (y * y).sum(axis=-1, keepdims=True) / count
    inverse_deviation = (var + eps) ** -.5
    y *= inverse_deviation
    y = y.astype(x.dtype, copy=False)
    return y, functools.partial(_way_back, y, inverse_deviation)


def _way_back(y, inverse_deviation, x, gy):
    gy, count = gy.astype(inverse_deviation.dtype, copy=False), max(1, x.shape[-1])
    return _gradient(y, inverse_deviation, gy,
                     lambda z: z.sum(axis=-1, keepdims=True) * (1 / count))


def _gradient(y, inverse_deviation, gy, mean):
    return (gy - mean(gy) - y * mean(gy * y)) * inverse_deviation


class Standardize(Primitive):
    """(x - mean) / sqrt(var + eps) along the last axis."""

    def __init__(self, eps):
        self.eps = eps

    def forward(self, arrays):
        self.retain_inputs((0,))
        y, self.gradient = standardize(arrays[0], self.eps)
        return y,

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        if thread_state.on_arrays:
            return self.gradient(x, grads[0]),
        dtype, axis, count = sum_dtype(x.dtype), x.ndim - 1, max(1, x.shape[-1])

        def mean(z):
            return sum(z, axis, keepdims=True) * (1 / count)
        centred = cast(x, dtype)
        centred = centred - mean(centred)
        inverse_deviation = rsqrt(mean(centred * centred) + self.eps)
        return _gradient(centred * inverse_deviation, inverse_deviation, cast(grads[0], dtype),
                         mean),


def layer_normalization(x, gamma, beta, eps=1e-5):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, with mean and variance of each row.

    Args:
        x: (N, K), float.
        gamma, beta: scale and shift, (K,), same dtype.
        eps: keeps the divisor from 0.
    Raises:
        InvalidType: shapes or dtypes do not fit.
    Ba et al. 2016, "Layer normalization", arXiv:1607.06450.
    """
    expect_ndim('layer_normalization', 2, x=x)
    expect_float('layer_normalization', x=x)
    expect_same_dtype('layer_normalization', x=x, gamma=gamma, beta=beta)
    expect_shape('layer_normalization', x.shape[1:], gamma=gamma, beta=beta)
    return Standardize(eps).apply((x,))[0] * gamma + beta


def group_normalization(x, groups, gamma, beta, eps=1e-5):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, with statistics of groups of channels.

    Args:
        x: (N, C, ...), float.
        groups: number of groups, a divisor of C.
        gamma, beta: scale and shift, (C,), same dtype.
        eps: keeps the divisor from 0.
    Raises:
        InvalidType: shapes or dtypes do not fit.
        InvalidArgument: ``groups`` does not divide C.
    Wu, He 2018, "Group normalization", arXiv:1803.08494.
    """
    label = 'group_normalization'
    if x.ndim < 2:
        raise InvalidType(f'{label}: x of shape (N, C, ...) expected, got {x.shape}')
    N, C, *positions = x.shape
    expect_float(label, x=x)
    expect_same_dtype(label, x=x, gamma=gamma, beta=beta)
    expect_shape(label, (C,), gamma=gamma, beta=beta)
    if groups < 1 or C % groups:
        raise InvalidArgument(f'{label}: groups that divide {C} channels expected, got {groups}')
    rows = reshape(x, (N, groups, C // groups * math.prod(positions)))
    y = reshape(Standardize(eps).apply((rows,))[0], x.shape)
    shape = (C, *(1 for _ in positions))
    return y * reshape(gamma, shape) + reshape(beta, shape)

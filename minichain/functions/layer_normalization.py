"""Normalization within each sample: of all its features, or of groups of channels."""
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
from minichain.type_check import expect_float, expect_ndim, expect_same_dtype, expect_shape


class Standardize(Primitive):
    """(x - mean) / sqrt(var + eps) along the last axis."""

    def __init__(self, eps):
        self.eps = eps

    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        xp, dtype, count = get_array_module(x), sum_dtype(x.dtype), max(1, x.shape[-1])
        y = xp.subtract(x, x.sum(axis=-1, dtype=dtype, keepdims=True) / count, dtype=dtype)
        var = (y * y).sum(axis=-1, keepdims=True) / count
        self.inverse_deviation = (var + self.eps) ** -.5
        y *= self.inverse_deviation
        self.y = y.astype(x.dtype, copy=False)
        return self.y,

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        dtype, count = sum_dtype(x.dtype), max(1, x.shape[-1])
        axis, gy = x.ndim - 1, cast(grads[0], dtype)

        def mean(z):
            return sum(z, axis, keepdims=True) * (1 / count)
        if thread_state.on_arrays:
            y, inverse_deviation = self.y, self.inverse_deviation
        else:
            centred = cast(x, dtype)
            centred = centred - mean(centred)
            inverse_deviation = rsqrt(mean(centred * centred) + self.eps)
            y = centred * inverse_deviation
        return (gy - mean(gy) - y * mean(gy * y)) * inverse_deviation,


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

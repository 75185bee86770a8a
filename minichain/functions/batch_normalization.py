"""Batch normalization with the statistics of the batch, and with fixed ones."""
import functools
import math

import numpy as np

from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module
from minichain.configuration import config, thread_state
from minichain.errors import InvalidType
from minichain.functions._axis import expect_axes, kept_shape, sum_dtype
from minichain.functions.cast import cast
from minichain.functions.power import rsqrt
from minichain.functions.reshape import reshape
from minichain.functions.sum import sum
from minichain.gpu import normalization as by_kernels
from minichain.gpu.dispatch import fused
from minichain.type_check import expect_float, expect_same_dtype, expect_shape, refuse_former


@fused(by_kernels.normalize_batch, accepts=by_kernels.are_channels)
def normalize_batch(x, gamma, beta, axes, eps):
    """Normalize an array by its own statistics.

    Returns:
        (y, mean, variance, function from (x, gamma, gy) to the gradients of x, gamma and beta).
    """
    xp, shape, dtype = get_array_module(x), kept_shape(x.shape, axes), compute_dtype(x, gamma)
    count = _count(x, axes)
    mean = x.sum(axis=axes, dtype=dtype, keepdims=True) / count
    normalized = xp.subtract(x, mean, dtype=dtype)
    var = (normalized * normalized).sum(axis=axes, keepdims=True) / count
    inverse_deviation = (var + eps) ** -.5
    normalized *= inverse_deviation
    y = normalized * gamma.reshape(shape)
    y += beta.reshape(shape)
    return (y.astype(x.dtype, copy=False), mean.reshape(gamma.shape), var.reshape(gamma.shape),
            functools.partial(_way_back, normalized, inverse_deviation, axes))


def _way_back(normalized, inverse_deviation, axes, x, gamma, gy):
    gy = gy.astype(normalized.dtype, copy=False)
    return _gradients(normalized, inverse_deviation, gamma, gy,
                      lambda z: z.sum(axis=axes, keepdims=True), _count(x, axes))


def _gradients(normalized, inverse_deviation, gamma, gy, total, count):
    """Return gradients of x, gamma and beta; ``total`` adds up over the axes of the statistics."""
    gbeta, ggamma = total(gy), total(gy * normalized)
    gx = gy - (gbeta + normalized * ggamma) * (1 / count)
    gx = gx * (gamma.reshape(inverse_deviation.shape) * inverse_deviation)
    return gx, ggamma.reshape(gamma.shape), gbeta.reshape(gamma.shape)


def _count(x, axes):
    return max(1, math.prod(x.shape[axis] for axis in axes))


class BatchNormalization(Primitive):
    """A recorded backward pass computes statistics and the normalized x again."""

    label = 'batch_normalization'

    def __init__(self, axes, eps):
        self.axes, self.eps = axes, eps

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        y, self.mean, self.var, self.gradients = normalize_batch(*arrays, self.axes, self.eps)
        return y,

    def backward(self, indexes, grads):
        x, gamma = self.get_retained_inputs()
        if thread_state.on_arrays:
            return self.gradients(x, gamma, grads[0])
        axes, count, dtype = self.axes, _count(x, self.axes), compute_dtype(x, gamma)

        def total(z):
            return sum(z, axes, keepdims=True)
        centred = cast(x, dtype)
        centred = centred - total(centred) * (1 / count)
        inverse_deviation = rsqrt(total(centred * centred) * (1 / count) + self.eps)
        return _gradients(centred * inverse_deviation, inverse_deviation, cast(gamma, dtype),
                          cast(grads[0], dtype), total, count)


@fused(by_kernels.normalize_by, accepts=by_kernels.are_channels)
def normalize_by(x, gamma, beta, mean, var, axes, eps):
    """Normalize an array by given statistics; all but x have the shape of ``gamma``."""
    shape, dtype = kept_shape(x.shape, axes), compute_dtype(x, gamma)
    y = get_array_module(x).subtract(x, mean.reshape(shape), dtype=dtype)
    y *= (gamma * (var.astype(dtype, copy=False) + eps) ** -.5).reshape(shape)
    y += beta.reshape(shape)
    return y.astype(x.dtype, copy=False)


class NormalizationForInference(Primitive):
    """In one pass, without a way back."""

    label = 'fixed_batch_normalization'

    def __init__(self, axes, eps):
        self.axes, self.eps = axes, eps

    def forward(self, arrays):
        return normalize_by(*arrays, self.axes, self.eps),


def compute_dtype(x, gamma):
    """Return the dtype to compute in: the wider one of both, and float32 for float16."""
    return sum_dtype(np.promote_types(x.dtype, gamma.dtype))


def normalized_axes(label, x, gamma, axis, **others):
    """Return the axes over which statistics are taken; the others are those of ``gamma``.

    Raises:
        InvalidType: ``gamma`` or one of ``others`` has another shape than these axes.
    """
    expect_float(label, x=x, gamma=gamma, **others)
    if axis is None:
        if x.ndim <= gamma.ndim:
            raise InvalidType(f'{label}: more axes of x than of gamma expected, got shapes '
                              f'{x.shape} and {gamma.shape}')
        axes = (0, *range(gamma.ndim + 1, x.ndim))
    else:
        axes = expect_axes(label, axis, x.ndim)
    expect_shape(label, tuple(n for i, n in enumerate(x.shape) if i not in axes), gamma=gamma,
                 **others)
    return axes


def update_averages(running_mean, running_var, mean, var, count, decay):
    """Move the averages, changed in place, towards the statistics of ``count`` elements.

    The variance of the whole population is estimated: by count - 1.
    """
    for average, new in ((running_mean, mean), (running_var, var * (count / max(1, count - 1)))):
        if average is not None and count:
            average *= decay
            average += ((1 - decay) * new.reshape(average.shape)).astype(average.dtype)


def batch_normalization(x, gamma, beta, *, eps=2e-5, running_mean=None, running_var=None,
                        decay=0.9, axis=None, **former):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, with mean and variance of this batch.

    Args:
        x: (N, C, ...), float.
        gamma, beta: scale and shift, (C,) or more axes after the first of ``x``, float, one dtype.
        eps: keeps the divisor from 0.
        running_mean, running_var: arrays of the shape of ``gamma`` that are changed in place:
            r <- decay r + (1 - decay) new, with the unbiased variance. None: not kept.
        decay: weight of the past in these averages.
        axis: int or tuple of ints, the axes over which statistics are taken, so that ``gamma``
            has the others; None: the first and all behind those of ``gamma``.
    Returns:
        the shape and dtype of ``x``. float16 is computed in float32.
    Raises:
        InvalidType: shapes or dtypes do not fit.
    Ioffe, Szegedy 2015, "Batch normalization", arXiv:1502.03167.
    """
    label = 'batch_normalization'
    if former:
        refuse_former(label, former)
    averages = {name: as_array(average) for name, average in (
        ('running_mean', running_mean), ('running_var', running_var)) if average is not None}
    axes = normalized_axes(label, x, gamma, axis, beta=beta, **averages)
    expect_same_dtype(label, gamma=gamma, beta=beta)
    function = BatchNormalization(axes, eps)
    y, = function.apply((x, gamma, beta))
    update_averages(averages.get('running_mean'), averages.get('running_var'), function.mean,
                    function.var, math.prod(x.shape[axis] for axis in axes), decay)
    return y


def fixed_batch_normalization(x, gamma, beta, mean, var, eps=2e-5, axis=None):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, with given mean and variance.

    Args:
        x, gamma, beta, eps, axis: as of :func:`batch_normalization`.
        mean, var: the shape and dtype of ``gamma``.
    Returns:
        the shape and dtype of ``x``.
    Raises:
        InvalidType: shapes or dtypes do not fit.
    """
    label = 'fixed_batch_normalization'
    axes = normalized_axes(label, x, gamma, axis, beta=beta, mean=mean, var=var)
    expect_same_dtype(label, gamma=gamma, beta=beta, mean=mean, var=var)
    if not config.enable_backprop and not thread_state.function_hooks:   # nobody looks at steps
        return NormalizationForInference(axes, eps).apply((x, gamma, beta, mean, var))[0]
    shape, dtype = kept_shape(x.shape, axes), compute_dtype(x, gamma)
    gamma, beta, mean, var = (cast(reshape(each, shape), dtype)
                              for each in (gamma, beta, mean, var))
    y = (cast(x, dtype) - mean) * (gamma * rsqrt(var + eps)) + beta
    return cast(y, x.dtype)

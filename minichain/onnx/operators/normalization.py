"""Normalization: over the batch, within each sample, and across channels."""
import math

import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.errors import DataError
from minichain.functions.average_pooling import average_windows
from minichain.functions.layer_normalization import Standardize
from minichain.functions.windows import Windows
from minichain.onnx.budget import current
from minichain.onnx.operators.geometry import TAP
from minichain.onnx.operators.values import normalize_axes, normalize_axis, root


def is_training(node):
    """Whether BatchNormalization takes the statistics of the batch.

    Before operator set 14 the statistics being asked for says so.
    """
    if node.opset >= 14:
        return bool(node.get('training_mode'))
    return not node.get('is_test') and any(node.outputs[1:])


def batch_normalization(node, x, scale, b, mean, var):
    if x.ndim < 2:      # one channel
        y = batch_normalization(node, F.reshape(x, (-1, 1)), scale, b, mean, var)
        y, *statistics = y if isinstance(y, tuple) else (y,)
        return (F.reshape(y, x.shape), *statistics)
    eps, axis = node.get('epsilon', 1e-5), None
    if node.opset < 9 and not node.get('spatial', 1):
        axis = (0,)     # every pixel is a channel
        scale, b, mean, var = (F.reshape(each, x.shape[1:]) for each in (scale, b, mean, var))
    dtype, kept = np.promote_types(scale.dtype, mean.dtype), mean.dtype
    scale, b, mean, var = (each if each.dtype == dtype else each.astype(dtype)
                           for each in (scale, b, mean, var))
    if not is_training(node):
        return F.fixed_batch_normalization(x, scale, b, mean, var, eps, axis)
    y = F.batch_normalization(x, scale, b, eps=eps, axis=axis)
    wide, keep = as_array(x).astype('float64'), node.get('momentum', .9)
    axes = tuple(i for i in range(x.ndim) if i == 0 or axis is None and i > 1)
    new_mean, new_var = wide.mean(axis=axes), wide.var(axis=axes)
    running = tuple((as_array(old) * keep + new * (1 - keep)).astype(kept)
                    for old, new in ((mean, new_mean), (var, new_var)))
    if node.opset >= 14:
        return y, *running
    return y, *running, new_mean.astype(kept), new_var.astype(kept)


def by_rows(x, axis, function):
    """Applies a function of (rows, features) to x, the axes from `axis` on being the features."""
    shape = x.shape
    rows = F.reshape(x, (math.prod(shape[:axis]), math.prod(shape[axis:])))
    return F.reshape(function(rows), shape)


def standardized(x, axis, eps):
    """(x - mean) / sqrt(var + eps) over the axes from `axis` on."""
    return by_rows(x, axis, lambda rows: Standardize(eps).apply((rows,))[0])


def wide(node, x):
    """x in the type to compute in: at least float32, unless `stash_type` says otherwise."""
    return F.cast(x, 'float32') if x.dtype == 'float16' and node.get('stash_type', 1) == 1 else x


def scaled(y, scale, b=None):
    """y in the type of `scale`, then times it, plus b."""
    y = F.cast(y, scale.dtype) * scale
    return y if b is None else y + b


def instance_normalization(node, x, scale, b):
    if x.ndim < 3 or scale.shape != x.shape[1:2]:
        raise DataError(f'an input (N, C, ...) and scales for its channels expected, got '
                        f'{x.shape} and {scale.shape}')
    shape = (-1, *[1] * (x.ndim - 2))
    y = standardized(wide(node, x), 2, node.get('epsilon', 1e-5))
    return scaled(y, F.reshape(scale, shape), F.reshape(b, shape))


def layer_normalization(node, x, scale, b=None):
    axis, eps = normalize_axis(node.get('axis', -1), x.ndim), node.get('epsilon', 1e-5)
    z = wide(node, x)
    y = scaled(standardized(z, axis, eps), scale, b)
    if not any(node.outputs[1:]):
        return y
    axes = tuple(range(axis, x.ndim))
    mean = F.mean(z, axis=axes, keepdims=True)
    centred = z - mean
    var = F.mean(centred * centred, axis=axes, keepdims=True)
    dtype = 'float32' if node.get('stash_type', 1) == 1 else x.dtype
    return y, F.cast(mean, dtype), F.cast(F.rsqrt(var + eps), dtype)


def group_normalization(node, x, scale, b):
    groups, channels = node.require('num_groups'), x.shape[1]
    if groups < 1 or channels % groups:
        raise DataError(f'num_groups that divide {channels} channels expected, got {groups}')
    if node.opset < 21:     # a scale for each group
        scale, b = (F.repeat(each, channels // groups, axis=0) for each in (scale, b))
    grouped = F.reshape(wide(node, x), (len(x), groups, -1) if x.size else (len(x), groups, 0))
    y = F.reshape(standardized(grouped, 2, node.get('epsilon', 1e-5)), x.shape)
    shape = (-1, *[1] * (x.ndim - 2))
    return scaled(y, F.reshape(scale, shape), F.reshape(b, shape))


def rms_normalization(node, x, scale):
    axis, eps = normalize_axis(node.get('axis', -1), x.ndim), node.get('epsilon', 1e-5)
    z = wide(node, x)
    mean = F.mean(z * z, axis=tuple(range(axis, x.ndim)), keepdims=True)
    return scaled(z * F.rsqrt(mean + eps), scale)


def lrn(node, x):
    size, bias = node.require('size'), node.get('bias', 1.)
    alpha, beta = node.get('alpha', 1e-4) / size, node.get('beta', .75)
    current().work(TAP * x.size * min(size, 2 * x.shape[1] + 1))
    if size % 2 and bias > 0:
        return F.local_response_normalization(x, min(size, 2 * x.shape[1] + 1), bias, alpha, beta)
    shape = (x.shape[1], math.prod(x.shape[2:]))    # an even size has more channels behind
    reach = min(size, 2 * shape[0] + size % 2)
    windows = Windows(shape, (reach, 1), (1, 1), ((reach - 1) // 2, 0), (1, 1), shape)
    squares = F.reshape(x * x, (len(x), 1, *shape))
    sums = F.reshape(average_windows(squares, windows, None), x.shape)
    return x * (bias + alpha * sums) ** -beta


def lp_normalization(node, x):
    axis, p = normalize_axis(node.get('axis', -1), x.ndim), node.get('p', 2)
    if p not in (1, 2):
        raise DataError(f'p: 1 or 2 expected, got {p}')
    sums = F.sum(abs(x) if p == 1 else x * x, axis=axis, keepdims=True)
    empty = as_array(sums) == 0     # stays zero
    sums = sums + empty.astype(x.dtype)
    return x / (sums if p == 1 else F.sqrt(sums))


def mean_variance_normalization(node, x):
    if node.opset < 9:
        axes = tuple(range(1 if node.get('across_channels') else 2, x.ndim))
    else:
        axes = normalize_axes(node.get('axes', (0, 2, 3)), x.ndim)
    centred = x - F.mean(x, axis=axes, keepdims=True)
    if node.opset < 9 and not node.get('normalize_variance', 1):
        return centred
    deviation = root(F.mean(centred * centred, axis=axes, keepdims=True))
    return centred / (deviation + 1e-9)


OPERATORS = {
    'BatchNormalization': batch_normalization,
    'GroupNormalization': group_normalization,
    'InstanceNormalization': instance_normalization,
    'LRN': lrn,
    'LayerNormalization': layer_normalization,
    'LpNormalization': lp_normalization,
    'MeanVarianceNormalization': mean_variance_normalization,
    'RMSNormalization': rms_normalization,
}

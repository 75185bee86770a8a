"""Caffe's layers with weights: convolution, inner product, normalization, scales, embedding."""

import itertools
import math

import numpy as np

import minichain.functions as F
from minichain.caffe.geometry import MAX_SPATIAL_AXES, canonical, expect_image, planned, spatial
from minichain.errors import DataError
from minichain.functions.windows import get_conv_outsize, get_deconv_outsize


class Statistics:
    """A weight that is saved but not trained."""

    def __init__(self, array):
        self.array = array


def expect_blobs(blobs, count):
    if len(blobs) != count:
        raise DataError(f'{count} blobs of weights expected, the file has {len(blobs)}')


def shaped(array, shape, name):
    """A weight in the shape that is asked for.

    Old files have axes of length 1 in front, or state no shape, which makes an array of one axis.
    """
    same = without_lead(array.shape) == without_lead(shape)
    if array.size != math.prod(shape) or not same and array.ndim != 1:
        raise DataError(f'{name} of shape {shape} expected, the file has {array.shape}')
    return array.reshape(shape)


def without_lead(shape):
    """A shape without the ones at its beginning."""
    return tuple(itertools.dropwhile(lambda length: length == 1, shape))


def along(x, axis, weight):
    """A weight, broadcast to x from the given axis of x on."""
    axis = canonical(axis, x.ndim, allow_end=weight.ndim == 0)
    shape = (1,) * axis + weight.shape + (1,) * (x.ndim - axis - weight.ndim)
    return F.broadcast_to(F.reshape(weight, shape), x.shape)


def convolution(layer, blobs):
    p, ndim = layer.convolution_param, spatial_axes(layer, blobs)
    ksize, stride, pad, dilate = (
        spatial(p, name, default, ndim) for name, default in (
            ('kernel_size', None), ('stride', 1), ('pad', 0), ('dilation', 1)))
    transposed, outputs = layer.type == 'Deconvolution', p.num_output
    depthwise = layer.type in ('ConvolutionDepthwise', 'DepthwiseConvolution')
    groups = p.group if 'group' in p or not depthwise else outputs
    if not outputs or not groups or outputs % groups:
        raise DataError(f'num_output, a multiple of group, expected, got {outputs} and {groups}')
    expect_blobs(blobs, 1 + p.bias_term)
    inner = blobs[0].size // math.prod(ksize)
    shape = (inner * groups // outputs, outputs // groups) if transposed else (
        outputs, inner // outputs)
    weights = {'W': shaped(blobs[0], (*shape, *ksize), 'W')}
    if p.bias_term:
        weights['b'] = shaped(blobs[1], (outputs,), 'b')

    def lead_of(shape):
        """The axes in front of the channels; Caffe takes any number of them."""
        axis = canonical(p.axis, len(shape))
        if len(shape) - axis != ndim + 1:
            raise DataError(f'an input with channels and {ndim} axes from axis {axis} on '
                            f'expected, got {shape}')
        return shape[:axis]

    def forward(x, W, b=None):
        lead = lead_of(x.shape)
        x = F.reshape(x, (math.prod(lead), *x.shape[len(lead):]))
        expect_image(x, ndim)
        y = (F.deconvolution_nd if transposed else F.convolution_nd)(
            x, W, b, stride, pad, dilate=dilate, groups=groups)
        return F.reshape(y, (*lead, *y.shape[1:]))

    def plan(shape):
        lead = lead_of(shape)
        channels, size = shape[len(lead)], shape[len(lead) + 1:]
        outsize = get_deconv_outsize if transposed else get_conv_outsize
        out = tuple(outsize(n, k, s, q, False, d) for n, k, s, q, d in zip(
            size, ksize, stride, pad, dilate))
        spread = transposed and max(stride) > 1
        columns = math.prod(ksize) * (outputs * math.prod(size) if spread else
                                      channels * math.prod(out))
        padded = channels * math.prod(n + 2 * max(q, d * (k - 1) * transposed)
                                      for n, k, q, d in zip(size, ksize, pad, dilate))
        return (*lead, outputs, *out), columns + padded
    return planned(forward, plan), weights


def spatial_axes(layer, blobs):
    """How many spatial axes a convolution has: old files do not say so of two."""
    p = layer.convolution_param
    given = max(len(p.get(name, ())) for name in ('kernel_size', 'stride', 'pad', 'dilation'))
    if 'kernel_h' in p or 'kernel_w' in p:
        return 2
    ndim = given if given > 1 else max(blobs[0].ndim - 2, 2) if blobs else 2
    if ndim > MAX_SPATIAL_AXES:
        raise DataError(f'at most {MAX_SPATIAL_AXES} spatial axes expected, got {ndim}')
    return ndim


def inner_product(layer, blobs):
    p = layer.inner_product_param
    expect_blobs(blobs, 1 + p.bias_term)
    outputs = p.num_output
    if not outputs:
        raise DataError('num_output above 0 expected')
    inputs = blobs[0].size // outputs
    shape = (inputs, outputs) if p.transpose else (outputs, inputs)
    weights = {'W': shaped(blobs[0], shape, 'W')}
    if p.bias_term:
        weights['b'] = shaped(blobs[1], (outputs,), 'b')

    def forward(x, W, b=None):
        lead = x.shape[:canonical(p.axis, x.ndim)]
        x = F.reshape(x, (math.prod(lead), math.prod(x.shape[len(lead):])))
        y = F.linear(x, F.transpose(W) if p.transpose else W, b)
        return F.reshape(y, (*lead, outputs))

    def plan(shape):
        return (*shape[:canonical(p.axis, len(shape))], outputs), 0
    return planned(forward, plan), weights


def batch_norm(layer, blobs):
    """Mean, variance and what both are divided by; or, in one fork, scale and bias, too.

    That fork, NVIDIA's, divides by nothing.
    """
    p = layer.batch_norm_param
    affine = len(blobs) == 5 or p.scale_bias or 'scale_filler' in p or 'bias_filler' in p
    expect_blobs(blobs, 5 if affine else 3)
    mean, variance, factor, *affine = (blob.ravel() for blob in blobs)
    if len(mean) != len(variance) or len(factor) != 1:
        raise DataError('mean and variance of one length and one factor expected, got '
                        f'{len(mean)}, {len(variance)} and {len(factor)}')
    factor = 1 if affine else 0 if factor[0] == 0 else 1 / factor[0]
    statistics = {'avg_mean': Statistics(mean * factor), 'avg_var': Statistics(variance * factor)}

    def forward(x, avg_mean, avg_var, W=None, b=None):
        if 'use_global_stats' in p and not p.use_global_stats:
            x = by_own_statistics(x, p.eps)
        else:
            deviation = (avg_var + avg_var.dtype.type(p.eps)) ** 0.5
            x = (x - along(x, 1, avg_mean)) * along(x, 1, 1 / deviation)
        return x if W is None else x * along(x, 1, W) + along(x, 1, b)
    return forward, {**statistics, **dict(zip('Wb', affine))}


def by_own_statistics(x, eps):
    """x with mean 0 and variance 1, but for eps, in each channel."""
    axes = (0, *range(2, x.ndim))
    x = x - F.broadcast_to(F.mean(x, axes, keepdims=True), x.shape)
    return x * F.broadcast_to(F.rsqrt(F.mean(x * x, axes, keepdims=True) + eps), x.shape)


def merged_batch_norm(layer, blobs):
    """`BN` of two forks: SegNet's scale and shift, or scale, shift, mean and variance."""
    p = layer.bn_param
    if len(blobs) not in (2, 4) or len(blobs) == 2 and p.bn_mode != 'INFERENCE':
        raise DataError('2 blobs and bn_mode: INFERENCE, or 4 blobs, expected, the file has '
                        f'{len(blobs)} and {p.bn_mode}')
    if any(blob.shape.count(1) < blob.ndim - 1 for blob in blobs):
        raise DataError('blobs (C,) or (1, C, 1, 1) expected, the file has '
                        f'{", ".join(str(blob.shape) for blob in blobs)}')
    W, b, *statistics = (blob.ravel() for blob in blobs)
    weights = {'W': W, 'b': b, **{name: Statistics(array) for name, array in zip(
        ('avg_mean', 'avg_var'), statistics)}}

    def forward(x, W, b, avg_mean=None, avg_var=None):
        if avg_mean is not None:
            deviation = (avg_var + avg_var.dtype.type(p.eps)) ** 0.5
            x = (x - along(x, 1, avg_mean)) * along(x, 1, 1 / deviation)
        return x * along(x, 1, W) + along(x, 1, b)
    return forward, weights


def scale(layer, blobs):
    p = layer.scale_param
    filler = p.filler
    if (len(layer.bottom), len(blobs), p.bias_term) == (1, 0, False) and (
            filler.type in ('', 'constant') and 'value' in filler and filler.value not in (0, 1)):
        return lambda x: x * filler.value       # a factor that the file of weights need not have
    if len(layer.bottom) == 2:
        expect_blobs(blobs, int(p.bias_term))
        weights = {'b': blobs[0]} if p.bias_term else {}
    else:
        expect_blobs(blobs, 1 + p.bias_term)
        weights = dict(zip('Wb', blobs))
    weights = affine_shapes(p, weights)

    def forward(x, y=None, W=None, b=None):
        z = x * along(x, p.axis, W if y is None else y)
        return z if b is None else z + along(x, p.axis, b)
    return forward, weights


def bias(layer, blobs):
    p = layer.bias_param
    expect_blobs(blobs, 2 - len(layer.bottom))

    def forward(x, y=None, b=None):
        return x + along(x, p.axis, b if y is None else y)
    return forward, affine_shapes(p, dict(zip('b', blobs)))


def affine_shapes(p, weights):
    """Weights without the axes of length 1 that old files put in front."""
    def trimmed(name, array):
        if p.num_axes < 0 or array.ndim <= p.num_axes:
            return array
        return shaped(array, array.shape[array.ndim - p.num_axes:], name)
    return {name: trimmed(name, array) for name, array in weights.items()}


def prelu(layer, blobs):
    expect_blobs(blobs, 1)
    W = shaped(blobs[0], () if layer.prelu_param.channel_shared else (blobs[0].size,), 'W')

    return F.prelu, {'W': W}


def embed(layer, blobs):
    p = layer.embed_param
    expect_blobs(blobs, 1 + p.bias_term)
    weights = {'W': shaped(blobs[0], (p.input_dim, p.num_output), 'W')}
    if p.bias_term:
        weights['b'] = shaped(blobs[1], (p.num_output,), 'b')

    def forward(x, W, b=None):
        if not bool(((x.array >= 0) & (x.array < p.input_dim)).all()):
            raise DataError(f'numbers from 0 to {p.input_dim - 1} expected')
        y = F.embed_id(x.array.astype(np.int32), W)
        return y if b is None else y + along(y, -1, b)
    return planned(forward, lambda shape: ((*shape, p.num_output), 0)), weights


def parameter(layer, blobs):
    expect_blobs(blobs, 1)
    W = shaped(blobs[0], tuple(layer.parameter_param.shape.dim) or blobs[0].shape, 'W')
    return lambda W: W, {'W': W}

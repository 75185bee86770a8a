"""Caffe's layers with weights: convolution, inner product, normalization, scales, embedding."""

import math

import numpy as np

import minichain.functions as F
from minichain.caffe.geometry import canonical, expect_image, expect_size, spatial
from minichain.errors import DataError


class Statistics:
    """A weight that is saved but not trained."""

    def __init__(self, array):
        self.array = array


def expect_blobs(blobs, count):
    if len(blobs) != count:
        raise DataError(f'{count} blobs of weights expected, the file has {len(blobs)}')


def shaped(array, shape, name):
    """A weight in the shape that is asked for; old files have axes of length 1 in front."""
    if array.size != math.prod(shape):
        raise DataError(f'{name} of shape {shape} expected, the file has {array.shape}')
    return array.reshape(shape)


def along(x, axis, weight):
    """A weight, broadcast to x from the given axis of x on."""
    axis = canonical(axis, x.ndim, allow_end=weight.ndim == 0)
    shape = (1,) * axis + weight.shape + (1,) * (x.ndim - axis - weight.ndim)
    return F.broadcast_to(F.reshape(weight, shape), x.shape)


def convolution(layer, blobs):
    p = layer.convolution_param
    ksize, stride, pad, dilate = (
        spatial(p, name, default) for name, default in (
            ('kernel_size', None), ('stride', 1), ('pad', 0), ('dilation', 1)))
    transposed, outputs, groups = layer.type == 'Deconvolution', p.num_output, p.group
    if p.axis != 1 or not outputs or not groups or outputs % groups:
        raise DataError('axis 1 and num_output, a multiple of group, expected, got axis '
                        f'{p.axis}, num_output {outputs}, group {groups}')
    expect_blobs(blobs, 1 + p.bias_term)
    inner = blobs[0].size // math.prod(ksize)
    shape = (inner * groups // outputs, outputs // groups) if transposed else (
        outputs, inner // outputs)
    weights = {'W': shaped(blobs[0], (*shape, *ksize), 'W')}
    if p.bias_term:
        weights['b'] = shaped(blobs[1], (outputs,), 'b')

    def forward(x, W, b=None):
        expect_image(x)
        sizes = zip(x.shape[2:], ksize, stride, pad, dilate)
        if transposed:
            expect_size(x, outputs, *(s * (n - 1) + d * (k - 1) + 1 - 2 * q
                                      for n, k, s, q, d in sizes))
            return F.deconvolution_2d(x, W, b, stride, pad, dilate=dilate, groups=groups)
        expect_size(x, outputs, *((n + 2 * q - d * (k - 1) - 1) // s + 1
                                  for n, k, s, q, d in sizes))
        return F.convolution_2d(x, W, b, stride, pad, dilate=dilate, groups=groups)
    return forward, weights


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
    return forward, weights


def batch_norm(layer, blobs):
    p = layer.batch_norm_param
    expect_blobs(blobs, 3)
    mean, variance, factor = (blob.ravel() for blob in blobs)
    if len(mean) != len(variance) or len(factor) != 1:
        raise DataError('mean and variance of one length and one factor expected, got '
                        f'{len(mean)}, {len(variance)} and {len(factor)}')
    factor = 0 if factor[0] == 0 else 1 / factor[0]
    statistics = {'avg_mean': Statistics(mean * factor), 'avg_var': Statistics(variance * factor)}

    def forward(x, avg_mean, avg_var):
        deviation = (avg_var + avg_var.dtype.type(p.eps)) ** 0.5
        return (x - along(x, 1, avg_mean)) * along(x, 1, 1 / deviation)
    return forward, statistics


def scale(layer, blobs):
    p = layer.scale_param
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
        y = F.embed_id(x.array.astype(np.int32), W)
        return y if b is None else y + along(y, -1, b)
    return forward, weights

"""The functions that a device computes on images with channels last, and how.

Each of WAYS, by the kind of a step, takes a step, its graph, the numbers of its operands that are
no constants, and the dtype in which images are stored. It returns ``fill(y, first, *images)``, or
None if this step is not for it. Images and y are (N, H, W, C). What is computed are the channels
of y from ``first`` on; of the kinds OF_PARTS, of those of the first image from ``begin`` on, a
further argument. Otherwise both are 0, and there are no other channels.
"""
import math

import numpy as np

from minichain.backend import get_array_module
from minichain.functions.average_pooling import AveragePooling
from minichain.functions.convolution import Convolution
from minichain.functions.linear import Linear
from minichain.functions.local_response_normalization import LocalResponseNormalization
from minichain.functions.max_pooling import MaxPooling
from minichain.functions.mean import Mean
from minichain.functions.operators import Add, AddConstant, Div, Mul, MulConstant, Sub
from minichain.functions.relu import ClippedReLU, LeakyReLU, ReLU
from minichain.functions.sigmoid import Sigmoid
from minichain.functions.windows import Windows
from minichain.gpu.casts import as_stored
from minichain.gpu.channelwise import add, multiply, scale_channels
from minichain.gpu.convolution_channels_last import Filters, convolve
from minichain.gpu.depthwise_channels_last import depthwise_channels_last
from minichain.gpu.lrn_channels_last import lrn_channels_last
from minichain.gpu.pooling import counts_padding
from minichain.gpu.pooling_channels_last import (
    max_pooling_channels_last,
    mean_pooling_channels_last,
)
from minichain.inference.device_rewriting import READERS, SumWithConvolution, Swish
from minichain.inference.graph import Turned


def _are_parameters(graph, numbers):
    return all(n in graph.constants and graph.constants[n].dtype == np.float32 for n in numbers)


def _convolution(step, graph, images, dtype):
    sums = step.kind is SumWithConvolution      # its last operand is no parameter
    function = step.function.convolution if sums else step.function
    windows, groups = function.windows, function.groups
    parameters = step.operands[1:len(step.operands) - sums]
    if len(windows.size) != 2 or not _are_parameters(graph, parameters):
        return None
    W, *b = (graph.constants[number] for number in parameters)
    if W.shape[1] == 1 < groups:
        return _depthwise(W, b[0] if b else None, windows, groups, dtype, step.relu)
    return _product(Filters(W, b[0] if b else None, windows, groups, dtype, step.relu))


def _linear(step, graph, images, dtype):
    if not _are_parameters(graph, step.operands[1:]):
        return None
    W, *b = (graph.constants[number] for number in step.operands[1:])
    W = W.T if step.kind is Turned else W
    pixel = Windows((1, 1), (1, 1), (1, 1), (0, 0), (1, 1), (1, 1))
    return _product(Filters(W[:, :, None, None], b[0] if b else None, pixel, 1, dtype, step.relu))


def _product(filters):
    return lambda y, first, x, *addend, begin=0: convolve(x, filters, y, first, begin, *addend)


def _depthwise(W, b, windows, groups, dtype, relu):
    W, M = as_stored(W[:, 0].transpose(1, 2, 0), dtype), len(W) // groups
    b = None if b is None else as_stored(b, dtype)
    return lambda y, first, x, begin=0: depthwise_channels_last(
        x, W, b, y, windows, M, first, relu, begin)


def _maximum(step, graph, images, dtype):
    windows, relu = step.function.windows, step.relu
    if len(windows.size) != 2 or windows.dilate != (1, 1):
        return None
    C = graph.examples[images[0]].shape[1]
    return lambda y, first, x, begin=0: max_pooling_channels_last(
        x, y, *windows[1:4], first, relu, begin, C)


def _mean(step, graph, images, dtype):
    windows, relu, divisor = step.function.windows, step.relu, step.function.divisor
    if len(windows.size) != 2 or windows.dilate != (1, 1) or divisor is None:
        return None
    counts = counts_padding(windows, divisor)
    if counts is None:
        return None
    C = graph.examples[images[0]].shape[1]
    return lambda y, first, x, begin=0: mean_pooling_channels_last(
        x, y, *windows[1:4], first, relu, begin, C, counts)


def _mean_of_all(step, graph, images, dtype):
    shape, axes, relu = graph.examples[images[0]].shape, step.function.axes, step.relu
    if len(shape) != 4 or sorted(axes) != [2, 3]:
        return None
    how = shape[2:], (1, 1), (0, 0)
    return lambda y, first, x, begin=0: mean_pooling_channels_last(
        x, y, *how, first, relu, begin, shape[1])


def _normalization(step, graph, images, dtype):
    function = step.function
    numbers = function.n, function.k, function.alpha, function.beta
    rectify = _activation(graph, step, 'clip') if step.relu else None

    def fill(y, first, x):
        lrn_channels_last(x, y, *numbers)
        if rectify:
            rectify(y, first, y)
    return fill


def _arithmetic(step, graph, images, dtype):
    shapes, relu = [graph.examples[number].shape for number in images], step.relu
    if len(images) == 1:
        shape = graph.examples[step.results[0]].shape
        change = graph.change(step, images[0], shape[1]) if shapes == [shape] else None
        return change and _scaling(graph, step, *change, 'clip' if relu else None)
    if step.kind is Add and shapes[0] == shapes[1]:
        return lambda y, first, a, b: add(a, b, y, relu)
    larger, smaller = sorted(shapes, key=math.prod, reverse=True)
    if step.kind is not Mul or relu or smaller not in (larger, (*larger[:2], 1, 1)):
        return None
    turned = shapes[0] != larger
    return lambda y, first, a, b: multiply(b, a, y) if turned else multiply(a, b, y)


def _activation(graph, step, name, number=math.inf):
    channels = graph.examples[step.results[0]].shape[1]
    return _scaling(graph, step, np.ones(channels), np.zeros(channels), name, number)


def _scaling(graph, step, factor, term, name, number=math.inf):
    xp = get_array_module(graph.examples[step.results[0]])
    factor, term = (xp.asarray(values).astype('float32') for values in (factor, term))
    return lambda y, first, x: scale_channels(x, factor, term, y, name, number)


def _named(name, attribute=None):
    """Return the way of an activation; ReLU after it, which there seldom is, is none of ours.

    Args:
        name: as of scale_channels. attribute: of the function, its number there.
    """
    def way(step, graph, images, dtype):
        number = getattr(step.function, attribute) if attribute else math.inf
        return None if step.relu else _activation(graph, step, name, number)
    return way


WAYS = {Convolution: _convolution, SumWithConvolution: _convolution, Linear: _linear,
        Turned: _linear, MaxPooling: _maximum, AveragePooling: _mean, Mean: _mean_of_all,
        LocalResponseNormalization: _normalization,
        ReLU: _named('clip'), ClippedReLU: _named('clip', 'z'), Sigmoid: _named('sigmoid'),
        Swish: _named('swish'), LeakyReLU: _named('leaky', 'slope'),
        **dict.fromkeys((Add, Sub, Mul, Div, AddConstant, MulConstant), _arithmetic)}
# Worth it to cast and transpose images before.
PRODUCTS = Convolution, SumWithConvolution, Linear, Turned
# Of these the first image and y may have other channels, which are not looked at and left alone.
OF_PARTS = {*PRODUCTS, *READERS}

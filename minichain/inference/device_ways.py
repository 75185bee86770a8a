"""The functions that a device computes on images with channels last, and how.

Each of WAYS takes a step, its graph, the numbers of its operands that are no constants, and the
dtype in which images are stored. It returns ``fill(y, first, *images)``, which computes into the
channels of y from ``first`` on, or None if this step is not for it. Images and y are (N, H, W, C).
"""
import numpy as np

from minichain.backend import get_array_module
from minichain.functions.average_pooling import AveragePooling
from minichain.functions.convolution import Convolution
from minichain.functions.linear import Linear
from minichain.functions.local_response_normalization import LocalResponseNormalization
from minichain.functions.max_pooling import MaxPooling
from minichain.functions.mean import Mean
from minichain.functions.operators import Add, AddConstant, Div, Mul, MulConstant, Sub
from minichain.functions.relu import ReLU
from minichain.functions.windows import Windows
from minichain.gpu.channelwise import add, scale_channels
from minichain.gpu.convolution_channels_last import Filters, convolve
from minichain.gpu.lrn import lrn_forward
from minichain.gpu.pooling import counts_padding
from minichain.gpu.pooling_channels_last import (
    max_pooling_channels_last,
    mean_pooling_channels_last,
)
from minichain.inference.graph import Turned


def _convolution(step, graph, images, dtype):
    windows, groups = step.function.windows, step.function.groups
    if len(images) > 1 or len(windows.size) != 2:
        return None
    W, *b = (graph.constants[number] for number in step.operands[1:])
    if W.shape[1] == 1 < groups:    # channels filtered each by itself: products of one column
        return None
    return _multiply(Filters(W, b[0] if b else None, windows, groups, dtype, step.relu))


def _linear(step, graph, images, dtype):
    if len(images) > 1:
        return None
    W, *b = (graph.constants[number] for number in step.operands[1:])
    W = W.T if step.kind is Turned else W
    pixel = Windows((1, 1), (1, 1), (1, 1), (0, 0), (1, 1), (1, 1))
    return _multiply(Filters(W[:, :, None, None], b[0] if b else None, pixel, 1, dtype, step.relu))


def _multiply(filters):
    return lambda y, first, x: convolve(x, filters, y, first)


def _maximum(step, graph, images, dtype):
    windows, relu = step.function.windows, step.relu
    if len(windows.size) != 2 or windows.dilate != (1, 1):
        return None
    return lambda y, first, x: max_pooling_channels_last(x, y, *windows[1:4], first, relu)


def _mean(step, graph, images, dtype):
    windows, relu, divisor = step.function.windows, step.relu, step.function.divisor
    if len(windows.size) != 2 or windows.dilate != (1, 1) or divisor is None:
        return None
    counts = counts_padding(windows, divisor)
    if counts is None:
        return None
    return lambda y, first, x: mean_pooling_channels_last(x, y, *windows[1:4], first, counts, relu)


def _mean_of_all(step, graph, images, dtype):
    shape, axes, relu = graph.examples[images[0]].shape, step.function.axes, step.relu
    if len(shape) != 4 or sorted(axes) != [2, 3]:
        return None
    how = shape[2:], (1, 1), (0, 0)
    return lambda y, first, x: mean_pooling_channels_last(x, y, *how, first, relu=relu)


def _normalization(step, graph, images, dtype):
    function, rectify = step.function, _rectifier(step, graph)
    numbers = function.n, function.k, function.alpha, function.beta

    def fill(y, first, x):
        lrn_forward(x, y, *numbers, channels_last=True)
        if step.relu:
            rectify(y, first, y)
    return fill


def _arithmetic(step, graph, images, dtype):
    shapes = {graph.examples[number].shape for number in images}
    if step.kind is Add and len(images) == 2 and len(shapes) == 1:
        return lambda y, first, a, b: add(a, b, y, step.relu)
    shape = graph.examples[step.results[0]].shape
    change = graph.change(step, images[0], shape[1]) if shapes == {shape} else None
    return change and _scaling(step, graph, *change)


def _rectifier(step, graph):
    channels = graph.examples[step.results[0]].shape[1]
    return _scaling(step, graph, np.ones(channels), np.zeros(channels), True)


def _scaling(step, graph, factor, term, relu=False):
    xp = get_array_module(graph.examples[step.results[0]])
    factor, term = (xp.asarray(values).astype('float32') for values in (factor, term))
    return lambda y, first, x: scale_channels(x, factor, term, y, relu or step.relu)


WAYS = {Convolution: _convolution, Linear: _linear, Turned: _linear, MaxPooling: _maximum,
        AveragePooling: _mean, Mean: _mean_of_all,
        LocalResponseNormalization: _normalization,
        ReLU: lambda step, graph, images, dtype: _rectifier(step, graph),
        **dict.fromkeys((Add, Sub, Mul, Div, AddConstant, MulConstant), _arithmetic)}
PRODUCTS = Convolution, Linear, Turned      # worth it to cast and transpose images before
# Those that write into some channels of y and leave the others alone; others fill all of y.
IN_PLACE = (*PRODUCTS, MaxPooling, AveragePooling, Mean)

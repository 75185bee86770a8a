"""Pooling: windows that reach beyond the image, and means over what lies inside."""
import math

import numpy as np

from minichain.functions.average_pooling import AveragePooling, count_inside
from minichain.functions.max_pooling import MaxPooling
from minichain.onnx.exporting.converters.convolution import cropped


def max_pooling(graph, node):
    windows = node.attribute('windows')
    x, _, before, behind = cropped(graph, node.inputs[0], windows)
    if any(pad >= k for pad, k in zip(before + behind, windows.ksize * 2)):
        x = padded(graph, x, before, behind, -math.inf, node.dtype)
        before = behind = [0] * len(before)
    return graph.add('MaxPool', [x], kernel_shape=windows.ksize, strides=windows.stride,
                     dilations=windows.dilate, pads=[*before, *behind])


def padded(graph, x, before, behind, value, dtype):
    """Add a Pad of the spatial axes."""
    return graph.add('Pad', [x, graph.ints([0, 0, *before, 0, 0, *behind]),
                             graph.constant(value, dtype=dtype)])


def average_pooling(graph, node):
    windows, divisor = node.attribute('windows'), node.attribute('divisor')
    x, _, before, behind = cropped(graph, node.inputs[0], windows)
    divisor, taps = 1 if divisor is None else divisor, math.prod(windows.ksize)
    inside = count_inside(windows)
    if any(d > 1 for d in windows.dilate):
        graph.expect_opset(19, 'AveragePool with dilation')
    options = {'kernel_shape': windows.ksize, 'strides': windows.stride,
               'dilations': windows.dilate if max(windows.dilate) > 1 else None}
    fits = all(pad < k for pad, k in zip(before + behind, windows.ksize * 2))
    if fits and np.array_equal(np.broadcast_to(divisor, windows.out), inside):
        return graph.add('AveragePool', [x], pads=[*before, *behind], **options)
    if any(before + behind) and not (fits and np.ndim(divisor) == 0):
        x = padded(graph, x, before, behind, 0, node.dtype)
        before = behind = [0] * len(before)
    y = graph.add('AveragePool', [x], pads=[*before, *behind], count_include_pad=1, **options)
    if np.all(np.asarray(divisor) == taps):
        return y
    return graph.add('Mul', [y, graph.constant(taps / np.asarray(divisor), dtype=node.dtype)])


CONVERTERS = {MaxPooling: max_pooling, AveragePooling: average_pooling}

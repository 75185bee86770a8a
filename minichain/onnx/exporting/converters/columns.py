"""Windows as an array, and their adjoints: what every window sees, and adding it back."""
import math

import numpy as np

from minichain.functions.average_pooling import Unpooling
from minichain.functions.im2col import Col2Im, Im2Col
from minichain.onnx.exporting.converters.convolution import cropped, transposed_pads
from minichain.onnx.exporting.converters.pooling import padded


def im2col(graph, node):
    windows, (rows, channels, *_) = node.attribute('windows'), node.input_shapes[0]
    x, size, before, behind = cropped(graph, node.inputs[0], windows)
    if any(before + behind):
        x = padded(graph, x, before, behind, 0, node.dtype)
    size = [b + n + e for b, n, e in zip(before, size, behind)]
    places = np.zeros((), int)
    for n, k, s, d, out in zip(size, windows.ksize, windows.stride, windows.dilate, windows.out):
        along = np.arange(k)[:, None] * d + np.arange(out) * s
        places = places[..., None, None] * n + along
    ndim = len(windows.size)   # taps and windows alternate
    places = places.transpose(*range(0, 2 * ndim, 2), *range(1, 2 * ndim, 2))
    x = graph.reshape(x, (rows, channels, math.prod(size)))
    return graph.add('Gather', [x, graph.constant(places, dtype='int64')], axis=2)


def spread(graph, node, columns, taps):
    """Add every element of columns (N, C taps, *out) to its place, by taps (taps, *ksize)."""
    windows, channels = node.attribute('windows'), node.output_shapes[0][1]
    weights = np.tile(taps, (channels, *[1] * (taps.ndim - 1)))[:, None].astype(node.dtype)
    behind, more = transposed_pads(windows)
    return graph.add('ConvTranspose', [columns, graph.constant(weights)],
                     kernel_shape=windows.ksize, strides=windows.stride,
                     dilations=windows.dilate, pads=[*windows.pad, *behind],
                     output_padding=more, group=channels)


def col2im(graph, node):
    windows, (rows, channels, *_) = node.attribute('windows'), node.input_shapes[0]
    count = math.prod(windows.ksize)
    columns = graph.reshape(node.inputs[0], (rows, channels * count, *windows.out))
    return spread(graph, node, columns, np.eye(count).reshape(count, *windows.ksize))


def unpooling(graph, node):
    windows, divisor, x = node.attribute('windows'), node.attribute('divisor'), node.inputs[0]
    if divisor is not None:
        x = graph.add('Div', [x, graph.constant(divisor, dtype=node.dtype)])
    return spread(graph, node, x, np.ones((1, *windows.ksize)))


CONVERTERS = {Im2Col: im2col, Col2Im: col2im, Unpooling: unpooling}

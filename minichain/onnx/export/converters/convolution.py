"""Convolution and its transpose."""
from minichain.functions.convolution import Convolution, Deconvolution


def cropped(graph, x, windows, lead=2):
    """Return x without the positions that no window sees, and (before, behind) to be padded."""
    before, behind = [], []
    for axis, (size, pad, extent) in enumerate(zip(windows.size, windows.pad, windows.extent)):
        seen = extent - max(pad, 0)
        start, stop = max(-pad, 0), min(size, extent - pad)
        step = windows.stride[axis]
        if start or size - stop >= step:   # else the window that would follow does not fit
            x = graph.slice(x, axis + lead, start, stop)
            size = stop - start
        before.append(max(pad, 0))
        behind.append(max(seen - size, 0))
    return x, before, behind


def convolution(graph, node):
    windows = node.attribute('windows')
    x, *weights = node.inputs
    x, before, behind = cropped(graph, x, windows)
    return graph.add('Conv', [x, *weights], kernel_shape=windows.ksize, strides=windows.stride,
                     dilations=windows.dilate, pads=[*before, *behind],
                     group=node.attribute('groups'))


def deconvolution(graph, node):
    windows = node.attribute('windows')
    behind, more = [], []
    for size, pad, extent in zip(windows.size, windows.pad, windows.extent):
        behind.append(max(extent - pad - size, 0))
        more.append(max(size + pad - extent, 0))
    return graph.add('ConvTranspose', node.inputs, kernel_shape=windows.ksize,
                     strides=windows.stride, dilations=windows.dilate,
                     pads=[*windows.pad, *behind], output_padding=more,
                     group=node.attribute('groups'))


CONVERTERS = {Convolution: convolution, Deconvolution: deconvolution}

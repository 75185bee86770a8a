"""Convolution and its transpose."""
from minichain.functions.convolution import Convolution, Deconvolution


def cropped(graph, x, windows, lead=2):
    """Cut off where another window would fit, or the first do not reach.

    Returns:
        (x, size, before, behind): the tensor, its spatial lengths, and what is to be padded.
    """
    sizes, before, behind = [], [], []
    for axis, (size, pad, extent) in enumerate(zip(windows.size, windows.pad, windows.extent)):
        start, stop = max(-pad, 0), min(size, extent - pad)
        if start or size - stop >= windows.stride[axis]:
            x = graph.slice(x, axis + lead, start, stop)
            size = stop - start
        sizes.append(size)
        before.append(max(pad, 0))
        behind.append(max(extent - max(pad, 0) - size, 0))
    return x, sizes, before, behind


def convolution(graph, node):
    windows = node.attribute('windows')
    x, *weights = node.inputs
    x, _, before, behind = cropped(graph, x, windows)
    return graph.add('Conv', [x, *weights], kernel_shape=windows.ksize, strides=windows.stride,
                     dilations=windows.dilate, pads=[*before, *behind],
                     group=node.attribute('groups'))


def transposed_pads(windows):
    """Return (pads at the end, output_padding) of a ConvTranspose."""
    ends = [extent - pad - size
            for size, pad, extent in zip(windows.size, windows.pad, windows.extent)]
    return [max(end, 0) for end in ends], [max(-end, 0) for end in ends]


def deconvolution(graph, node):
    windows = node.attribute('windows')
    behind, more = transposed_pads(windows)
    return graph.add('ConvTranspose', node.inputs, kernel_shape=windows.ksize,
                     strides=windows.stride, dilations=windows.dilate,
                     pads=[*windows.pad, *behind], output_padding=more,
                     group=node.attribute('groups'))


CONVERTERS = {Convolution: convolution, Deconvolution: deconvolution}

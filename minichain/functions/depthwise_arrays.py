"""Depthwise convolution of NumPy arrays: every channel is filtered by itself.

With one channel a group there is no matrix product worth its name. Instead shifted planes are
multiplied and added, block by block of channels, which stay in the cache meanwhile. Operands are
those of convolution_arrays.py; W is (C * M, 1, kh, kw).
"""
import math

import numpy as np

from minichain.cpu.threads import share
from minichain.cpu.workspaces import workspace
from minichain.functions.windows import axis_slices

_BYTES = 1 << 19   # of shifted planes at a time


def fits(x, W_shape, groups):
    """Return whether x and filters of a shape are operands of a depthwise convolution here."""
    return (type(x) is np.ndarray and x.ndim == 4 and groups == x.shape[1] > 1 == W_shape[1]
            and x.dtype.kind == 'f' and math.prod(W_shape[2:]) > 1)


def convolve(x, W, b, windows):
    """Return y (N, C * M, *out); b (C * M,) is added unless it is None."""
    y = np.empty((len(x), len(W), *windows.out), x.dtype)
    c = x.shape[1]
    W = W.reshape(c, -1, *windows.ksize)
    blocks = _blocks(x, windows)

    def work(blocks):
        for i, part, planes in _shifted(x, blocks, windows):
            target = y[i].reshape(c, W.shape[1], *planes.shape[3:])[part]
            np.einsum('cabhw,cmab->cmhw', planes, W[part], out=target)
            if b is not None:
                target += b.reshape(c, -1, 1, 1)[part]

    share(work, blocks, y.size * math.prod(windows.ksize))
    return y


def deconvolve(y, W, b, windows):
    """Return x (N, C, *size), to which every y adds its window; b (C,) or None is added.

    It is a convolution at stride 1, W turned over, of y with zeros between its positions.
    """
    x = np.empty((*y.shape[:2], *windows.size), y.dtype)
    W = W[:, :, ::-1, ::-1]
    spread = tuple((n - 1) * s + 1 for n, s in zip(windows.out, windows.stride))
    turned = windows._replace(size=spread, stride=(1, 1), out=windows.size, pad=tuple(
        (k - 1) * d - p for k, d, p in zip(windows.ksize, windows.dilate, windows.pad)))
    if max(windows.stride) == 1:
        return convolve(y, W, b, turned)
    image = np.zeros((1, y.shape[1], *spread), y.dtype)
    for i in range(len(y)):
        image[0, :, ::windows.stride[0], ::windows.stride[1]] = y[i]
        x[i] = convolve(image, W, b, turned)[0]
    return x


def convolve_weight(x, y, windows):
    """Return W (C * M, 1, kh, kw): sum over all windows of what they see, times y."""
    c = x.shape[1]
    blocks = _blocks(x, windows)

    def work(blocks):
        W = np.zeros((c, y.shape[1] // c, *windows.ksize), x.dtype)
        for i, part, planes in _shifted(x, blocks, windows):
            values = y[i].reshape(c, -1, *planes.shape[3:])[part]
            W[part] += np.einsum('cabhw,cmhw->cmab', planes, values)
        return W

    return sum(share(work, blocks, y.size * math.prod(windows.ksize))).reshape(
        y.shape[1], 1, *windows.ksize)


def _blocks(x, windows):
    """Return a list of (image, slice of its channels)."""
    plane = windows.ksize[1] * windows.extent[0] * windows.out[1] * x.dtype.itemsize
    step = max(1, _BYTES // plane)
    return [(i, slice(begin, min(begin + step, x.shape[1])))
            for i in range(len(x)) for begin in range(0, x.shape[1], step)]


def _shifted(x, blocks, windows):
    """Yield (image, slice, planes) for blocks: planes (C, kh, kw, *out) are what taps see.

    They are copied once for every column of the window; its rows are views of the same copy,
    in which one plane is one run, (1, oh * ow), if the windows do not jump over rows.
    """
    if not blocks:
        return
    (kh, kw), (oh, ow), (high, _) = windows.ksize, windows.out, windows.extent
    most = max(part.stop - part.start for _, part in blocks)
    copies = workspace('planes', (most, kw, high, ow), x.dtype)
    copies[...] = 0
    first, last = max(windows.pad[0], 0), min(high, windows.size[0] + windows.pad[0])
    rows = slice(first, max(first, last))
    seen = slice(rows.start - windows.pad[0], rows.stop - windows.pad[0])
    columns = [axis_slices(windows, 1, tap) for tap in range(kw)]
    channel, tap, row, column = copies.strides
    jump, step = row * windows.stride[0], row * windows.dilate[0]
    shape, last = ((1, oh * ow), (column, column)) if jump == row else ((oh, ow), (jump, column))
    for i, part in blocks:
        count = part.stop - part.start
        for number, (image, out) in enumerate(columns):
            copies[:count, number, rows, out] = x[i, part, seen, image]
        yield i, part, np.lib.stride_tricks.as_strided(
            copies, (count, kh, kw, *shape), (channel, step, tap, *last))

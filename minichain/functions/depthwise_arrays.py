"""Depthwise convolution of NumPy arrays: every channel is filtered by itself.

With one channel a group there is no matrix product worth its name. Instead shifted planes are
multiplied and added, block by block of channels, which stay in the cache meanwhile. Operands are
those of convolution_arrays.py; W is (C * M, 1, kh, kw).
"""
import math

import numpy as np

from minichain.cpu import results
from minichain.cpu.threads import share
from minichain.cpu.workspaces import workspace
from minichain.functions.windows import taps

_BYTES = 1 << 19   # of shifted planes at a time


def fits(x, W_shape, groups):
    """Return whether x and filters of a shape are operands of a depthwise convolution here."""
    return (type(x) is np.ndarray and x.ndim == 4 and groups == x.shape[1] > 1 == W_shape[1]
            and x.dtype.kind == 'f' and math.prod(W_shape[2:]) > 1)


def convolve(x, W, b, windows):
    """Return y (N, C * M, *out); b (C * M,) is added unless it is None."""
    y = results.empty((len(x), len(W), *windows.out), x.dtype)
    c = x.shape[1]
    W = W.reshape(c, -1, *windows.ksize)
    blocks = _blocks(x, windows)

    def work(blocks):
        for i, part, planes in _shifted(x, blocks, windows):
            target = y[i].reshape(c, W.shape[1], -1)[part]
            np.einsum('cabl,cmab->cml', planes, W[part], out=target)
            if b is not None:
                target += b.reshape(c, -1, 1)[part]

    share(work, blocks, y.size * math.prod(windows.ksize))
    return y


def deconvolve(y, W, b, windows):
    """Return x (N, C, *size), to which every y adds its window; b (C,) or None is added.

    It is a convolution at stride 1, W turned over, of y with zeros between its positions.
    """
    x = results.empty((*y.shape[:2], *windows.size), y.dtype)
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
            values = y[i].reshape(c, W.shape[1], -1)[part]
            W[part] += np.einsum('cabl,cml->cmab', planes, values)
        return W

    return sum(share(work, blocks, y.size * math.prod(windows.ksize))).reshape(
        y.shape[1], 1, *windows.ksize)


def _blocks(x, windows):
    """Return a list of (image, slice of its channels)."""
    plane = math.prod(_copied(windows)) * x.dtype.itemsize
    step = max(1, _BYTES // plane)
    return [(i, slice(begin, min(begin + step, x.shape[1])))
            for i in range(len(x)) for begin in range(0, x.shape[1], step)]


def _copied(windows):
    """Return the shape of the copies of one channel: tap rows, tap columns, height, width.

    At stride 1 the rows that different tap rows see are views of one copy.
    """
    (kh, kw), (oh, ow) = windows.ksize, windows.out
    return (1, kw, windows.extent[0], ow) if windows.stride[0] == 1 else (kh, kw, oh, ow)


def _shifted(x, blocks, windows):
    """Yield (image, slice, planes) for blocks: what taps see, (channels, kh, kw, oh * ow)."""
    if not blocks:
        return
    kh, kw = windows.ksize
    whole = windows
    if windows.stride[0] == 1:   # all rows that are seen, as if by one tap
        whole = windows._replace(ksize=(1, kw), out=(windows.extent[0], windows.out[1]))
    slices = [(*tap, image[1:], out[1:]) for tap, image, out in taps(whole)]
    most = max(part.stop - part.start for _, part in blocks)
    copies = workspace('planes', (most, *_copied(windows)), x.dtype)
    copies[...] = 0
    channel, row_tap, column_tap, row, step = copies.strides
    row_tap = row * windows.dilate[0] if windows.stride[0] == 1 else row_tap
    for i, part in blocks:
        count = part.stop - part.start
        for a, b, image, out in slices:
            copies[(slice(count), a, b, *out)] = x[(i, part, *image)]
        yield i, part, np.lib.stride_tricks.as_strided(
            copies, (count, kh, kw, math.prod(windows.out)), (channel, row_tap, column_tap, step))

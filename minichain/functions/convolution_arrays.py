"""Convolution of arrays by matrix products: forward, transposed, and gradient of the weights.

The windows of some images at a time are copied into columns, then one product does the work.
Sizes are chosen so that the columns stay in a cache on a CPU and the launches stay few on a GPU.
All three take x (N, C, *size), W (O, C / groups, *ksize) and y (N, O, *out), as convolution_nd
names them, and the same :class:`~minichain.functions.windows.Windows`.
"""
import math

import numpy as np

from minichain.backend import get_array_module
from minichain.functions.windows import fold, padded, view

# Bytes of columns at a time: on the CPU about a cache, on the GPU a fair part of a small card.
_CPU_BYTES, _GPU_BYTES = 1 << 20, 1 << 29
_NARROW = 256   # columns below which a product of one image alone is slow


def convolve(x, W, b, windows, groups):
    """Return y (N, O, *out); b (O,) is added unless it is None."""
    xp = get_array_module(x)
    y = xp.empty((len(x), len(W), *windows.out), x.dtype)
    W = W.reshape(groups, len(W) // groups, -1)
    b = None if b is None else b.reshape(-1, *[1] * len(windows.out))
    for part, joined, columns in _columns(x, windows, groups):
        images = y[part]
        if joined:
            _spread(images)[...] = _unjoin(W @ columns, images)
        else:
            xp.matmul(W, columns, out=images.reshape(len(images), groups, W.shape[1], -1))
        if b is not None:
            images += b
    return y


def deconvolve(y, W, b, windows, groups):
    """Return x (N, C, *size), to which every y adds its window; b (C,) or None is added."""
    xp, ndim = get_array_module(y), len(windows.size)
    out_channels, channels = len(W) // groups, W.shape[1]
    if max(windows.stride) == 1 and math.prod(windows.ksize) > 1:   # a convolution, W turned over
        W = W.reshape(groups, out_channels, channels, *windows.ksize).swapaxes(1, 2)
        W = W[(..., *[slice(None, None, -1)] * ndim)].reshape(-1, out_channels, *windows.ksize)
        turned = windows._replace(size=windows.out, out=windows.size, pad=tuple(
            (k - 1) * d - p for k, d, p in zip(windows.ksize, windows.dilate, windows.pad)))
        return convolve(y, W, b, turned, groups)
    x = xp.zeros((len(y), groups * channels, *windows.size), y.dtype)
    W = W.reshape(groups, out_channels, -1).swapaxes(1, 2)
    for part, joined in _parts(y, W.shape[1] * groups, math.prod(windows.out)):
        values = _join(y[part], groups) if joined else y[part].reshape(
            -1, groups, out_channels, math.prod(windows.out))
        columns = W @ values
        images = x[part]
        if joined:
            columns = columns.reshape(*x.shape[1:2], *windows.ksize, len(images), *windows.out)
            columns = xp.moveaxis(columns, ndim + 1, 0)
        else:
            columns = columns.reshape(len(images), *x.shape[1:2], *windows.ksize, *windows.out)
        fold(columns, windows, images)
        if b is not None:
            images += b.reshape(-1, *[1] * ndim)
    return x


def convolve_weight(x, y, windows, groups):
    """Return W (O, C / groups, *ksize): sum over all windows of what they see, times y."""
    channels, out_channels = x.shape[1] // groups, y.shape[1]
    xp, positions = get_array_module(x), math.prod(windows.out)
    W = xp.zeros((groups, out_channels // groups, channels * math.prod(windows.ksize)), x.dtype)
    for part, joined, columns in _columns(x, windows, groups):
        if joined:
            W += _join(y[part], groups) @ columns.swapaxes(1, 2)
        else:
            values = y[part].reshape(-1, groups, out_channels // groups, positions)
            product = values @ columns.swapaxes(2, 3)
            W += product[0] if len(product) == 1 else product.sum(axis=0)
    return W.reshape(out_channels, channels, *windows.ksize)


def _parts(x, rows, positions):
    """Yield (slice of the images, whether to join them into one product), in batches.

    Args:
        x: array with the images along axis 0.
        rows, positions: height and width of the columns of one image.
    """
    limit = _CPU_BYTES if get_array_module(x) is np else _GPU_BYTES
    count = max(limit // max(rows * positions * x.dtype.itemsize, 1), -(-2 * _NARROW // positions))
    count = count if positions < _NARROW or limit == _GPU_BYTES else 1
    for start in range(0, len(x), count):
        part = slice(start, min(start + count, len(x)))
        yield part, positions < _NARROW and part.stop - part.start > 1


def _columns(x, windows, groups):
    """Yield (slice, joined, columns): (groups, rows, B * L) if joined, else (B, groups, rows, L).
    """
    xp, c, positions = get_array_module(x), x.shape[1], math.prod(windows.out)
    rows = c // groups * math.prod(windows.ksize)
    plain = math.prod(windows.ksize) == 1 and windows.inside
    if plain:
        step = tuple(slice(0, e, s) for e, s in zip(windows.extent, windows.stride))
        x = x[(..., *step)]
    buffer = margin = None
    for part, joined in _parts(x, rows * groups, positions):
        images = x[part]
        if plain:
            yield part, joined, (_join(images, groups) if joined else
                                 images.reshape(-1, groups, rows, positions))
            continue
        if not windows.inside:
            margin = images = padded(images, windows, None if margin is None
                                     else margin[:len(images)])
        seen = view(images, windows)
        if joined:   # (C, *ksize, B, *out)
            seen = xp.moveaxis(seen, 0, len(windows.out) + 1)
        if buffer is None or buffer.shape != seen.shape:
            buffer = xp.empty(seen.shape, x.dtype)
        buffer[...] = seen
        yield part, joined, buffer.reshape(
            (groups, rows, -1) if joined else (len(images), groups, rows, positions))


def _spread(images):
    """View images (B, C, *size) with the channels first."""
    return images.swapaxes(0, 1)


def _join(images, groups):
    """Return images (B, C, *size) as the columns (groups, C / groups, B * L) of one matrix."""
    b, c = images.shape[:2]
    return _spread(images).reshape(groups, c // groups, b * math.prod(images.shape[2:]))


def _unjoin(columns, images):
    """Return columns (groups, C / groups, B * L) as (C, B, *size), the shape of ``images``."""
    return columns.reshape(images.shape[1], len(images), *images.shape[2:])

"""Pooling of images and its gradients: see ``kernels/pooling.cu``.

Images are (N, C, H, W), or (N, H, W, C) with ``channels_last``; float32 or bfloat16. ``ksize``,
``stride`` and ``pad`` are pairs of ints. How many windows there are, the shapes of outputs say:
windows may reach beyond the padding. No sum depends on the order of threads.
"""
import functools

import numpy as np

from minichain.backend import get_array_module
from minichain.gpu.grids import planes
from minichain.gpu.launcher import kernel, storage


def launch(name, arrays, image, out, ksize, stride, pad, channels_last, *flags):
    """Launch a kernel over ``arrays[-1]``'s elements; image, out: shapes."""
    if channels_last:
        (outer, height, width, inner), (_, out_height, out_width, _) = image, out
    else:
        (batch, channels, height, width), (*_, out_height, out_width) = image, out
        outer, inner = batch * channels, 1
    places = (out_height * out_width if name.endswith('forward') else height * width) * inner
    kernel(f'{name}_{storage(arrays[0])}')(
        *arrays, outer, inner, height, width, out_height, out_width, *ksize, *stride, *pad,
        *flags, **planes(outer, places))


def max_pooling_forward(x, y, winners, ksize, stride, pad, channels_last=False):
    """Find the largest of what each window sees; padding is -infinity, NaN the largest.

    Args:
        x, y: image; filled.
        winners: shape of ``y``, int32, filled with the place y W + x of the largest in its image,
            the first of equal ones; None without a backward pass.
    """
    keeps = winners is not None
    room = winners if keeps else get_array_module(x).empty(0, 'int32')
    launch('max_pooling_forward', (x, y, room), x.shape, y.shape, ksize, stride, pad,
           channels_last, int(keeps))


def max_pooling_backward(gy, winners, gx, ksize, stride, pad, channels_last=False):
    """Give each winner the gradients of the windows that it won; ``gx`` is filled."""
    launch('max_pooling_backward', (gy, winners, gx), gx.shape, gy.shape, ksize, stride, pad,
           channels_last)


def average_pooling_forward(x, y, ksize, stride, pad, counts_padding=True, channels_last=False):
    """Compute the mean of what each window sees.

    Args:
        x, y: image; filled.
        counts_padding: count places in the padding, which are 0, too; not those beyond it.
    """
    launch('average_pooling_forward', (x, y), x.shape, y.shape, ksize, stride, pad,
           channels_last, int(counts_padding))


def average_pooling_backward(gy, gx, ksize, stride, pad, counts_padding=True,
                             channels_last=False):
    """Give each element its share of the gradients of the windows that saw it; fills ``gx``."""
    launch('average_pooling_backward', (gy, gx), gx.shape, gy.shape, ksize, stride, pad,
           channels_last, int(counts_padding))


def are_images(x, *arguments):
    """Return whether :func:`max_of_windows` and :func:`max_gradient` take these arguments."""
    windows = arguments[-1]
    return x.ndim == 4 and windows.dilate == (1, 1)


def max_of_windows(x, windows):
    """Compute what the function of this name in functions/max_pooling.py does."""
    xp = get_array_module(x)
    y = xp.empty((*x.shape[:2], *windows.out), x.dtype)
    max_pooling_forward(xp.ascontiguousarray(x), y, None, windows.ksize, windows.stride,
                        windows.pad)
    return y


def max_gradient(gy, x, y, windows):
    """Compute what the function of this name in functions/max_pooling.py does."""
    xp = get_array_module(x)
    winners, gx = xp.empty(y.shape, 'int32'), xp.empty(x.shape, x.dtype)
    geometry = windows.ksize, windows.stride, windows.pad
    max_pooling_forward(xp.ascontiguousarray(x), xp.empty_like(y), winners, *geometry)
    max_pooling_backward(xp.ascontiguousarray(gy), winners, gx, *geometry)
    return gx


@functools.lru_cache(1024)
def counts(windows, counts_padding):
    """Return how many places of each window a mean is taken over, NumPy array (OH, OW)."""
    axes = []
    for size, k, s, p, _, out in zip(*windows):
        margin = p if counts_padding else 0
        begin = np.arange(out) * s - p
        axes.append(np.minimum(begin + k, size + margin) - np.maximum(begin, -margin))
    return np.maximum(np.maximum(axes[0], 0)[:, None] * np.maximum(axes[1], 0), 1)


def counts_padding(windows, divisor):
    """Return whether means with a divisor count the padding; None: they are of another kind.

    Args:
        divisor: a number, or a NumPy array (OH, OW).
    """
    return next((kind for kind in (False, True) if (counts(windows, kind) == divisor).all()), None)


def are_means(x, windows, divisor):
    """Return whether :func:`mean_of_windows` and :func:`mean_gradient` take these arguments."""
    return (are_images(x, windows) and divisor is not None
            and counts_padding(windows, divisor) is not None)


def mean_of_windows(x, windows, divisor):
    """Compute what the function of this name in functions/average_pooling.py does."""
    xp = get_array_module(x)
    y = xp.empty((*x.shape[:2], *windows.out), x.dtype)
    average_pooling_forward(xp.ascontiguousarray(x), y, windows.ksize, windows.stride, windows.pad,
                            counts_padding(windows, divisor))
    return y


def mean_gradient(gy, windows, divisor):
    """Compute what the function of this name in functions/average_pooling.py does."""
    xp = get_array_module(gy)
    gx = xp.empty((*gy.shape[:2], *windows.size), gy.dtype)
    average_pooling_backward(xp.ascontiguousarray(gy), gx, windows.ksize, windows.stride,
                             windows.pad, counts_padding(windows, divisor))
    return gx

"""Max pooling, the gather of its winners and the scatter to them, which are each other's adjoint.

A winner is the number of a tap in its window, counted row by row.
"""
import math

import numpy as np

from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module
from minichain.configuration import thread_state
from minichain.cpu import onednn, onednn_functions
from minichain.functions import max_pooling_arrays
from minichain.functions.windows import reduce_windows, slide, taps
from minichain.gpu import pooling as by_kernels
from minichain.gpu.dispatch import fused
from minichain.type_check import expect_float, expect_ndim


@fused(by_kernels.max_of_windows, accepts=by_kernels.are_images)
def max_of_windows(x, windows):
    """Return what the windows of an array (N, C, *size) see at most."""
    return reduce_windows(get_array_module(x).maximum, x, windows, -math.inf)


@fused(by_kernels.max_gradient, accepts=by_kernels.are_images)
def max_gradient(gy, x, y, windows):
    """Return the gradient of an array x, given that of y = max_of_windows(x, windows)."""
    gx = None
    if get_array_module(x) is np:
        gx = max_pooling_arrays.max_gradient(gy, x, y, windows)
    return gradient_by_winners(gy, x, y, windows) if gx is None else gx


def gradient_by_winners(gy, x, y, windows):
    """Return the same of arrays of any kind and windows of any size."""
    return ScatterToWinners(winners(x, y, windows), windows).forward((gy,))[0]


class MaxPooling(Primitive):
    """The winners are looked for in the backward pass, so that a forward pass stays fast."""

    def __init__(self, windows):
        self.windows = windows

    def forward(self, arrays):
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        y = onednn.attempt(onednn_functions.max_windows, arrays, self.windows)
        if y is None:
            y = max_of_windows(arrays[0], self.windows)
        return y,

    def backward(self, indexes, grads):
        if thread_state.on_arrays:
            x, = self.get_retained_inputs()
            gx = onednn.attempt(onednn_functions.max_windows_gradient, (x, grads[0]), self.windows)
            y, = self.get_retained_outputs()
            return max_gradient(grads[0], x, y, self.windows) if gx is None else gx,
        x, y = as_array(self.get_retained_inputs()[0]), as_array(self.get_retained_outputs()[0])
        return scatter_to_winners(grads[0], winners(x, y, self.windows), self.windows),


class GatherWinners(Primitive):
    """x (N, C, *size) -> (N, C, *out): what the winning tap of every window sees."""

    def __init__(self, indexes, windows):
        self.indexes, self.windows = indexes, windows

    def forward(self, arrays):
        x, = arrays
        xp = get_array_module(x)
        y = xp.zeros(self.indexes.shape, x.dtype)
        for number, (_, image, out) in enumerate(taps(self.windows)):
            xp.copyto(y[out], x[image], where=self.indexes[out] == number)
        return y,

    def backward(self, indexes, grads):
        return scatter_to_winners(grads[0], self.indexes, self.windows),


class ScatterToWinners(Primitive):
    """y (N, C, *out) -> (N, C, *size): every y added to where the winning tap lies."""

    def __init__(self, indexes, windows):
        self.indexes, self.windows = indexes, windows

    def forward_cpu(self, arrays):
        y, = arrays
        windows, axes = self.windows, len(self.windows.size)
        size = tuple(max(p + n, e) for p, n, e in zip(windows.pad, windows.size, windows.extent))
        steps = [math.prod(size[axis + 1:]) for axis in range(axes)]
        offset = sum(np.arange(k)[(slice(None), *[None] * (axes - 1 - axis))] * d * step
                     for axis, (k, d, step) in enumerate(zip(
                         windows.ksize, windows.dilate, steps))).ravel()
        place = sum(np.arange(out)[(slice(None), *[None] * (axes - 1 - axis))] * s * step
                    for axis, (out, s, step) in enumerate(zip(windows.out, windows.stride, steps)))
        first = np.arange(y.shape[0] * y.shape[1]).reshape(*y.shape[:2], *[1] * axes)
        x = np.zeros((*y.shape[:2], *size), y.dtype)
        np.add.at(x.reshape(-1), (first * math.prod(size) + place + offset[self.indexes]).ravel(),
                  y.ravel())
        return x[(..., *[slice(p, p + n) for p, n in zip(windows.pad, windows.size)])],

    def forward_gpu(self, arrays):   # tap by tap: no atomics, so that sums come out the same
        y, = arrays
        xp, zero = get_array_module(y), y.dtype.type(0)
        x = xp.zeros((*y.shape[:2], *self.windows.size), y.dtype)
        for number, (_, image, out) in enumerate(taps(self.windows)):
            x[image] += xp.where(self.indexes[out] == number, y[out], zero)
        return x,

    def backward(self, indexes, grads):
        return GatherWinners(self.indexes, self.windows).apply(grads)


def scatter_to_winners(y, indexes, windows):
    """Apply :class:`ScatterToWinners`; ``indexes`` (N, C, *out) are taps."""
    return ScatterToWinners(indexes, windows).apply((y,))[0]


def winners(x, y, windows):
    """Return, for arrays x and y = max_pooling(x), the first tap that holds the maximum.

    The dtype is the smallest that holds a tap: they may wait long for a second backward pass.
    """
    xp = get_array_module(x)
    found = xp.zeros(y.shape, 'uint8' if math.prod(windows.ksize) <= 256 else 'int32')
    numbered = list(enumerate(taps(windows)))
    for number, (_, image, out) in reversed(numbered):   # so that the first has the last word
        xp.copyto(found[out], number, where=x[image] == y[out])
    return found


def max_windows(x, windows):
    """Maximum of x (N, C, *size) over given :class:`~minichain.functions.windows.Windows`."""
    return MaxPooling(windows).apply((x,))[0]


def pool(label, ndim, x, ksize, stride, pad, cover_all, return_indices):
    """Check the operands and pool; ``ndim`` None takes any number of spatial axes."""
    expect_float(label, x=x)
    if ndim is not None:
        expect_ndim(label, ndim + 2, x=x)
    windows = slide(label, x.shape[2:], ksize, ksize if stride is None else stride, pad, cover_all)
    y = max_windows(x, windows)
    return (y, winners(as_array(x), y.array, windows).astype(int)) if return_indices else y


def max_pooling_nd(x, ksize, stride=None, pad=0, cover_all=True, return_indices=False):
    """Maximum over windows of any number of spatial axes; ties go to the first tap.

    Args:
        x: images, (N, C, size...), float.
        ksize: shape of the window, int or one int per spatial axis.
        stride: step between windows; None takes ``ksize``.
        pad: positions of minus infinity on either side.
        cover_all: add a window at the end, partly beyond the padding, if positions would be left
            over. (Convolution does not by default; pooling does.)
        return_indices: whether to return the winners too, for :func:`upsampling_2d`.
    Returns:
        (N, C, out...), out = (size + 2 pad - ksize) / stride + 1, rounded up if ``cover_all``.
        With ``return_indices`` also an integer array of that shape: the number of the winning tap
        in its window, counted row by row.
    Raises:
        InvalidType: ``x`` does not fit, or the window is larger than the padded image.
        InvalidArgument: ksize, stride or pad too small or of a wrong length.
    """
    return pool('max_pooling_nd', None, x, ksize, stride, pad, cover_all, return_indices)


def max_pooling_1d(x, ksize, stride=None, pad=0, cover_all=True, return_indices=False):
    """:func:`max_pooling_nd` over one axis: x (N, C, L)."""
    return pool('max_pooling_1d', 1, x, ksize, stride, pad, cover_all, return_indices)


def max_pooling_2d(x, ksize, stride=None, pad=0, cover_all=True, return_indices=False):
    """:func:`max_pooling_nd` over images: x (N, C, H, W)."""
    return pool('max_pooling_2d', 2, x, ksize, stride, pad, cover_all, return_indices)


def max_pooling_3d(x, ksize, stride=None, pad=0, cover_all=True, return_indices=False):
    """:func:`max_pooling_nd` over volumes: x (N, C, D, H, W)."""
    return pool('max_pooling_3d', 3, x, ksize, stride, pad, cover_all, return_indices)

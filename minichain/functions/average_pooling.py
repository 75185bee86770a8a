"""Average pooling and unpooling, which adds every value to its whole window: linear, adjoint."""
import math

import numpy as np

from minichain.autograd import Primitive
from minichain.backend import get_array_module, get_device_from_array
from minichain.cpu import onednn, onednn_functions
from minichain.errors import InvalidArgument
from minichain.functions.windows import reduce_windows, slide, spread_windows
from minichain.gpu import pooling as by_kernels
from minichain.gpu.dispatch import fused
from minichain.type_check import expect_float, expect_ndim


@fused(by_kernels.mean_of_windows, accepts=by_kernels.are_means)
def mean_of_windows(x, windows, divisor):
    """Return sums over the windows of an array, divided by ``divisor`` as of LinearPooling."""
    return _divided(reduce_windows(get_array_module(x).add, x, windows, 0), divisor)


@fused(by_kernels.mean_gradient, accepts=by_kernels.are_means)
def mean_gradient(gy, windows, divisor):
    """Return the gradient of x, given that of y = mean_of_windows(x, windows, divisor)."""
    return spread_windows(_divided(gy, divisor), windows)


def _divided(y, divisor):
    if isinstance(divisor, np.ndarray):
        divisor = get_device_from_array(y).send(divisor.astype(y.dtype))
    return y if divisor is None else y / divisor


class LinearPooling(Primitive):
    """Sums over windows divided by ``divisor``, a number or a NumPy array (*out); or adjoint."""

    def __init__(self, windows, divisor=None):
        self.windows, self.divisor = windows, divisor
        self.is_mean = not isinstance(divisor, np.ndarray) and divisor == math.prod(windows.ksize)

    def forward(self, arrays):
        x, = arrays
        wide = x.astype('float32') if x.dtype == 'float16' else x
        return self.compute(wide).astype(x.dtype, copy=False),


class AveragePooling(LinearPooling):
    """x (N, C, *size) -> (N, C, *out): sum over the window, divided."""

    def compute(self, x):
        if self.is_mean:
            y = onednn.attempt(onednn_functions.mean_windows, (x,), self.windows)
            if y is not None:
                return y
        return mean_of_windows(x, self.windows, self.divisor)

    def backward(self, indexes, grads):
        return Unpooling(self.windows, self.divisor).apply(grads)


class Unpooling(LinearPooling):
    """y (N, C, *out) -> (N, C, *size): divided, then added to all that its window sees."""

    def compute(self, y):
        if self.is_mean:
            x = onednn.attempt(onednn_functions.mean_windows_gradient, (y,), self.windows)
            if x is not None:
                return x
        return mean_gradient(y, self.windows, self.divisor)

    def backward(self, indexes, grads):
        return AveragePooling(self.windows, self.divisor).apply(grads)


def count_inside(windows, margin=0):
    """Return an integer array (*out): taps of each window that lie in the image.

    Args:
        windows: the geometry.
        margin: int, or one per axis: positions on either side of the image that count too.
    """
    counts = np.ones((), int)
    margins = margin if isinstance(margin, tuple) else (margin,) * len(windows.size)
    for margin, size, k, s, p, d, out in zip(margins, *windows):
        position = np.arange(out)[:, None] * s - p + np.arange(k) * d
        inside = (position >= -margin) & (position < size + margin)
        counts = counts[..., None] * inside.sum(axis=1)
    return np.maximum(counts, 1)


def average_windows(x, windows, divisor):
    """Sum of x (N, C, *size) over given windows, divided.

    Args:
        x: images, float.
        windows: :class:`~minichain.functions.windows.Windows`.
        divisor: number, or NumPy array (*out), see :func:`count_inside`.
    """
    return AveragePooling(windows, divisor).apply((x,))[0]


def pool(label, ndim, x, ksize, stride, pad, pad_value):
    """Check the operands and pool; ``ndim`` None takes any number of spatial axes."""
    expect_float(label, x=x)
    if ndim is not None:
        expect_ndim(label, ndim + 2, x=x)
    if pad_value is not None and pad_value != 0:
        raise InvalidArgument(f'{label}: pad_value 0 or None expected, got {pad_value!r}')
    windows = slide(label, x.shape[2:], ksize, ksize if stride is None else stride, pad)
    padded = pad_value is None and not windows.inside
    return average_windows(x, windows,
                           count_inside(windows) if padded else math.prod(windows.ksize))


def average_pooling_nd(x, ksize, stride=None, pad=0, pad_value=0):
    """Mean over windows of any number of spatial axes.

    Args:
        x: images, (N, C, size...), float.
        ksize: shape of the window, int or one int per spatial axis.
        stride: step between windows; None takes ``ksize``.
        pad: positions added on either side.
        pad_value: 0 counts the padding as zeros; None leaves it out of the mean.
    Returns:
        (N, C, out...), out = (size + 2 pad - ksize) // stride + 1.
    Raises:
        InvalidType: ``x`` does not fit, or the window is larger than the padded image.
        InvalidArgument: ksize, stride, pad or pad_value not allowed.
    """
    return pool('average_pooling_nd', None, x, ksize, stride, pad, pad_value)


def average_pooling_1d(x, ksize, stride=None, pad=0, pad_value=0):
    """:func:`average_pooling_nd` over one axis: x (N, C, L)."""
    return pool('average_pooling_1d', 1, x, ksize, stride, pad, pad_value)


def average_pooling_2d(x, ksize, stride=None, pad=0):
    """:func:`average_pooling_nd` over images x (N, C, H, W), the padding counted as zeros."""
    return pool('average_pooling_2d', 2, x, ksize, stride, pad, 0)


def average_pooling_3d(x, ksize, stride=None, pad=0, pad_value=0):
    """:func:`average_pooling_nd` over volumes: x (N, C, D, H, W)."""
    return pool('average_pooling_3d', 3, x, ksize, stride, pad, pad_value)

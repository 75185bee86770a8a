"""Convolution, its transpose and the gradient of its weights: each is the others' derivative.

All three share one :class:`~minichain.functions.windows.Windows`, so that a gradient of any order
runs through the same three functions. The arithmetic is in convolution_arrays.py, and where
oneDNN is installed, in cpu/onednn_functions.py.
"""
import math

from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.cpu import onednn, onednn_functions
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import convolution_arrays
from minichain.functions.broadcast import sum_to
from minichain.functions.windows import slide
from minichain.type_check import expect_float, expect_ndim, expect_shape, refuse_former


def _wide(dtype, *arrays):
    """Return the arrays in the dtype to compute in: ``dtype``, float32 for float16."""
    wide = 'float32' if dtype == 'float16' else dtype
    return [array.astype(wide, copy=False) for array in arrays]


def _compute(name, first, second, *others):
    """Call the function of this name, of oneDNN if it serves these operands."""
    y = onednn.attempt(getattr(onednn_functions, name), (first, second), *others)
    return getattr(convolution_arrays, name)(first, second, *others) if y is None else y


class ConvolutionFamily(Primitive):
    """A bilinear function of two arrays, plus a bias."""

    def __init__(self, windows, groups):
        self.windows, self.groups = windows, groups

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        dtype = arrays[0].dtype
        x, W, *b = _wide(dtype, *arrays)
        shape = self.result_shape(x, W)
        if x.size and W.size and math.prod(shape):
            y = self.compute(x, W, b[0] if b else None)
        else:       # sums of nothing, on which no way through the arithmetic has to reckon
            y = get_array_module(x).zeros(shape, x.dtype)
            if b:
                y += b[0].reshape(-1, *[1] * len(self.windows.size))
        return y.astype(dtype, copy=False),

    def backward(self, indexes, grads):
        a, b = self.get_retained_inputs()
        gy, = grads
        return [self.first_gradient(gy, b) if i == 0 else
                self.second_gradient(a, gy) if i == 1 else _sum_channels(gy) for i in indexes]

    def _apply(self, kind, *operands):
        return kind(self.windows, self.groups).apply(operands)[0]


class Convolution(ConvolutionFamily):
    """x (N, C, *size), W (O, C / groups, *ksize), b (O,) -> y (N, O, *out)."""

    def result_shape(self, x, W):
        return len(x), len(W), *self.windows.out

    def compute(self, x, W, b):
        return _compute('convolve', x, W, b, self.windows, self.groups)

    def first_gradient(self, gy, W):
        return self._apply(Deconvolution, gy, W)

    def second_gradient(self, x, gy):
        return self._apply(ConvolutionWeight, x, gy)


class Deconvolution(ConvolutionFamily):
    """y (N, O, *out), W (O, C / groups, *ksize), b (C,) -> x (N, C, *size)."""

    def result_shape(self, y, W):
        return len(y), W.shape[1] * self.groups, *self.windows.size

    def compute(self, y, W, b):
        return _compute('deconvolve', y, W, b, self.windows, self.groups)

    def first_gradient(self, gx, W):
        return self._apply(Convolution, gx, W)

    def second_gradient(self, y, gx):
        return self._apply(ConvolutionWeight, gx, y)


class ConvolutionWeight(ConvolutionFamily):
    """x (N, C, *size), y (N, O, *out) -> W (O, C / groups, *ksize)."""

    def result_shape(self, x, y):
        return y.shape[1], x.shape[1] // self.groups, *self.windows.ksize

    def compute(self, x, y, b):
        return _compute('convolve_weight', x, y, self.windows, self.groups)

    def first_gradient(self, gW, y):
        return self._apply(Deconvolution, y, gW)

    def second_gradient(self, x, gW):
        return self._apply(Convolution, x, gW)


def _sum_channels(gy):
    return sum_to(gy, (1, gy.shape[1], *[1] * (gy.ndim - 2))).reshape((gy.shape[1],))


def check_operands(label, x, W, b, groups, transposed=False):
    """Raise unless x, W and b (or None) are operands of a convolution, or of its transpose."""
    expect_float(label, x=x, W=W, **({} if b is None else {'b': b}))
    if x.ndim < 3:
        raise InvalidType(f'{label}: x of shape (N, C, ...) with a spatial axis or more expected, '
                          f'got {x.shape}')
    expect_ndim(label, x.ndim, W=W)
    if isinstance(groups, bool) or not hasattr(groups, '__index__') or groups < 1:
        raise InvalidArgument(f'{label}: groups, an int of at least 1, expected, got {groups!r}')
    channels = W.shape[0] if transposed else W.shape[1] * groups
    if x.shape[1] != channels or W.shape[0] % groups:
        rule = ('W.shape[0] == x.shape[1], divisible by groups' if transposed else
                'W.shape[1] * groups == x.shape[1] and W.shape[0] divisible by groups')
        raise InvalidType(f'{label}: {rule} expected, got x {x.shape}, W {W.shape}, '
                          f'groups={groups}')
    if b is not None:
        expect_shape(label, (W.shape[1] * groups if transposed else W.shape[0],), b=b)


def convolve(label, ndim, x, W, b, stride, pad, cover_all, dilate, groups):
    """Check the operands and apply :class:`Convolution`; ``ndim`` None takes any."""
    if ndim is not None:
        expect_ndim(label, ndim + 2, x=x)
    check_operands(label, x, W, b, groups)
    windows = slide(label, x.shape[2:], W.shape[2:], stride, pad, cover_all, dilate)
    return Convolution(windows, groups).apply((x, W) if b is None else (x, W, b))[0]


def convolution_nd(x, W, b=None, stride=1, pad=0, cover_all=False, dilate=1, groups=1):
    """Convolution (cross-correlation) over any number of spatial axes:

        y[n, o, p] = b[o] + sum over c, t of W[o, c, t] x[n, c, p * stride - pad + t * dilate]

    Args:
        x: images, (N, C, size...), float.
        W: filters, (O, C / groups, ksize...), float; the result has the dtype of ``x``.
        b: bias, (O,); None adds nothing.
        stride, pad, dilate: int or one int per spatial axis: step between windows, zeros on
            either side, step between the taps of a window.
        cover_all: add a window at the end, beyond the padding, if positions would be left over.
        groups: the channels are cut into so many parts which do not see each other.
    Returns:
        (N, O, out...), out = (size + 2 pad - dilate (ksize - 1) - 1) // stride + 1.
    Raises:
        InvalidType: shapes do not fit, or the window is larger than the padded image.
        InvalidArgument: stride, pad, dilate or groups too small or of a wrong length.
    """
    return convolve('convolution_nd', None, x, W, b, stride, pad, cover_all, dilate, groups)


def convolution_1d(x, W, b=None, stride=1, pad=0, cover_all=False, dilate=1, groups=1):
    """:func:`convolution_nd` over one axis: x (N, C, L), W (O, C / groups, k)."""
    return convolve('convolution_1d', 1, x, W, b, stride, pad, cover_all, dilate, groups)


def convolution_2d(x, W, b=None, stride=1, pad=0, cover_all=False, *, dilate=1, groups=1,
                   **former):
    """:func:`convolution_nd` over images: x (N, C, H, W), filters W (O, C / groups, kh, kw)."""
    if former:
        refuse_former('convolution_2d', former)
    return convolve('convolution_2d', 2, x, W, b, stride, pad, cover_all, dilate, groups)


def convolution_3d(x, W, b=None, stride=1, pad=0, cover_all=False, dilate=1, groups=1):
    """:func:`convolution_nd` over volumes: x (N, C, D, H, W), W (O, C / groups, kd, kh, kw)."""
    return convolve('convolution_3d', 3, x, W, b, stride, pad, cover_all, dilate, groups)


def dilated_convolution_2d(x, W, b=None, stride=1, pad=0, dilate=1, cover_all=False):
    """:func:`convolution_2d` with its arguments in another order.

    Yu and Koltun 2016, "Multi-scale context aggregation by dilated convolutions",
    arXiv:1511.07122.
    """
    return convolve('dilated_convolution_2d', 2, x, W, b, stride, pad, cover_all, dilate, 1)

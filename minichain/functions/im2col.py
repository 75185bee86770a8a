"""What every window of a convolution sees, as an array; and its adjoint, adding it back."""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.functions.reshape import reshape
from minichain.functions.windows import fold, slide, unfold
from minichain.type_check import expect_float, expect_ndim


class Im2Col(Primitive):
    """x (N, C, *size) -> columns (N, C, *ksize, *out)."""

    def __init__(self, windows):
        self.windows = windows

    def forward(self, arrays):
        return unfold(arrays[0], self.windows),

    def backward(self, indexes, grads):
        return Col2Im(self.windows).apply(grads)


class Col2Im(Primitive):
    """columns (N, C, *ksize, *out) -> x (N, C, *size)."""

    def __init__(self, windows):
        self.windows = windows

    def forward(self, arrays):
        columns, = arrays
        x = get_array_module(columns).zeros(
            (*columns.shape[:2], *self.windows.size), columns.dtype)
        fold(columns, self.windows, x)
        return x,

    def backward(self, indexes, grads):
        return Im2Col(self.windows).apply(grads)


def im2col(x, ksize, stride=1, pad=0, cover_all=False, dilate=1):
    """Copy what every window sees into the channels.

    Args:
        x: images, (N, C, H, W), float.
        ksize, stride, pad, dilate: int or pair of ints, as in :func:`convolution_2d`.
        cover_all: add a window at the end, beyond the padding, if positions would be left over.
    Returns:
        (N, C * kh * kw, OH, OW).
    Raises:
        InvalidType: the window is larger than the padded image.
    """
    expect_ndim('im2col', 4, x=x)
    expect_float('im2col', x=x)
    windows = slide('im2col', x.shape[2:], ksize, stride, pad, cover_all, dilate)
    n, c, (kh, kw) = *x.shape[:2], windows.ksize
    return reshape(Im2Col(windows).apply((x,))[0], (n, c * kh * kw, *windows.out))

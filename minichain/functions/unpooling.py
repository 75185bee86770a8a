"""Unpooling and upsampling: pooling the other way round."""
import math

from minichain.autograd import as_array
from minichain.errors import InvalidType
from minichain.functions.average_pooling import Unpooling
from minichain.functions.max_pooling import scatter_to_winners
from minichain.functions.windows import fill
from minichain.type_check import expect_float, expect_integer, expect_ndim


def unpool(label, ndim, x, ksize, stride, pad, outsize, cover_all):
    """Check the operands and unpool; ``ndim`` None takes any number of spatial axes."""
    expect_float(label, x=x)
    if ndim is not None:
        expect_ndim(label, ndim + 2, x=x)
    stride = ksize if stride is None else stride
    windows = fill(label, x.shape[2:], ksize, stride, pad, outsize, cover_all)
    return Unpooling(windows).apply((x,))[0]


def unpooling_nd(x, ksize, stride=None, pad=0, outsize=None, cover_all=True):
    """Add every value to all positions of its window: the adjoint of a pooling by sums.

    Args:
        x: (N, C, size...), float.
        ksize, stride, pad: as of the pooling that this reverses.
        outsize: spatial shape of the result; None follows from the rest.
        cover_all: if ``outsize`` is None, whether the pooling would have covered all positions:
            the result is then as short as its last window allows.
    Returns:
        (N, C, outsize...), by default stride (size - 1) + ksize - 2 pad, less stride - 1 if
        ``cover_all``.
    Raises:
        InvalidType: ``x`` does not fit, or the result would be empty.
    """
    return unpool('unpooling_nd', None, x, ksize, stride, pad, outsize, cover_all)


def unpooling_1d(x, ksize, stride=None, pad=0, outsize=None, cover_all=True):
    """:func:`unpooling_nd` over one axis: x (N, C, L)."""
    return unpool('unpooling_1d', 1, x, ksize, stride, pad, outsize, cover_all)


def unpooling_2d(x, ksize, stride=None, pad=0, outsize=None, cover_all=True):
    """:func:`unpooling_nd` over images: x (N, C, H, W)."""
    return unpool('unpooling_2d', 2, x, ksize, stride, pad, outsize, cover_all)


def unpooling_3d(x, ksize, stride=None, pad=0, outsize=None, cover_all=True):
    """:func:`unpooling_nd` over volumes: x (N, C, D, H, W)."""
    return unpool('unpooling_3d', 3, x, ksize, stride, pad, outsize, cover_all)


def upsample(label, ndim, x, indexes, ksize, stride, pad, outsize, cover_all):
    """Check the operands and upsample; ``ndim`` None takes any number of spatial axes."""
    indexes = as_array(indexes)
    expect_float(label, x=x)
    expect_integer(label, indexes=indexes)
    if ndim is not None:
        expect_ndim(label, ndim + 2, x=x)
    if indexes.shape != x.shape:
        raise InvalidType(f'{label}: indexes of the shape of x, {x.shape}, expected, got '
                          f'{indexes.shape}. max_pooling with return_indices=True gives them')
    stride = ksize if stride is None else stride
    windows = fill(label, x.shape[2:], ksize, stride, pad, outsize, cover_all)
    if indexes.size and not bool(((indexes >= 0) & (indexes < math.prod(windows.ksize))).all()):
        raise InvalidType(f'{label}: indexes from 0 to {math.prod(windows.ksize) - 1} expected, '
                          f'the positions in a window of shape {windows.ksize}; one is outside')
    return scatter_to_winners(x, indexes, windows)


def upsampling_nd(x, indexes, ksize, stride=None, pad=0, outsize=None, cover_all=True):
    """Put every value back where max pooling found it, zeros elsewhere.

    Args:
        x: (N, C, size...), float.
        indexes: winners as returned by :func:`max_pooling_nd`, integers of the shape of ``x``.
        ksize, stride, pad: as of that pooling.
        outsize: spatial shape of the result, that is of the pooled image; None follows from the
            rest, as in :func:`unpooling_nd`.
        cover_all: as of that pooling.
    Returns:
        (N, C, outsize...).
    Raises:
        InvalidType: shapes or dtypes do not fit, or the result would be empty.
    """
    return upsample('upsampling_nd', None, x, indexes, ksize, stride, pad, outsize, cover_all)


def upsampling_2d(x, indexes, ksize, stride=None, pad=0, outsize=None, cover_all=True):
    """:func:`upsampling_nd` over images: x and indexes (N, C, H, W)."""
    return upsample('upsampling_2d', 2, x, indexes, ksize, stride, pad, outsize, cover_all)

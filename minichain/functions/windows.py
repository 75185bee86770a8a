"""Windows that slide over an image: where they lie, and how to reach what they see.

Convolution, pooling and their inverses share this geometry. Along every axis, window o sees the
image positions

    o * stride - pad + tap * dilate,   tap = 0 .. ksize - 1
"""
import math
from itertools import product
from typing import NamedTuple

import numpy as np

from minichain.backend import get_array_module
from minichain.cpu import results
from minichain.cpu.threads import share
from minichain.errors import InvalidArgument, InvalidType

_PLANES_BYTES = 1 << 20   # of an image's planes that are reduced at a time


class Windows(NamedTuple):
    """Geometry of sliding windows; every field is a tuple with one int per spatial axis.

    Attributes:
        size: of the image.
        ksize, stride, dilate: of the window, between windows, and between taps of one window.
        pad: imagined positions before the image. As many follow it as the windows need.
        out: number of windows.
    """

    size: tuple
    ksize: tuple
    stride: tuple
    pad: tuple
    dilate: tuple
    out: tuple

    @property
    def extent(self):
        """Image positions, padding included, between the first and the last that are seen."""
        return tuple((o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(
            self.out, self.stride, self.ksize, self.dilate))

    @property
    def inside(self):
        """Whether no window sees any padding."""
        return not any(self.pad) and all(e <= n for e, n in zip(self.extent, self.size))

    @property
    def pointwise(self):
        """Whether every window is one position of the image, and each position one window."""
        return (set(self.ksize + self.stride) == {1} and not any(self.pad)
                and self.out == self.size)


def get_conv_outsize(size, k, s, p, cover_all=False, d=1):
    """Number of windows along an axis:  (size + 2 p - d (k - 1) - 1) // s + 1.

    Args:
        size, k, s, p, d: lengths of image and window, stride, padding on either side, dilation.
        cover_all: add a window, partly beyond the padding, if the last positions need one.
    """
    reach = size + 2 * p - d * (k - 1) - 1
    return (reach + (s - 1 if cover_all else 0)) // s + 1


def get_deconv_outsize(size, k, s, p, cover_all=False, d=1):
    """Length of the image that ``size`` windows fill:  s (size - 1) + d (k - 1) + 1 - 2 p.

    Args:
        size: number of windows. k, s, p, d: as in :func:`get_conv_outsize`.
        cover_all: whether the last window just touches the image.
    """
    return s * (size - 1) + d * (k - 1) + 1 - 2 * p - (s - 1 if cover_all else 0)


def as_ints(label, name, value, ndim, least):
    """Return ``value``, an int or one int per axis, as a tuple of ``ndim`` ints.

    Raises:
        InvalidArgument: another number of them, no ints, or one below ``least``.
    """
    values = tuple(value) if hasattr(value, '__len__') else (value,) * ndim
    whole = all(isinstance(v, (int, np.integer)) and v >= least for v in values)
    if len(values) != ndim or not whole:
        raise InvalidArgument(f'{label}: {name} expected as an int, or one per spatial axis '
                              f'({ndim}), each at least {least}, got {value!r}')
    return tuple(int(v) for v in values)


def slide(label, size, ksize, stride=1, pad=0, cover_all=False, dilate=1):
    """Return the :class:`Windows` of a convolution or pooling over an image.

    Args:
        label: name of the function, for messages.
        size: spatial shape of the image.
        ksize, stride, pad, dilate: ints, or one int per spatial axis.
        cover_all: as in :func:`get_conv_outsize`.
    Raises:
        InvalidArgument: an argument is no int, or too small.
        InvalidType: the window is larger than the padded image.
    """
    ndim = len(size)
    ksize, stride, dilate = (as_ints(label, name, value, ndim, 1) for name, value in (
        ('ksize', ksize), ('stride', stride), ('dilate', dilate)))
    pad = as_ints(label, 'pad', pad, ndim, 0)
    out = tuple(get_conv_outsize(n, k, s, p, cover_all, d)
                for n, k, s, p, d in zip(size, ksize, stride, pad, dilate))
    if min(out, default=1) < 1 or 0 in size:
        raise InvalidType(
            f'{label}: the window is larger than the padded input. Spatial shape {tuple(size)}, '
            f'ksize {ksize}, stride {stride}, pad {pad}, dilate {dilate} give the output shape '
            f'{out}: (size + 2 * pad - dilate * (ksize - 1) - 1) // stride + 1')
    return Windows(tuple(size), ksize, stride, pad, dilate, out)


def fill(label, out, ksize, stride=1, pad=0, outsize=None, cover_all=False, dilate=1):
    """Return the :class:`Windows` of an inverse, which makes an image from ``out`` windows.

    Args:
        label: name of the function, for messages.
        out: spatial shape of the operand, one value a window.
        ksize, stride, pad, dilate: as in :func:`slide`.
        outsize: spatial shape of the image; None takes :func:`get_deconv_outsize`.
        cover_all: as in :func:`get_deconv_outsize`; matters only where ``outsize`` is None.
    Raises:
        InvalidArgument: an argument is no int, or too small.
        InvalidType: the image would be empty.
    """
    ndim = len(out)
    ksize, stride, dilate = (as_ints(label, name, value, ndim, 1) for name, value in (
        ('ksize', ksize), ('stride', stride), ('dilate', dilate)))
    pad = as_ints(label, 'pad', pad, ndim, 0)
    if outsize is None:
        size = tuple(get_deconv_outsize(n, k, s, p, cover_all, d)
                     for n, k, s, p, d in zip(out, ksize, stride, pad, dilate))
    else:
        size = as_ints(label, 'outsize', outsize, ndim, 1)
    if min(size, default=1) < 1:
        raise InvalidType(
            f'{label}: the output would be empty. Spatial shape {tuple(out)}, ksize {ksize}, '
            f'stride {stride}, pad {pad}, dilate {dilate} give the output shape {size}: '
            'stride * (size - 1) + dilate * (ksize - 1) + 1 - 2 * pad')
    return Windows(size, ksize, stride, pad, dilate, tuple(out))


def axis_slices(windows, axis, tap):
    """Return slices of the image and of the windows along one axis, where ``tap`` meets both."""
    size, stride, out = windows.size[axis], windows.stride[axis], windows.out[axis]
    offset = tap * windows.dilate[axis] - windows.pad[axis]
    first = max(0, -(offset // stride))
    last = min(out, (size - 1 - offset) // stride + 1)
    if last <= first:
        return slice(0, 0), slice(0, 0)
    return (slice(first * stride + offset, (last - 1) * stride + offset + 1, stride),
            slice(first, last))


def taps(windows):
    """Yield (tap, image slices, window slices) for every tap, row by row.

    The slices begin with one Ellipsis; the tap is a tuple with an index per axis.
    """
    axes = [[axis_slices(windows, axis, tap) for tap in range(k)]
            for axis, k in enumerate(windows.ksize)]
    for tap in product(*map(range, windows.ksize)):
        pairs = [slices[i] for slices, i in zip(axes, tap)]
        yield tap, (..., *(image for image, _ in pairs)), (..., *(out for _, out in pairs))


def padded(x, windows, target=None):
    """Return (N, C, *extent): what all windows together see of x, zeros around the image.

    Args:
        x: array (N, C, *size).
        target: result of an earlier call for as many images, to be written into.
    """
    if target is None:
        target = get_array_module(x).zeros((*x.shape[:2], *windows.extent), x.dtype)
    inner, outer = [...], [...]
    for size, pad, extent in zip(windows.size, windows.pad, windows.extent):
        first, last = max(pad, 0), min(extent, size + pad)
        inner.append(slice(first, max(last, first)))
        outer.append(slice(first - pad, max(last, first) - pad))
    target[tuple(inner)] = x[tuple(outer)]
    return target


def view(x, windows):
    """Return (N, C, *ksize, *out): every window of an array (N, C, *extent), without a copy."""
    ndim = len(windows.ksize)
    lead, strides = x.strides[:-ndim], x.strides[-ndim:]
    return get_array_module(x).lib.stride_tricks.as_strided(
        x, (*x.shape[:-ndim], *windows.ksize, *windows.out),
        (*lead, *(s * d for s, d in zip(strides, windows.dilate)),
         *(s * step for s, step in zip(strides, windows.stride))))


def unfold(x, windows):
    """Return a copy (N, C, *ksize, *out) of what every window sees."""
    return view(padded(x, windows), windows).copy()


def fold(columns, windows, x):
    """Add columns (..., *ksize, *out) to the places in x (..., *size) where they came from."""
    whole = [slice(None)] * len(windows.out)
    for tap, image, out in taps(windows):
        x[image] += columns[(..., *tap, *whole)][out]


def reduce_windows(ufunc, x, windows, identity):
    """Return (N, C, *out): ``ufunc`` (maximum or add) over every window of x, padding skipped.

    ``identity`` is the value of a window that sees padding alone. On the CPU some planes at a
    time go through all operations, so that they stay in the cache.
    """
    lead = x.ndim - len(windows.size)
    step = max(1, _PLANES_BYTES // max(1, math.prod(windows.size) * x.itemsize))
    if get_array_module(x) is not np or math.prod(x.shape[:lead]) <= step:
        return _reduce_axes(ufunc, x, windows, identity)
    planes = x.reshape(-1, *windows.size)
    y = results.empty((len(planes), *windows.out), x.dtype)

    def work(parts):
        for part in parts:
            y[part] = _reduce_axes(ufunc, planes[part], windows, identity)

    share(work, [slice(i, i + step) for i in range(0, len(planes), step)],
          y.size * sum(windows.ksize))
    return y.reshape(*x.shape[:lead], *windows.out)


def _reduce_axes(ufunc, x, windows, identity):
    """Axis after axis, by operations on shifted slices: k + k instead of k * k of them."""
    lead = x.ndim - len(windows.size)
    for axis, (out, k) in enumerate(zip(windows.out, windows.ksize)):
        if k == windows.stride[axis] == 1 and (windows.pad[axis], out) == (0, windows.size[axis]):
            continue   # every window is one position
        slices = [axis_slices(windows, axis, tap) for tap in range(k)]
        before = (slice(None),) * (lead + axis)
        # One window: NumPy's reduction is faster; CuPy has none of maxima.
        if out == 1 and windows.dilate[axis] == 1 and get_array_module(x) is np:
            offset = -windows.pad[axis]
            seen = x[(*before, slice(max(offset, 0), max(offset + k, 0)))]
            x = ufunc.reduce(seen, axis=lead + axis, keepdims=True, initial=identity)
            continue
        whole = [image for image, places in slices if places == slice(0, out)]
        partial = [pair for pair in slices if pair[1] != slice(0, out)]
        if len(whole) > 1:
            y = ufunc(x[(*before, whole[0])], x[(*before, whole[1])])
        elif whole:
            y = x[(*before, whole[0])].copy()
        else:
            y = get_array_module(x).full(
                (*x.shape[:lead + axis], out, *x.shape[lead + axis + 1:]), identity, x.dtype)
        for image, places in [(image, slice(0, out)) for image in whole[2:]] + partial:
            target = y[(*before, places)]
            ufunc(target, x[(*before, image)], out=target)
        x = y
    return x


def spread_windows(y, windows):
    """Return (N, C, *size): every y (N, C, *out) added to each position that its window sees.

    The adjoint of :func:`reduce_windows` with ``add``.
    """
    lead = y.ndim - len(windows.size)
    for axis in reversed(range(len(windows.size))):
        before = (slice(None),) * (lead + axis)
        x = get_array_module(y).zeros(
            (*y.shape[:lead + axis], windows.size[axis], *y.shape[lead + axis + 1:]), y.dtype)
        for tap in range(windows.ksize[axis]):
            image, places = axis_slices(windows, axis, tap)
            x[(*before, image)] += y[(*before, places)]
        y = x
    return y

"""Convolution of arrays: forward, transposed, and gradient of the weights.

All three take x (N, C, *size), W (O, C / groups, *ksize) and y (N, O, *out), as convolution_nd
names them, and the same :class:`~minichain.functions.windows.Windows`. The way that always works
is that of columns: what the windows of some positions see is copied side by side, then one matrix
product does the work. On NumPy arrays faster ways are taken where they fit: that of rows for few
channels, Winograd's (cpu/winograd.py), which ``config.winograd`` allows and phase_arrays.py
widens, and depthwise_arrays.py.
"""
import math
from typing import NamedTuple

import numpy as np

from minichain.backend import get_array_module
from minichain.configuration import config
from minichain.cpu import results, threads, winograd
from minichain.cpu.workspaces import workspace
from minichain.functions import depthwise_arrays, phase_arrays
from minichain.functions.windows import Windows, axis_slices, fold, padded, view
from minichain.gpu import convolution as by_kernels
from minichain.gpu.dispatch import fused

_GPU_BYTES = 1 << 29   # of columns at a time: a fair part of a small card
_CPU_BYTES = 1 << 20   # of columns of some images at a time: about a cache
_NARROW = 128          # columns below which a product alone is slow
_WIDE = 2048           # columns from which a product gains nothing by more of them
_ROWS = 512            # rows of columns that are added to an image at a time
_BAND = 4 << 20        # bytes of products of rows, and of what is multiplied, at a time
_MANY = 1024           # columns in all from which the gradient of W is faster turned over


@fused(by_kernels.convolve, libraries=('cublasLt',), accepts=by_kernels.are_images)
def convolve(x, W, b, windows, groups):
    """Return y (N, O, *out); b (O,) is added unless it is None."""
    if depthwise_arrays.fits(x, W.shape, groups):
        return depthwise_arrays.convolve(x, W, b, windows)
    if _by_winograd(x, W, len(W), windows, groups):
        return winograd.convolve(x, W, b, windows.pad, windows.out, groups)
    if _by_rows(x, W, len(W), windows, groups):
        return convolve_by_rows(x, W, b, windows, groups)
    phases = _phases(x, W, len(W), windows, groups)
    if phases is not None:
        return winograd.convolve(phase_arrays.split_image(x, windows, *phases),
                                 phase_arrays.split_filters(W, *phases), b, (0, 0), windows.out)
    return convolve_by_columns(x, W, b, windows, groups)


@fused(by_kernels.deconvolve, libraries=('cublasLt',), accepts=by_kernels.are_images)
def deconvolve(y, W, b, windows, groups):
    """Return x (N, C, *size), to which every y adds its window; b (C,) or None is added."""
    if depthwise_arrays.fits(y, W.shape, groups) and len(W) == groups:
        return depthwise_arrays.deconvolve(y, W, b, windows)
    if max(windows.stride) == 1 and (math.prod(windows.ksize) > 1 or windows.inside):
        # a convolution, W turned over
        ndim, out_channels, channels = len(windows.size), len(W) // groups, W.shape[1]
        turned_W = W.reshape(groups, out_channels, channels, *windows.ksize).swapaxes(1, 2)
        turned_W = turned_W[(..., *[slice(None, None, -1)] * ndim)].reshape(
            groups * channels, out_channels, *windows.ksize)
        turned = windows._replace(size=windows.out, out=windows.size, pad=tuple(
            (k - 1) * d - p for k, d, p in zip(windows.ksize, windows.dilate, windows.pad)))
        if _by_winograd(y, turned_W, len(turned_W), turned, groups):
            return winograd.convolve(y, turned_W, b, turned.pad, turned.out, groups)
        if _by_rows(y, turned_W, len(turned_W), turned, groups):
            return convolve_by_rows(y, turned_W, b, turned, groups)
        if get_array_module(y) is not np or out_channels <= 1.5 * channels:
            return convolve_by_columns(y, turned_W, b, turned, groups)
    return deconvolve_by_columns(y, W, b, windows, groups)


@fused(by_kernels.convolve_weight, libraries=('cublasLt',), accepts=by_kernels.are_images)
def convolve_weight(x, y, windows, groups):
    """Return W (O, C / groups, *ksize): sum over all windows of what they see, times y."""
    if depthwise_arrays.fits(x, (y.shape[1], x.shape[1] // groups, *windows.ksize), groups):
        return depthwise_arrays.convolve_weight(x, y, windows)
    if _by_winograd(x, y, y.shape[1], windows, groups, of_weight=True):
        return winograd.convolve_weight(x, y, windows.ksize[0], windows.pad, groups)
    if y.shape[1] <= x.shape[1] and _by_rows(x, y, y.shape[1], windows, groups):
        return convolve_weight_by_rows(x, y, windows, groups)
    phases = _phases(x, y, y.shape[1], windows, groups, of_weight=True)
    if phases is not None:
        gW = winograd.convolve_weight(phase_arrays.split_image(x, windows, *phases), y,
                                      phases[0], (0, 0))
        return phase_arrays.join_filters(gW, windows.ksize[0], phases[1])
    return convolve_weight_by_columns(x, y, windows, groups)


def _winograd_serves(x, other):
    return config.winograd and type(x) is np.ndarray and x.dtype == other.dtype == np.float32


def _by_winograd(x, other, out_channels, windows, groups, of_weight=False):
    return (_winograd_serves(x, other) and windows.ksize in ((3, 3), (5, 5))
            and set(windows.stride + windows.dilate) == {1} and min(windows.pad) >= 0
            and winograd.pays(len(x), x.shape[1] // groups, out_channels // groups,
                              windows.ksize[0], windows.out, of_weight))


def _phases(x, other, out_channels, windows, groups, of_weight=False):
    """Return side and stride if Winograd's way serves the phases of x, else None."""
    if not _winograd_serves(x, other) or groups > 1:
        return None
    phases = phase_arrays.geometry(windows)
    if phases is None or phases[0] not in (3, 5) or min(windows.pad) < 0:
        return None
    channels = x.shape[1] * phases[1] ** 2
    return phases if winograd.pays(len(x), channels, out_channels, phases[0], windows.out,
                                   of_weight) else None


def _by_rows(x, other, out_channels, windows, groups):
    return (type(x) is np.ndarray and x.dtype == other.dtype and x.itemsize >= 4
            and len(windows.size) == 2 and windows.stride[0] == 1 and windows.ksize[0] > 1
            and math.prod(windows.out) >= _NARROW
            and out_channels <= min(_NARROW * groups, 4 * x.shape[1]))


def convolve_by_rows(x, W, b, windows, groups):
    """:func:`convolve` of images on the CPU, for windows that do not stride from row to row.

    The columns hold the windows' neighbours in a row alone. One product multiplies them by all
    rows of the filters, and its parts are added, each shifted by as many rows as its own: less
    is copied, and the product is less narrow.
    """
    (kh, kw), (high, wide), dilate = windows.ksize, windows.out, windows.dilate[0]
    out_channels = len(W) // groups
    y = results.empty((len(x), len(W), high, wide), x.dtype)
    W = W.reshape(groups, out_channels, W.shape[1], kh, kw).transpose(0, 3, 1, 2, 4).reshape(
        groups, kh * out_channels, W.shape[1] * kw)
    b = None if b is None else b.reshape(groups, out_channels, 1, 1)

    def work(bands):
        for image, begin, end in bands:
            columns = _row_columns(x[image], windows, begin - windows.pad[0],
                                   end - begin + (kh - 1) * dilate)
            count = columns.shape[2]
            products = np.matmul(
                W, columns.reshape(groups, W.shape[2], count * wide),
                out=workspace('products', (groups, W.shape[1], count * wide), x.dtype))
            products = products.reshape(groups, kh, out_channels, count, wide)
            parts = [products[:, tap, :, tap * dilate:tap * dilate + end - begin]
                     for tap in range(kh)]
            target = y[image].reshape(groups, out_channels, high, wide)[:, :, begin:end]
            np.add(parts[0], parts[1], out=target)
            for part in parts[2:] + [b] * (b is not None):
                target += part

    threads.share(work, _bands(x, len(W[0]) * groups, windows), y.size * W.shape[2] * kh)
    return y


def convolve_weight_by_rows(x, y, windows, groups):
    """:func:`convolve_weight` where :func:`convolve_by_rows` is :func:`convolve`."""
    (kh, kw), (high, wide), dilate = windows.ksize, windows.out, windows.dilate[0]
    channels, out_channels = x.shape[1] // groups, y.shape[1] // groups

    def work(bands):
        W = np.zeros((groups, channels * kw, kh * out_channels), x.dtype)
        for image, begin, end in bands:
            count = end - begin + (kh - 1) * dilate
            columns = _row_columns(x[image], windows, begin - windows.pad[0], count)
            values = workspace('products', (groups, kh, out_channels, count, wide), x.dtype)
            for tap in range(kh):
                part, first, last = values[:, tap], tap * dilate, tap * dilate + end - begin
                part[:, :, :first], part[:, :, last:] = 0, 0
                part[:, :, first:last] = y[image].reshape(
                    groups, out_channels, high, wide)[:, :, begin:end]
            W += columns.reshape(groups, W.shape[1], count * wide) @ values.reshape(
                groups, W.shape[2], count * wide).swapaxes(1, 2)
        return W

    bands = _bands(x, kh * y.shape[1], windows)
    W = sum(threads.share(work, bands, y.size * channels * kh * kw))
    return np.ascontiguousarray(W.reshape(groups, channels, kw, kh, out_channels).transpose(
        0, 4, 1, 3, 2)).reshape(-1, channels, kh, kw)


def _bands(x, rows, windows):
    """Return a list of (index of an image, first row of windows, and the one after the last).

    Args:
        rows: height of the products; that of the columns is added.
    """
    (high, wide), rows = windows.out, rows + x.shape[1] * windows.ksize[1]
    number = -(-high // max(1, _BAND // (rows * x.itemsize * wide)))
    cuts = [high * i // number for i in range(number + 1)]
    return [(image, *band) for image in range(len(x)) for band in zip(cuts, cuts[1:])]


def _row_columns(image, windows, first, count):
    """Return (C, kw, count, ow): what windows see of ``count`` rows of an image (C, H, W).

    Args:
        first: the first of these rows; rows outside the image are 0.
    """
    columns = workspace('columns', (len(image), windows.ksize[1], count, windows.out[1]),
                        image.dtype)
    top = min(max(0, -first), count)
    bottom = max(top, min(count, windows.size[0] - first))
    columns[:, :, :top], columns[:, :, bottom:] = 0, 0
    for tap in range(windows.ksize[1]):
        seen, places = axis_slices(windows, 1, tap)
        rows = columns[:, tap, top:bottom]
        rows[..., :places.start], rows[..., places.stop:] = 0, 0
        rows[..., places] = image[:, first + top:first + bottom, seen]
    return columns


class Piece(NamedTuple):
    """Some windows of some images.

    Attributes:
        images: slice of the images.
        out, seen: slices along the first spatial axis, of the windows and of what they see.
        windows: the geometry of this part of the image.
        joined: whether the images are laid side by side into one product.
    """

    images: slice
    out: slice
    seen: slice
    windows: Windows
    joined: bool


def convolve_by_columns(x, W, b, windows, groups):
    """:func:`convolve` for every geometry, dtype and device."""
    xp = get_array_module(x)
    y = (results if xp is np else xp).empty((len(x), len(W), *windows.out), x.dtype)
    W = W.reshape(groups, len(W) // groups, -1)
    b = None if b is None else b.reshape(-1, *[1] * len(windows.out))

    def work(pieces):
        for piece, columns in _columns(x, pieces, groups):
            target = y[piece.images, :, piece.out]
            if piece.joined:
                _spread(target)[...] = _unjoin(W @ columns, target)
            else:
                xp.matmul(W, columns, out=target.reshape(len(target), groups, W.shape[1], -1))
            if b is not None:
                target += b

    cost = y.size * W.shape[2]
    _share(work, x, _pieces(x, windows, cost), cost)
    return y


def deconvolve_by_columns(y, W, b, windows, groups):
    """:func:`deconvolve` for every geometry, dtype and device."""
    xp, ndim, positions = get_array_module(y), len(windows.size), math.prod(windows.out)
    out_channels, channels = len(W) // groups, W.shape[1]
    x = xp.zeros((len(y), groups * channels, *windows.size), y.dtype)
    W = W.reshape(groups, out_channels, channels, -1)
    taps = W.shape[3]
    step = channels if xp is not np else max(1, _ROWS // taps)

    def work(parts):
        for part, joined in parts:
            images = x[part].reshape(-1, groups, channels, *windows.size)
            values = _join(y[part], groups) if joined else y[part].reshape(
                len(images), groups, out_channels, positions)
            for begin in range(0, channels, step):
                rows = W[:, :, begin:begin + step].reshape(groups, out_channels, -1)
                columns = rows.swapaxes(1, 2) @ values
                some = images[:, :, begin:begin + step]
                shape = *some.shape[1:3], *windows.ksize
                if joined:
                    columns = xp.moveaxis(
                        columns.reshape(*shape, len(images), *windows.out), ndim + 2, 0)
                else:
                    columns = columns.reshape(len(images), *shape, *windows.out)
                fold(columns, windows, some)
            if b is not None:
                x[part] += b.reshape(-1, *[1] * ndim)

    _share(work, y, _parts(y, W.shape[2] * taps * groups, positions), y.size * channels * taps)
    return x


def convolve_weight_by_columns(x, y, windows, groups):
    """:func:`convolve_weight` for every geometry, dtype and device."""
    channels, out_channels = x.shape[1] // groups, y.shape[1]
    xp, rows = get_array_module(x), channels * math.prod(windows.ksize)
    turned = len(x) * math.prod(windows.out) > _MANY
    shape = (rows, out_channels // groups) if turned else (out_channels // groups, rows)

    def work(pieces):
        W = xp.zeros((groups, *shape), x.dtype)
        for piece, columns in _columns(x, pieces, groups):
            values = y[piece.images, :, piece.out]
            values = _join(values, groups) if piece.joined else values.reshape(
                len(values), groups, out_channels // groups, -1)
            left, right = (columns, values) if turned else (values, columns)
            product = left @ right.swapaxes(-1, -2)
            W += product if piece.joined else product.sum(axis=0)
        return W

    cost = y.size * rows
    parts = _share(work, x, _pieces(x, windows, cost), cost)
    W = sum(parts[1:], parts[0])
    W = xp.ascontiguousarray(W.swapaxes(1, 2)) if turned else W
    return W.reshape(out_channels, channels, *windows.ksize)


def _share(work, x, pieces, cost):
    return threads.share(work, pieces, cost) if get_array_module(x) is np else [work(pieces)]


def _parts(x, rows, positions):
    """Return a list of (slice of the images, whether to join them into one product).

    Args:
        x: array with the images along axis 0.
        rows, positions: height and width of the columns of one image.
    """
    limit = _CPU_BYTES if get_array_module(x) is np else _GPU_BYTES
    count = max(limit // max(rows * positions * x.dtype.itemsize, 1), -(-2 * _NARROW // positions))
    count = count if positions < _NARROW or limit == _GPU_BYTES else 1
    slices = [slice(start, min(start + count, len(x))) for start in range(0, len(x), count)]
    return [(part, positions < _NARROW and part.stop - part.start > 1) for part in slices]


def _pieces(x, windows, cost):
    """Return the list of :class:`Piece` in which all windows of images x are worked on.

    Args:
        cost: number of multiplications in all.
    """
    positions, taps = math.prod(windows.out), math.prod(windows.ksize)
    parts, number = _parts(x, x.shape[1] * taps, positions), 1
    if get_array_module(x) is np and taps > 1:   # where nothing is copied BLAS needs no bands
        shared = threads.count() if cost >= threads.LEAST else 1
        number = min(-(-shared // max(1, len(parts))), max(1, positions // _NARROW))
        number = max(number, positions // _WIDE)
    step, stride = -(-windows.out[0] // min(number, windows.out[0])), windows.stride[0]
    bands = []
    for begin in range(0, windows.out[0], step):
        out = slice(begin, min(begin + step, windows.out[0]))
        start = begin * stride - windows.pad[0]
        stop = start + (out.stop - begin - 1) * stride + (windows.extent[0] - (
            windows.out[0] - 1) * stride)
        seen = slice(max(0, start), max(0, start, min(stop, windows.size[0])))
        bands.append((out, seen, windows._replace(
            size=(seen.stop - seen.start, *windows.size[1:]),
            pad=(seen.start - start, *windows.pad[1:]), out=(out.stop - begin, *windows.out[1:]))))
    return [Piece(part, *band, joined) for part, joined in parts for band in bands]


def _columns(x, pieces, groups):
    """Yield (piece, columns): (groups, rows, B * L) if joined, else (B, groups, rows, L)."""
    xp, c = get_array_module(x), x.shape[1]
    empty = workspace if xp is np else lambda name, shape, dtype: xp.empty(shape, dtype)
    for piece in pieces:
        images, windows = x[piece.images, :, piece.seen], piece.windows
        if windows.inside and math.prod(windows.ksize) == 1:
            images = images[(..., *(slice(0, e, s)
                                    for e, s in zip(windows.extent, windows.stride)))]
            yield piece, (_join(images, groups) if piece.joined else images.reshape(
                len(images), groups, c // groups, -1))
            continue
        if not windows.inside:
            margin = empty('margin', (len(images), c, *windows.extent), x.dtype)
            margin[...] = 0
            images = padded(images, windows, margin)
        seen = view(images, windows)
        if piece.joined:   # (C, *ksize, B, *out)
            seen = xp.moveaxis(seen, 0, len(windows.out) + 1)
        columns = empty('columns', seen.shape, x.dtype)
        columns[...] = seen
        rows = c // groups * math.prod(windows.ksize)
        yield piece, columns.reshape((groups, rows, -1) if piece.joined else
                                     (len(images), groups, rows, -1))


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

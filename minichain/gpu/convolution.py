"""Convolution of images on a GPU: a kernel copies what windows see, matrix products do the rest.

What is computed, and the shapes, are those of functions/convolution_arrays.py. Columns (im2col.py)
of as many images as fit MOST bytes are made at a time; of an image whose columns alone are more,
some rows of windows, one at least. Windows of one position need no columns. Besides columns no
more memory is taken than a copy of the operands. Channels that are filtered each by itself have
kernels without columns (depthwise.py).

Where cuDNN is installed and ``config.use_cudnn`` allows, the faster way is taken (fastest.py).
"""
import functools
import math

import numpy as np

from minichain.backend import get_array_module
from minichain.configuration import config
from minichain.gpu import cublaslt, cudnn, cudnn_convolution, fastest
from minichain.gpu.depthwise import depthwise, depthwise_gradient, depthwise_weights
from minichain.gpu.gemm import gemm
from minichain.gpu.im2col import col2im, im2col
from minichain.gpu.launcher import MACHINES
from minichain.gpu.libraries import available
from minichain.gpu.simulator import Simulator

MOST = 1 << 28   # bytes of columns at a time


def are_images(first, second, *_):
    """Return whether :func:`convolve`, :func:`deconvolve`, :func:`convolve_weight` take these."""
    return first.ndim == second.ndim == 4 and second.dtype == np.float32 and second.size > 0


def convolve(x, W, b, windows, groups):
    """Return y (N, O, OH, OW); b (O,) or None is added."""
    x, W, b = _contiguous(x, W, b)
    y = get_array_module(x).empty((len(x), len(W), *windows.out), x.dtype)
    _run('forward' if b is None else 'forward with bias', (x, W, y), windows, groups,
         lambda: _convolve(x, W, b, y, windows, groups),
         lambda: depthwise(x, W, b, y, *windows[2:5]),
         lambda how: cudnn_convolution.convolution_forward(x, W, y, how, b=b))
    return y


def deconvolve(y, W, b, windows, groups):
    """Return x (N, C, H, W), to which every y adds its window; b (C,) or None is added."""
    y, W, b = _contiguous(y, W, b)
    x = get_array_module(y).empty((len(y), groups * W.shape[1], *windows.size), y.dtype)
    _run('backward data', (x, W, y), windows, groups,
         lambda: _deconvolve(y, W, x, windows, groups),
         lambda: depthwise_gradient(y, W, x, *windows[2:5]),
         lambda how: cudnn_convolution.convolution_backward_data(W, y, x, how))
    if b is not None:
        x += b[:, None, None]
    return x


def convolve_weight(x, y, windows, groups):
    """Return W (O, C / groups, kh, kw): sum over all windows of what they see, times y."""
    x, y = _contiguous(x, y)
    W = get_array_module(x).empty((y.shape[1], x.shape[1] // groups, *windows.ksize), x.dtype)
    _run('backward filter', (x, W, y), windows, groups,
         lambda: _convolve_weight(x, y, W, windows, groups),
         lambda: depthwise_weights(x, y, W, *windows[2:5]),
         lambda how: cudnn_convolution.convolution_backward_filter(x, y, W, how))
    return W


def _contiguous(*arrays):
    return [x if x is None else get_array_module(x).ascontiguousarray(x) for x in arrays]


def _run(name, arrays, windows, groups, by_columns, by_channels, by_cudnn):
    """Fill a result by our kernels, or by cuDNN where that may serve and is faster.

    Args:
        arrays: x, W and y.
        by_columns, by_channels: functions; the latter for filters of one channel each.
        by_cudnn: function of a :class:`~minichain.gpu.cudnn_convolution.Convolution`.
    """
    by_kernels = by_channels if groups > 1 == arrays[1].shape[1] else by_columns
    if not cudnn_serves(arrays[0], windows):
        by_kernels()
        return
    how = cudnn_convolution.Convolution(windows.stride, windows.pad, windows.dilate, groups)
    if config.use_cudnn == 'always':
        by_cudnn(how)
        return
    key = (f'{name} {" ".join(str(array.shape) for array in arrays)} {tuple(how)} '
           f'{config.precision} cublasLt {cublaslt.version()} cuDNN {cudnn.version()}')
    fastest.run(key, (by_kernels, functools.partial(by_cudnn, how)))


def cudnn_serves(x, windows):
    """Return whether cuDNN may run; it counts windows itself, and none beyond the padding.

    Where results have to repeat from run to run nothing is chosen by a clock, so that it runs only
    if ``config.use_cudnn`` is 'always'.
    """
    return (config.use_cudnn != 'never' and not isinstance(MACHINES.get(type(x)), Simulator)
            and (config.use_cudnn == 'always' or not config.deterministic)
            and min(windows.pad) >= 0 and _cudnn_is_there()
            and all(out == (n + 2 * p - d * (k - 1) - 1) // s + 1
                    for n, k, s, p, d, out in zip(*windows)))


@functools.cache
def _cudnn_is_there():
    return available('cudnn')


def _convolve(x, W, b, y, windows, groups):
    positions, each = math.prod(windows.out), len(W) // groups
    W, results = W.reshape(groups, each, -1), y.reshape(len(x), groups, each, positions)
    b = None if b is None else b.reshape(groups, each)
    if windows.pointwise:
        _multiply(W, x.reshape(len(x), groups, -1, positions), results, b=b)
        return
    for images, places, part in _parts(x, windows):
        columns = _columns(x[images], part)
        _multiply(W, columns.reshape(len(columns), groups, W.shape[2], -1),
                  results[images, :, :, places], b=b)


def _deconvolve(y, W, x, windows, groups):
    xp, positions, each = get_array_module(y), math.prod(windows.out), len(W) // groups
    W, values = W.reshape(groups, each, -1), y.reshape(len(y), groups, each, positions)
    if windows.pointwise:
        _multiply(W, values, x.reshape(len(y), groups, -1, positions), turned=True)
        return
    for images, places, part in _parts(x, windows):
        target = x[images]
        columns = xp.empty((*target.shape[:2], *part.ksize, *part.out), x.dtype)
        _multiply(W, values[images, :, :, places],
                  columns.reshape(len(target), groups, W.shape[2], -1), turned=True)
        more = xp.empty_like(target) if places.start else target   # col2im does not add
        col2im(columns, more, part.stride, part.pad, part.dilate)
        if more is not target:
            target += more


def _convolve_weight(x, y, W, windows, groups):
    """One product over all images, of a copy of y with the images side by side; or, where it
    takes less memory, a product for each image, which are added up.
    """
    xp, positions, pointwise = get_array_module(x), math.prod(windows.out), windows.pointwise
    W = W.reshape(groups, len(W) // groups, -1)
    values = y.reshape(len(y), groups, -1, positions)
    joined = positions * (y.shape[1] + pointwise * x.shape[1]) < W.size
    if pointwise and not joined:
        _products(values, x.reshape(len(x), groups, -1, positions)).sum(axis=0, out=W)
        return
    beta = 0
    for images, places, part in _parts(x, windows):
        columns, some = _columns(x[images], part, joined), values[images, :, :, places]
        if joined:
            gemm(xp.ascontiguousarray(some.transpose(1, 2, 0, 3)).reshape(*W.shape[:2], -1),
                 columns.reshape(groups, W.shape[2], -1), W, trans_b=True, beta=beta)
        else:
            products = _products(some, columns.reshape(len(columns), groups, W.shape[2], -1))
            W[...] = products.sum(axis=0) + (W if beta else 0)
        beta = 1


def _parts(x, windows):
    """Yield (slice of the images x, slice of the positions, Windows of these positions)."""
    (high, wide), N = windows.out, len(x)
    row = x.shape[1] * math.prod(windows.ksize) * wide * x.itemsize
    count, rows = max(1, MOST // (row * high)), max(1, min(high, MOST // row))
    for first in range(0, N, count):
        for top in range(0, high, rows):
            bottom = min(top + rows, high)
            yield (slice(first, min(first + count, N)), slice(top * wide, bottom * wide),
                   windows._replace(out=(bottom - top, wide), pad=(
                       windows.pad[0] - top * windows.stride[0], windows.pad[1])))


def _columns(x, windows, joined=False):
    """Return (N, C, kh, kw, OH, OW), or joined (C, kh, kw, N, OH, OW)."""
    shape = (x.shape[1], *windows.ksize)
    columns = get_array_module(x).empty(
        (*shape, len(x), *windows.out) if joined else (len(x), *shape, *windows.out), x.dtype)
    im2col(x, columns, windows.stride, windows.pad, windows.dilate, joined)
    return columns


def _multiply(W, columns, out, turned=False, b=None):
    """Store  out[n, g] = W[g] @ columns[n, g] + b[g],  W turned over if so told.

    Args:
        W: (groups, rows, K). columns: (N, groups, K, L). out: (N, groups, rows, L).
        b: (groups, rows) or None.
    """
    if out.shape[3] == 1 and columns.strides[2] == out.strides[2] == out.itemsize:
        for g in range(len(W)):   # vectors: those of all images are the rows of one matrix
            gemm(columns[:, g, :, 0], W[g], out[:, g, :, 0], trans_b=not turned,
                 epilogue=None if b is None else 'bias', bias=None if b is None else b[g])
        return
    if b is not None:   # of rows: the library's epilogue knows one of columns
        out[...] = b[..., None]
    for left, right, result in _pairs(W, columns, out):
        gemm(left, right, result, trans_a=turned, beta=int(b is not None))


def _products(values, columns):
    """Return values[n, g] @ columns[n, g].T,  (N, groups, O / groups, K)."""
    products = get_array_module(values).empty((*values.shape[:3], columns.shape[2]), values.dtype)
    for left, right, result in _pairs(values, columns, products):
        gemm(left, right, result, trans_b=True)
    return products


def _pairs(left, right, out):
    """Yield operands of batches of products, as few as can be: by groups or by images.

    Args:
        left: (N, groups, ., .), or (groups, ., .), the same for all images.
        right, out: (N, groups, ., .).
    """
    N, groups = out.shape[:2]
    for i in range(min(N, groups)):
        if groups <= N:
            yield left[..., i, :, :], right[:, i], out[:, i]
        else:
            yield left if left.ndim == 3 else left[i], right[i], out[i]

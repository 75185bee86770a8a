"""Pools: windows over an image, the whole image, and back."""
import math

import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.functions.average_pooling import average_windows
from minichain.functions.max_pooling import max_windows, winners
from minichain.functions.windows import reduce_windows
from minichain.onnx.operators.geometry import expect_image, lengths, pool_windows, split_pads
from minichain.onnx.operators.values import check_growth, is_float, root, send_like, to_ints


def max_pool(node, x):
    windows, _ = pool_windows(node, x)
    if is_float(x):
        y = max_windows(x, windows)
    else:
        x, xp = as_array(x), get_array_module(x)
        y = reduce_windows(xp.maximum, x, windows, np.iinfo(x.dtype).min)
    if len(node.outputs) < 2 or not node.outputs[1]:
        return y
    return y, places(as_array(x), as_array(y), windows, node.get('storage_order', 0))


def places(x, y, windows, column_major):
    """Where in x, counted through all its images and channels, each maximum lies; int64."""
    xp, tap = get_array_module(x), winners(x, y, windows).astype('int64')
    axes = list(enumerate(zip(*windows)))
    steps = [math.prod(windows.size[:axis] if column_major else windows.size[axis + 1:])
             for axis, _ in axes]
    index = xp.arange(math.prod(y.shape[:2])).reshape(*y.shape[:2], *[1] * len(axes))
    index = index * math.prod(windows.size)
    for (axis, (size, k, stride, pad, dilate, out)), step in zip(axes, steps):
        first = xp.arange(out).reshape(-1, *[1] * (len(axes) - axis - 1)) * stride - pad
        turn = tap // math.prod(windows.ksize[axis + 1:]) % k
        index = index + xp.clip(first + turn * dilate, 0, size - 1) * step
    return index


def count_taps(windows, before, behind):
    """An array (*out): how many taps of each window lie in the image or its pads."""
    counts = np.ones((), 'int64')
    for (size, k, stride, pad, dilate, out), p, q in zip(zip(*windows), before, behind):
        start = np.arange(out) * stride - pad
        first, end = (np.clip(-((start - edge) // dilate), 0, k) for edge in (-p, size + q))
        counts = counts[..., None] * (end - first)
    return np.maximum(counts, 1)


def average_pool(node, x):
    windows, behind = pool_windows(node, x)
    if node.get('count_include_pad'):
        counts = count_taps(windows, windows.pad, behind)
    else:
        counts = count_taps(windows, *((0,) * len(behind),) * 2)
    least, most = int(counts.min(initial=1)), int(counts.max(initial=1))
    if windows.inside:
        least = most = math.prod(windows.ksize)
    return average_windows(x, windows, most if least == most else counts)


def lp_pool(node, x):
    windows, _ = pool_windows(node, x)
    p = node.get('p', 2)
    sums = average_windows(x * x if p == 2 else abs(x) ** p, windows, None)
    return root(sums) if p == 2 else sums ** (1 / p)


def over_image(function):
    """An operator that reduces all spatial axes to one element."""
    def operator(node, x):
        expect_image(x)
        return function(node, x, tuple(range(2, x.ndim)))
    return operator


def global_lp_pool(node, x, axes):
    p = node.get('p', 2)
    return F.sum(abs(x) ** p, axis=axes, keepdims=True) ** (1 / p)


def max_unpool(node, x, index, output_shape=None):
    expect_image(x)
    ndim = x.ndim - 2
    ksize, stride = (lengths(node, name, ndim, default, 1)
                     for name, default in (('kernel_shape', 0), ('strides', 1)))
    before, behind = split_pads(node, ndim)
    size = tuple((n - 1) * s - p - q + k for n, s, p, q, k in zip(
        x.shape[2:], stride, before, behind, ksize))
    shape = check_growth((*x.shape[:2], *size), x)
    if output_shape is not None:
        whole = check_growth(to_ints(output_shape), x)
        if len(whole) != x.ndim or whole[:2] != x.shape[:2]:
            raise DataError(f'an output_shape for {x.shape} expected, got {whole}')
    if index.shape != x.shape:
        raise DataError(f'indices of the shape {x.shape} expected, got {index.shape}')
    y = F.reshape(put(x, send_like(index, x), math.prod(shape)), shape)
    if output_shape is None or whole == shape:
        return y
    y = y[tuple(slice(0, length) for length in whole)]
    return F.pad(y, [(0, length - n) for length, n in zip(whole, y.shape)], 'constant')


def put(x, index, size):
    """A flat tensor of zeros, with each x where its index says; the last one stays."""
    index = index.ravel()
    if index.size and not 0 <= int(index.min()) <= int(index.max()) < size:
        raise DataError(f'indices from 0 to {size - 1} expected, got {int(index.min())} to '
                        f'{int(index.max())}')
    xp = get_array_module(x)
    source = xp.full(size, x.size)
    source[index] = xp.arange(x.size)
    return F.concat([F.reshape(x, (-1,)), xp.zeros(1, x.dtype)], axis=0)[source]


OPERATORS = {
    'AveragePool': average_pool,
    'GlobalAveragePool': over_image(lambda node, x, axes: F.mean(x, axis=axes, keepdims=True)),
    'GlobalLpPool': over_image(global_lp_pool),
    'GlobalMaxPool': over_image(lambda node, x, axes: F.max(x, axis=axes, keepdims=True)),
    'LpPool': lp_pool,
    'MaxPool': max_pool,
    'MaxUnpool': max_unpool,
}

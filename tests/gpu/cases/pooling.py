"""Kernels of pooling.cu: windows cut out of a padded image one by one, in float64."""
import numpy as np

from minichain.gpu.pooling import (
    average_pooling_backward,
    average_pooling_forward,
    max_pooling_backward,
    max_pooling_forward,
)
from tests.gpu.registry import reference

# N, C, H, W, window, stride, padding, windows beyond the last full one, channels last.
SIZES = [(1, 2, 5, 6, 3, 2, 1, 0, 0), (2, 3, 7, 5, 3, 2, 0, 1, 1), (1, 1, 1, 1, 1, 1, 0, 0, 0),
         (2, 5, 14, 13, 3, 1, 1, 0, 1), (3, 2, 21, 18, 3, 3, 1, 1, 0), (2, 4, 7, 7, 7, 1, 0, 0, 0)]


def windows(H, W, k, stride, pad, more):
    """Yield (row, column, slices of the image) of each window, clipped to the image."""
    for row in range(count(H, k, stride, pad, more)):
        for column in range(count(W, k, stride, pad, more)):
            top, left = row * stride - pad, column * stride - pad
            yield row, column, (slice(max(0, top), min(H, top + k)),
                                slice(max(0, left), min(W, left + k)))


def count(size, k, stride, pad, more):
    return (size + 2 * pad - k) // stride + 1 + more


def case(random, store, N, C, H, W, k, stride, pad, more, last):
    """Return image, gradients of windows, what windows see, and a way to the layout asked for."""
    x = store(np.round(random.standard_normal((N, C, H, W)) * 4) / 4)   # with equal ones
    out = count(H, k, stride, pad, more), count(W, k, stride, pad, more)
    gy = store(random.standard_normal((N, C, *out)))
    common = {'ksize': (k, k), 'stride': (stride, stride), 'pad': (pad, pad),
              'channels_last': bool(last)}

    def lay(array):
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1) if last else array)
    return x, gy, list(windows(H, W, k, stride, pad, more)), common, lay


def largest(x, gy, seen):
    """Return maxima, their places, and gradients of the image."""
    N, C, _, W = x.shape
    y, places, gx = np.zeros(gy.shape), np.zeros(gy.shape, np.int32), np.zeros(x.shape)
    for row, column, (rows, columns) in seen:
        part = x[:, :, rows, columns].astype(np.float64).reshape(N, C, -1)
        winner = part.argmax(axis=2)
        y[:, :, row, column] = part.max(axis=2)
        width = columns.stop - columns.start
        at = (winner // width + rows.start, winner % width + columns.start)
        places[:, :, row, column] = at[0] * W + at[1]
        np.add.at(gx, (np.arange(N)[:, None], np.arange(C), *at),
                  gy[:, :, row, column].astype(np.float64))
    return y, places, gx


def empty_as(store, array):
    return store(np.full(array.shape, np.nan))


@reference('max_pooling_forward', max_pooling_forward, SIZES, registers=64)
def forward_of_max(random, store, *size):
    x, gy, seen, common, lay = case(random, store, *size)
    y, places, _ = largest(x, gy, seen)
    arguments = {'x': lay(x), 'y': empty_as(store, lay(y)), 'winners': lay(places) * 0 - 7}
    return {**arguments, **common}, {'y': lay(y), 'winners': lay(places)}


@reference('max_pooling_backward', max_pooling_backward, SIZES, registers=64)
def backward_of_max(random, store, *size):
    x, gy, seen, common, lay = case(random, store, *size)
    _, places, gx = largest(x, gy, seen)
    arguments = {'gy': lay(gy), 'winners': lay(places), 'gx': empty_as(store, lay(gx))}
    return {**arguments, **common}, {'gx': lay(gx)}


def means(x, gy, seen, size, counts_padding):
    """Return means and gradients of the image."""
    _, _, H, W, k, stride, pad, _, _ = size
    y, gx, margin = np.zeros(gy.shape), np.zeros(x.shape), pad if counts_padding else 0
    for row, column, part in seen:
        rows, columns = (len(set(range(i * stride - pad, i * stride - pad + k))
                             & set(range(-margin, n + margin)))
                         for i, n in ((row, H), (column, W)))
        y[:, :, row, column] = x[(..., *part)].astype(np.float64).sum(axis=(2, 3)) / max(
            1, rows * columns)
        gx[(..., *part)] += (gy[:, :, row, column].astype(np.float64) / max(
            1, rows * columns))[..., None, None]
    return y, gx


@reference('average_pooling_forward', average_pooling_forward, SIZES, registers=64)
def forward_of_mean(random, store, *size):
    x, gy, seen, common, lay = case(random, store, *size)
    y, _ = means(x, gy, seen, size, counts_padding=size[0] == 2)
    arguments = {'x': lay(x), 'y': empty_as(store, lay(y)), 'counts_padding': size[0] == 2}
    return {**arguments, **common}, {'y': lay(y)}


@reference('average_pooling_backward', average_pooling_backward, SIZES, registers=64)
def backward_of_mean(random, store, *size):
    x, gy, seen, common, lay = case(random, store, *size)
    _, gx = means(x, gy, seen, size, counts_padding=size[0] == 2)
    arguments = {'gy': lay(gy), 'gx': empty_as(store, lay(gx)), 'counts_padding': size[0] == 2}
    return {**arguments, **common}, {'gx': lay(gx)}

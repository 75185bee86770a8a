"""Caffe's layers that look at a neighbourhood: pooling, which rounds up, and normalization."""

import math

import minichain.functions as F
from minichain.caffe.geometry import expect_image, expect_size, pooled_length, spatial
from minichain.errors import DataError
from minichain.functions.average_pooling import average_windows, count_inside
from minichain.functions.max_pooling import max_windows
from minichain.functions.windows import Windows

MAX_TAPS = 1 << 18      # each costs a pass over the result


def pooling(layer, blobs):
    p = layer.pooling_param
    if not p.global_pooling:
        ksize = spatial(p, 'kernel_size')
    stride, pad = spatial(p, 'stride', 1), spatial(p, 'pad', 0)
    if p.global_pooling and (stride, pad) != ((1, 1), (0, 0)):
        raise DataError('global_pooling has no stride and no pad')
    if not p.global_pooling and any(q >= k for q, k in zip(pad, ksize)):
        raise DataError(f'pad {pad} below kernel_size {ksize} expected')

    def forward(x):
        expect_image(x)
        windows = x.shape[2:] if p.global_pooling else ksize
        if p.pool == 'MAX':
            return max_pool(x, windows, stride, pad)
        if p.pool == 'AVE':
            return average_pool(x, windows, stride, pad)
        # stochastic, at test time: the mean of each window, weighted with the values themselves
        total = average_pool(x, windows, stride, pad)
        return average_pool(x * x, windows, stride, pad) / (total + (total.array == 0))
    return forward


def max_pool(x, *window):
    return max_windows(x, caffe_windows(x, *window))


def average_pool(x, *window):
    """Averages that count the padding, but nothing behind it."""
    windows = caffe_windows(x, *window)
    counts = count_inside(windows, margin=windows.pad)
    return average_windows(x, windows, counts)


def caffe_windows(x, ksize, stride, pad):
    """Where Caffe's pooling windows lie over a batch of images."""
    out = tuple(map(pooled_length, x.shape[2:], ksize, stride, pad))
    expect_size(x, x.shape[1], *out)
    if math.prod(ksize) > MAX_TAPS:
        raise DataError(f'a window of at most {MAX_TAPS} pixels expected, got {ksize}')
    return Windows(x.shape[2:], ksize, stride, pad, (1, 1), out)


def lrn(layer, blobs):
    p = layer.lrn_param
    n = p.local_size
    if n % 2 == 0 or n > 511:
        raise DataError(f'local_size: an odd number up to 511 expected, got {n}')

    def forward(x):
        if p.norm_region == 'ACROSS_CHANNELS':
            return F.local_response_normalization(x, n, p.k, p.alpha / n, p.beta)
        # Caffe has no k here
        return x * (1 + p.alpha * average_pool(x * x, (n, n), (1, 1), (n // 2,) * 2)) ** -p.beta
    return forward

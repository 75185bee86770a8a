"""Kernels of pooling_channels_last.cu: windows cut out of a padded image, in float64."""
import numpy as np

from minichain.gpu.pooling_channels_last import (
    max_pooling_channels_last,
    mean_pooling_channels_last,
)
from tests.gpu.cases.pooling import SIZES as IMAGES
from tests.gpu.cases.pooling import case, largest, means
from tests.gpu.registry import reference

# As in pooling.py, the last number now: more channels that are pooled; others of the image before
# and behind them, of the result before and behind.
PARTS = [(0, 0, 0, 0, 0), (5, 8, 8, 8, 8), (0, 1, 2, 3, 5), (11, 0, 0, 0, 0), (6, 8, 0, 2, 3),
         (4, 8, 8, 0, 0)]
SIZES = [(*image[:-1], *part) for image, part in zip(IMAGES, PARTS)]


def among_others(x, before, behind, other):
    """Return (N, ..., C) with channels of another value on either side."""
    sides = (np.full((*x.shape[:-1], n), other) for n in (before, behind))
    return np.concatenate((next(sides), x, next(sides)), -1)


def build(random, store, size, compute):
    N, C, H, W, k, stride, pad, more, extra, begin, x_behind, first, behind = size
    x, gy, seen, common, lay = case(random, store, N, C + extra, H, W, k, stride, pad, more, True)
    y = np.maximum(lay(compute(x, gy, seen)), 0 if N == 2 else -np.inf)
    y = among_others(y, first, behind, -5)
    return {'x': store(among_others(lay(x), begin, x_behind, np.nan)), 'begin': begin,
            'channels': C + extra, 'y': store(np.full(y.shape, -5)), 'first': first,
            'relu': N == 2, **{key: common[key] for key in ('ksize', 'stride', 'pad')}}, {'y': y}


@reference('max_pooling_channels_last', max_pooling_channels_last, SIZES, registers=72)
def of_max(random, store, *size):
    return build(random, store, size, lambda *given: largest(*given)[0])


@reference('mean_pooling_channels_last', mean_pooling_channels_last, SIZES, registers=72)
def of_mean(random, store, *size):
    arguments, expected = build(random, store, size, lambda *given: means(
        *given, (None, None, *size[2:8], None), size[0] == 2)[0])
    return {**arguments, 'counts_padding': size[0] == 2}, expected

"""Kernels of pooling_channels_last.cu: windows cut out of a padded image, in float64."""
import numpy as np

from minichain.gpu.pooling_channels_last import (
    max_pooling_channels_last,
    mean_pooling_channels_last,
)
from tests.gpu.cases.pooling import SIZES as IMAGES
from tests.gpu.cases.pooling import case, largest, means
from tests.gpu.registry import reference

# As in pooling.py, the last number now: more channels of image, of result, the first filled one.
PARTS = [(0, 0, 0), (5, 8, 8), (0, 5, 3), (11, 0, 0), (6, 3, 2), (0, 0, 0)]
SIZES = [(*image[:-1], *part) for image, part in zip(IMAGES, PARTS)]


def placed(y, gap, first, relu):
    """Return results in their place among others, which stay as they are."""
    N, C, OH, OW = y.shape
    wide = np.full((N, OH, OW, first + C + gap), -5.)
    wide[..., first:first + C] = np.maximum(y, 0 if relu else -np.inf).transpose(0, 2, 3, 1)
    return wide


def build(random, store, size, compute):
    N, C, H, W, k, stride, pad, more, extra, gap, first = size
    x, gy, seen, common, lay = case(random, store, N, C + extra, H, W, k, stride, pad, more, True)
    wide = placed(compute(x, gy, seen), gap, first, relu=N == 2)
    arguments = {'x': lay(x), 'y': store(np.full(wide.shape, -5)), 'first': first,
                 'relu': N == 2, **{key: common[key] for key in ('ksize', 'stride', 'pad')}}
    return arguments, {'y': wide}


@reference('max_pooling_channels_last', max_pooling_channels_last, SIZES, registers=64)
def of_max(random, store, *size):
    return build(random, store, size, lambda *given: largest(*given)[0])


@reference('mean_pooling_channels_last', mean_pooling_channels_last, SIZES, registers=64)
def of_mean(random, store, *size):
    arguments, expected = build(random, store, size, lambda *given: means(
        *given, (None, None, *size[2:8], None), size[0] == 2)[0])
    return {**arguments, 'counts_padding': size[0] == 2}, expected

"""Kernels of channelwise.cu: sums, factors and terms, in float64."""
import numpy as np

from minichain.gpu.channelwise import add, scale_channels
from tests.gpu.registry import reference


@reference('add', add, [(77, 0), (1, 1), (64, 1), (2503, 0)], registers=48)
def sums(random, store, count, relu):
    a, b = store(random.standard_normal(count)), store(random.standard_normal(count))
    y = a.astype(np.float64) + b.astype(np.float64)
    return ({'a': a, 'b': b, 'y': store(np.full(count, np.nan)), 'relu': bool(relu)},
            {'y': np.maximum(y, 0) if relu else y})


@reference('scale_channels', scale_channels, [(7, 8, 0), (1, 1, 1), (5, 3, 1), (300, 16, 0)],
           registers=48)
def scaled(random, store, pixels, C, relu):
    x = store(random.standard_normal((pixels, C)))
    factor, term = (random.standard_normal(C).astype(np.float32) for _ in range(2))
    y = x.astype(np.float64) * factor + term
    return ({'x': x, 'factor': factor, 'term': term, 'y': store(np.full(y.shape, np.nan)),
             'relu': bool(relu)}, {'y': np.maximum(y, 0) if relu else y})

"""Kernels of channelwise.cu: sums, factors and terms, in float64."""
import numpy as np

from minichain.gpu.channelwise import ACTIVATIONS, add, multiply, scale_channels
from tests.gpu.registry import reference


@reference('add', add, [(77, 0), (1, 1), (64, 1), (2503, 0)], registers=48)
def sums(random, store, count, relu):
    a, b = store(random.standard_normal(count)), store(random.standard_normal(count))
    y = a.astype(np.float64) + b.astype(np.float64)
    return ({'a': a, 'b': b, 'y': store(np.full(count, np.nan)), 'relu': bool(relu)},
            {'y': np.maximum(y, 0) if relu else y})


@reference('multiply', multiply, [(1, 7, 8, 0), (2, 5, 3, 1), (3, 40, 16, 1), (1, 1, 1, 0)],
           registers=48)
def products(random, store, N, pixels, C, one):
    a = store(random.standard_normal((N, pixels, 1, C)))
    b = store(random.standard_normal((N, 1 if one else pixels, 1, C)))
    y = a.astype(np.float64) * b.astype(np.float64)
    return {'a': a, 'b': b, 'y': store(np.full(y.shape, np.nan))}, {'y': y}


@reference('scale_channels', scale_channels,
           [(7, 8, 1), (1, 1, 0), (5, 3, 1), (300, 16, 2), (9, 24, 3), (4, 5, 3),
            (8, 8, 4)], registers=56)
def scaled(random, store, pixels, C, kind):
    x = store(random.standard_normal((pixels, C)))
    factor, term = (random.standard_normal(C).astype(np.float32) for _ in range(2))
    value = x.astype(np.float64) * factor + term
    sigmoid, limit = 1 / (1 + np.exp(-value)), 1.5 if C == 8 else np.inf
    y = (value, np.clip(value, 0, limit), sigmoid, value * sigmoid, np.where(
        value < 0, 1.5 * value, value))[kind]
    return ({'x': x, 'factor': factor, 'term': term, 'y': store(np.full(y.shape, np.nan)),
             'activation': list(ACTIVATIONS)[kind], 'number': limit}, {'y': y})

"""Kernels of casts.cu: rounding as ml_dtypes or NumPy's bits have it."""
import numpy as np

from minichain.gpu.casts import narrow, widen
from tests.gpu.registry import reference

SIZES = [(77,), (1,), (3,), (64,), (2503,)]


@reference('narrow', narrow, SIZES, dtypes=('bfloat16',), registers=40)
def rounded(random, store, count):
    x = random.standard_normal(count).astype('float32')
    return {'x': x, 'y': store(np.full(count, np.nan))}, {'y': store(x).astype('float64')}


@reference('widen', widen, SIZES, dtypes=('bfloat16',), registers=40, tolerance={'bfloat16': 0})
def widened(random, store, count):
    x = store(random.standard_normal(count))
    return {'x': x, 'y': np.full(count, np.nan, 'float32')}, {'y': x.astype('float64')}

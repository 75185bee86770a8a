"""Kernels of layouts.cu: axes in another order."""
import numpy as np

from minichain.gpu.layouts import to_channels_first, to_channels_last
from tests.gpu.registry import reference

# N, C, H, W: few channels, less than a tile, tiles with rests either way, one pixel.
SIZES = [(1, 5, 3, 2), (2, 3, 17, 31), (2, 37, 9, 11), (1, 70, 1, 1), (3, 1, 1, 5), (2, 32, 8, 4)]
EXACT = {'float32': 0, 'bfloat16': 0}


@reference('to_channels_last', to_channels_last, SIZES, registers=48, tolerance=EXACT)
def last(random, store, N, C, H, W):
    x = random.standard_normal((N, C, H, W)).astype(np.float32)
    y = store(x).astype(np.float64).transpose(0, 2, 3, 1)
    return {'x': x, 'y': store(np.full(y.shape, np.nan))}, {'y': y}


@reference('to_channels_first', to_channels_first, SIZES, registers=48, tolerance=EXACT)
def first(random, store, N, C, H, W):
    x = store(random.standard_normal((N, H, W, C)))
    y = x.astype(np.float64).transpose(0, 3, 1, 2)
    return {'x': x, 'y': np.full(y.shape, np.nan, np.float32)}, {'y': y}

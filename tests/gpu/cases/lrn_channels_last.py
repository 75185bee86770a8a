"""Kernel of lrn_channels_last.cu: the formula in float64."""
import numpy as np

from minichain.gpu.lrn_channels_last import lrn_channels_last
from tests.gpu.cases.lrn import case
from tests.gpu.registry import reference


@reference('lrn_channels_last', lrn_channels_last,
           [(2, 16, 3, 3), (1, 1, 1, 3), (2, 3, 5, 2), (1, 40, 33, 3), (3, 37, 7, 5)],
           registers=48, tolerance={'float32': 1e-5})
def forward(random, store, N, C, positions, quarters):
    x, y, _, options, lay = case(random, store, N, C, positions, 5, True, quarters)
    del options['channels_last']
    return {'x': lay(x), 'y': store(np.full(y.shape, np.nan)), **options}, {'y': y}

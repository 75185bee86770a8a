"""Kernel of depthwise_channels_last.cu: taps of a padded image added up, in float64."""
import numpy as np

from minichain.functions.windows import Windows
from minichain.gpu.depthwise_channels_last import depthwise_channels_last
from tests.gpu.cases.im2col import SIZES as IMAGES
from tests.gpu.cases.im2col import taps
from tests.gpu.registry import reference

# More channels than those images have, filters for each, bias, ReLU; how many other channels stand
# on either side of the images, of the results.
PARTS = [(0, 1, 1, 0, 0, 0), (0, 3, 0, 0, 1, 2), (13, 1, 1, 1, 8, 8), (0, 2, 1, 0, 3, 1),
         (5, 1, 0, 1, 0, 0), (6, 1, 1, 0, 0, 4)]


@reference('depthwise_channels_last', depthwise_channels_last,
           [(*image, *part) for image, part in zip(IMAGES, PARTS)], registers=72,
           tolerance={'float32': 1e-5})
def filtered(random, store, N, C, H, W, kh, kw, stride, pad, dilation, more, extra, M, bias, relu,
             begin, first):
    out, padded, slices = taps(H, W, kh, kw, stride, pad, dilation, more)
    O = (C + extra) * M
    x, wide = store(random.standard_normal((N, H, W, C + extra))), np.zeros((N, *padded, O))
    wide[:, pad:pad + H, pad:pad + W] = np.repeat(x.astype(np.float64), M, axis=3)
    filters, b = store(random.standard_normal((kh, kw, O)) / 3), store(random.standard_normal(O))
    y = np.zeros((N, *out, O)) + (b.astype(np.float64) if bias else 0)
    for tap, part in slices.items():
        y += wide[(slice(None), *part)] * filters[tap].astype(np.float64)
    windows = Windows((H, W), (kh, kw), *[(n, n) for n in (stride, pad, dilation)], out)
    y = np.pad(np.maximum(y, 0) if relu else y, [(0, 0)] * 3 + [(first, first)],
               constant_values=-5)
    x = store(np.pad(x.astype('f'), [(0, 0)] * 3 + [(begin, begin)], constant_values=np.nan))
    return ({'x': x, 'begin': begin, 'W': filters, 'b': b if bias else None, 'windows': windows,
             'M': M, 'y': store(np.full(y.shape, -5)), 'first': first, 'relu': bool(relu)},
            {'y': y})

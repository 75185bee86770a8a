"""Kernel of im2row.cu: slices of a padded image, one for each tap, in float64."""
import numpy as np

from minichain.functions.windows import Windows
from minichain.gpu.im2row import im2row, row_width
from tests.gpu.cases.im2col import SIZES as IMAGES
from tests.gpu.cases.im2col import taps
from tests.gpu.registry import reference

# More channels than images have, of which (begin, channels) are seen; rows from `first` on.
PARTS = [(0, 0, 0), (3, 1, 2), (13, 8, 8), (5, 2, 1), (13, 8, 8), (8, 0, 0)]
SIZES = [(*image, *part) for image, part in zip(IMAGES, PARTS)]
SIZES += [(*IMAGES[2], *PARTS[2]), (*IMAGES[3], 14, 0, 16)]


@reference('im2row', im2row, SIZES, registers=48, tolerance={'float32': 0, 'bfloat16': 0})
def copies(random, store, N, C, H, W, kh, kw, stride, pad, dilation, more, extra, begin, channels):
    out, padded, slices = taps(H, W, kh, kw, stride, pad, dilation, more)
    C, first = C + extra, 3 if out[0] > 4 else 0
    channels = channels or C - begin
    x, wide = store(random.standard_normal((N, H, W, C))), np.zeros((N, *padded, C))
    wide[:, pad:pad + H, pad:pad + W] = x
    seen = wide[..., begin:begin + channels]
    width = row_width(kh * kw * channels, x.itemsize)
    expected = np.zeros((N, *out, width))
    for (ky, kx), part in slices.items():
        at = (ky * kw + kx) * channels
        expected[..., at:at + channels] = seen[(slice(None), *part)]
    expected = expected.reshape(-1, width)[first:]
    windows = Windows((H, W), (kh, kw), *[(n, n) for n in (stride, pad, dilation)], out)
    return ({'x': x, 'rows': store(np.full(expected.shape, np.nan)), 'windows': windows,
             'first': first, 'begin': begin, 'channels': channels}, {'rows': expected})

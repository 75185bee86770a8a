"""Kernels of im2col.cu: slices of a padded image, one for each tap, in float64."""
import numpy as np

from minichain.gpu.im2col import col2im, im2col
from tests.gpu.registry import reference

# N, C, H, W, kh, kw, stride, padding, dilation, windows beyond the last full one.
SIZES = [(1, 2, 6, 5, 3, 2, 2, 1, 1, 0), (1, 1, 1, 1, 1, 1, 1, 0, 1, 0),
         (2, 3, 11, 9, 3, 3, 1, 1, 1, 0), (2, 2, 13, 12, 3, 2, 2, 2, 3, 1),
         (1, 3, 19, 23, 5, 4, 4, 0, 1, 1), (2, 2, 30, 21, 1, 1, 2, 0, 1, 0)]


def taps(H, W, kh, kw, stride, pad, dilation, more):
    """Return (OH, OW), sizes of an image padded on all sides, and slices of it for each tap."""
    OH, OW = ((n + 2 * pad - dilation * (k - 1) - 1) // stride + 1 + more
              for n, k in ((H, kh), (W, kw)))
    far = stride * more
    slices = {(ky, kx): tuple(slice(k * dilation, k * dilation + (n - 1) * stride + 1, stride)
                              for k, n in ((ky, OH), (kx, OW)))
              for ky in range(kh) for kx in range(kw)}
    return (OH, OW), (H + 2 * pad + far, W + 2 * pad + far), slices


def common(stride, pad, dilation):
    return {'stride': (stride, stride), 'pad': (pad, pad), 'dilate': (dilation, dilation)}


@reference('im2col', im2col, [(*size, joined) for joined in (1, 0) for size in SIZES],
           registers=48, tolerance={'float32': 0, 'bfloat16': 0})
def copies(random, store, N, C, H, W, kh, kw, stride, pad, dilation, more, joined):
    out, padded, slices = taps(H, W, kh, kw, stride, pad, dilation, more)
    x, wide = store(random.standard_normal((N, C, H, W))), np.zeros((N, C, *padded))
    wide[:, :, pad:pad + H, pad:pad + W] = x
    columns = np.zeros((N, C, kh, kw, *out))
    for (ky, kx), part in slices.items():
        columns[:, :, ky, kx] = wide[(..., *part)]
    columns = np.moveaxis(columns, 0, 3) if joined else columns
    arguments = {'x': x, 'columns': store(np.full(columns.shape, np.nan)),
                 'joined': bool(joined)}
    return {**arguments, **common(stride, pad, dilation)}, {'columns': columns}


@reference('col2im', col2im, SIZES, registers=56)
def sums_of_copies(random, store, N, C, H, W, kh, kw, stride, pad, dilation, more):
    out, padded, slices = taps(H, W, kh, kw, stride, pad, dilation, more)
    columns = store(random.standard_normal((N, C, kh, kw, *out)))
    wide = np.zeros((N, C, *padded))
    for (ky, kx), part in slices.items():
        wide[(..., *part)] += columns[:, :, ky, kx].astype(np.float64)
    arguments = {'columns': columns, 'x': store(np.full((N, C, H, W), np.nan))}
    return ({**arguments, **common(stride, pad, dilation)},
            {'x': wide[:, :, pad:pad + H, pad:pad + W]})

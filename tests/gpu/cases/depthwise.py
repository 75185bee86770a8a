"""Kernels of depthwise.cu: slices of a padded image, one for each tap, in float64."""
import numpy as np

from minichain.gpu.depthwise import depthwise, depthwise_gradient, depthwise_weights
from tests.gpu.cases.im2col import taps
from tests.gpu.registry import reference

# N, C, filters a channel, H, W, kh, kw, stride, padding, dilation, windows beyond the last one.
SIZES = [(1, 2, 1, 6, 5, 3, 2, 2, 1, 1, 0), (1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0),
         (2, 3, 2, 11, 9, 3, 3, 1, 1, 1, 0), (2, 2, 3, 13, 12, 3, 2, 2, 2, 3, 1),
         (3, 3, 1, 19, 23, 5, 4, 4, 0, 1, 1)]


def operands(random, store, N, C, M, H, W, kh, kw, stride, pad, dilation, more):
    """Return x, filters, y, and a function: the padded image of x -> its shifted slices by tap."""
    out, padded, slices = taps(H, W, kh, kw, stride, pad, dilation, more)
    x, y = store(random.standard_normal((N, C, H, W))), store(
        random.standard_normal((N, C * M, *out)))
    inner = slice(None), slice(None), slice(pad, pad + H), slice(pad, pad + W)
    geometry = {name: (value, value) for name, value in (
        ('stride', stride), ('pad', pad), ('dilate', dilation))}
    return (x, store(random.standard_normal((C * M, 1, kh, kw))), y, np.zeros((N, C, *padded)),
            inner, slices, geometry)


@reference('depthwise', depthwise, [(*size, adds) for adds in (1, 0) for size in SIZES],
           registers=64)
def filtered(random, store, N, C, M, *size):
    *size, adds = size
    x, W, y, wide, inner, slices, geometry = operands(random, store, N, C, M, *size)
    b = store(random.standard_normal(C * M))
    wide[inner] = x
    expected = np.zeros(y.shape) + (b.astype(np.float64)[:, None, None] if adds else 0)
    for (ky, kx), part in slices.items():
        shifted = np.repeat(wide[(..., *part)], M, axis=1)
        expected += W[:, 0, ky, kx].astype(np.float64)[:, None, None] * shifted
    return ({'x': x, 'W': W, 'b': b if adds else None, 'y': store(np.full(y.shape, np.nan)),
             **geometry}, {'y': expected})


@reference('depthwise_gradient', depthwise_gradient, SIZES, registers=64)
def gradient_of_images(random, store, N, C, M, *size):
    x, W, gy, wide, inner, slices, geometry = operands(random, store, N, C, M, *size)
    for (ky, kx), part in slices.items():
        terms = W[:, 0, ky, kx].astype(np.float64)[:, None, None] * gy.astype(np.float64)
        wide[(..., *part)] += terms.reshape(N, C, M, *gy.shape[2:]).sum(axis=2)
    return {'gy': gy, 'W': W, 'gx': store(np.full(x.shape, np.nan)), **geometry}, {
        'gx': wide[inner]}


@reference('depthwise_weights', depthwise_weights, SIZES, registers=64,
           tolerance={'float32': 1e-5})
def gradient_of_filters(random, store, N, C, M, *size):
    x, W, gy, wide, inner, slices, geometry = operands(random, store, N, C, M, *size)
    wide[inner] = x
    expected = np.zeros(W.shape)
    for (ky, kx), part in slices.items():
        shifted = np.repeat(wide[(..., *part)], M, axis=1)
        expected[:, 0, ky, kx] = (shifted * gy.astype(np.float64)).sum(axis=(0, 2, 3))
    return {'x': x, 'gy': gy, 'gW': store(np.full(W.shape, np.nan)), **geometry}, {
        'gW': expected}

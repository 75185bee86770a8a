"""Convolution of every channel by itself, and its gradients: see ``kernels/depthwise.cu``.

``stride``, ``pad`` and ``dilate`` are pairs of ints. Arrays are float32 or bfloat16: images
(N, C, H, W), filters (C M, 1, kh, kw), results (N, C M, OH, OW).
"""
from minichain.gpu.grids import planes, whole_warps
from minichain.gpu.launcher import kernel, storage

MOST_BLOCKS = 65536


def launch(name, arrays, image, out, filters, geometry, flags, size):
    (N, C, H, W), (O, _, kh, kw) = image, filters
    kernel(f'{name}_{storage(arrays[0])}')(
        *arrays, N, C, O // C, H, W, *out[2:], kh, kw, *(number for pair in geometry
                                                        for number in pair), *flags, **size)


def depthwise(x, W, b, y, stride, pad, dilate=(1, 1)):
    """Compute  y[n, o] = b[o] + sum over ky, kx of W[o, ky, kx] x[n, o // M, shifted];  fills y.

    Args:
        b: (C M,) or None.
    """
    launch('depthwise', (x, W, W if b is None else b, y), x.shape, y.shape, W.shape,
           (stride, pad, dilate), (int(b is not None),),
           planes(len(y) * y.shape[1], y.shape[2] * y.shape[3]))


def depthwise_gradient(gy, W, gx, stride, pad, dilate=(1, 1)):
    """Compute the gradient ``gx`` of ``x``, which is filled, from that of ``y``."""
    launch('depthwise_gradient', (gy, W, gx), gx.shape, gy.shape, W.shape, (stride, pad, dilate),
           (), planes(len(gx) * gx.shape[1], gx.shape[2] * gx.shape[3]))


def depthwise_weights(x, gy, gW, stride, pad, dilate=(1, 1)):
    """Compute the gradient ``gW`` of ``W``, which is filled, from that of ``y``."""
    count = len(gy) * gy.shape[2] * gy.shape[3]
    launch('depthwise_weights', (x, gy, gW), x.shape, gy.shape, gW.shape, (stride, pad, dilate),
           (), {'grid': min(gW.size, MOST_BLOCKS), 'block': whole_warps(count)})

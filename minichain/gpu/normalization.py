"""Layer and batch normalization: see ``kernels/normalization.cu``.

Rows and images are float32 or bfloat16; statistics and gradients of parameters float32.
"""
import functools
import math

import numpy as np

from minichain.backend import get_array_module
from minichain.gpu.grids import planes, whole_warps
from minichain.gpu.launcher import blocks_for, kernel, storage

MOST_BLOCKS = 65536
WARPS = 16          # of a block that adds up columns
PART = 8192         # numbers of a channel that a block takes


def launch_rows(name, x, *arguments):
    rows, columns = x.shape
    kernel(f'{name}_{storage(x)}')(x, *arguments[:-1], rows, columns, *arguments[-1],
                                   grid=min(rows, MOST_BLOCKS), block=whole_warps(columns))


def layer_norm_forward(x, gamma, beta, y, means, rs, eps=1e-5):
    """Compute  y = gamma (x - mean) r + beta,  r = 1 / sqrt(var + eps), of each row.

    Args:
        x: (N, K).
        gamma, beta: (K,), dtype of ``x``.
        y: filled, as ``x``.
        means, rs: filled, (N,), float32.
    """
    launch_rows('layer_norm_forward', x, gamma, beta, y, means, rs, (eps,))


def layer_norm_backward(x, gamma, gy, means, rs, gx):
    """Compute the gradient ``gx`` of ``x`` from that of ``y``, ``gy``; both as ``x``.

    Other arguments as of :func:`layer_norm_forward`.
    """
    launch_rows('layer_norm_backward', x, gamma, gy, means, rs, gx, ())


def layer_norm_parameters(x, gy, means, rs, ggamma, gbeta):
    """Compute gradients of gamma and beta, in a fixed order; filled, (K,), float32.

    Other arguments as of :func:`layer_norm_backward`.
    """
    rows, columns = x.shape
    kernel(f'layer_norm_parameters_{storage(x)}')(
        x, gy, means, rs, ggamma, gbeta, rows, columns, grid=blocks_for(columns, 32),
        block=(32, max(1, min(WARPS, rows))))


def extents(x, channels_last):
    """Return (outer, C, inner) of an image."""
    if channels_last:
        return math.prod(x.shape[:-1]), x.shape[-1], 1
    return len(x), x.shape[1], math.prod(x.shape[2:])


def batch_norm_apply(x, gamma, beta, mean, var, y, eps=2e-5, channels_last=False):
    """Compute  y = gamma (x - mean) / sqrt(var + eps) + beta  with given statistics.

    Args:
        x: (N, C, ...), or (N, ..., C) with ``channels_last``.
        gamma, beta, mean, var: (C,), float32.
        y: filled, as ``x``; may be ``x``.
    """
    outer, C, inner = extents(x, channels_last)
    kernel(f'batch_norm_apply_{storage(x)}')(x, gamma, beta, mean, var, y, outer, C, inner, eps,
                                             **planes(outer, C * inner))


def batch_norm_part_count(x, channels_last=False):
    """Return in how many parts :func:`batch_norm_statistics` takes a channel."""
    outer, _, inner = extents(x, channels_last)
    return max(1, min(1024, -(-outer * inner // PART)))


def batch_norm_statistics(x, parts, mean, var, channels_last=False):
    """Compute mean and variance (of N, not N - 1) of each channel, in a fixed order.

    Args:
        x: (N, C, ...), or (N, ..., C) with ``channels_last``.
        parts: room for (2, C, batch_norm_part_count(x)) numbers, float32.
        mean, var: filled, (C,), float32.
    """
    outer, C, inner = extents(x, channels_last)
    means, squares = parts
    count = outer * inner
    kernel(f'batch_norm_parts_{storage(x)}')(
        x, means, squares, outer, C, inner, grid=(means.shape[-1], min(C, 65535)),
        block=whole_warps(count))
    kernel('batch_norm_statistics')(means, squares, mean, var, C, means.shape[-1], count,
                                    grid=blocks_for(C, 32), block=32)


def batch_norm_parameters(x, gy, mean, var, parts, ggamma, gbeta, eps=2e-5, channels_last=False):
    """Compute gradients of gamma and beta from that of ``y``, ``gy``, in a fixed order.

    Args:
        x, mean, var, parts: as of :func:`batch_norm_statistics`; gy: as ``x``.
        ggamma, gbeta: filled, (C,), float32.
    """
    outer, C, inner = extents(x, channels_last)
    gammas, betas = parts
    kernel(f'batch_norm_gradient_parts_{storage(x)}')(
        x, gy, mean, var, gammas, betas, outer, C, inner, eps,
        grid=(gammas.shape[-1], min(C, 65535)), block=whole_warps(outer * inner))
    kernel('batch_norm_parameters')(gammas, betas, ggamma, gbeta, C, gammas.shape[-1],
                                    grid=blocks_for(C, 32), block=32)


def batch_norm_backward(x, gy, gamma, mean, var, ggamma, gbeta, gx, eps=2e-5,
                        channels_last=False):
    """Compute the gradient ``gx`` of ``x``, both as ``gy``, through the statistics as well.

    Other arguments as of :func:`batch_norm_parameters`, which has to come before.
    """
    outer, C, inner = extents(x, channels_last)
    kernel(f'batch_norm_backward_{storage(x)}')(
        x, gy, gamma, mean, var, ggamma, gbeta, gx, outer, C, inner, eps,
        **planes(outer, C * inner))


def are_channels(x, *arguments):
    """Return whether :func:`normalize_batch` and :func:`normalize_by` take these arguments.

    They do if everything is float32 and the axes of the channels are neighbours.
    """
    *others, axes, _ = arguments
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    return (all(each.dtype == np.float32 for each in others) and bool(kept)
            and kept[-1] - kept[0] == len(kept) - 1)


def normalize_by(x, gamma, beta, mean, var, axes, eps):
    """Compute what the function of this name in functions/batch_normalization.py does."""
    channels = _as_channels(x, axes)
    y = get_array_module(x).empty_like(channels)
    batch_norm_apply(channels, *(_flat(each) for each in (gamma, beta, mean, var)), y, eps)
    return y.reshape(x.shape)


def normalize_batch(x, gamma, beta, axes, eps):
    """Compute what the function of this name in functions/batch_normalization.py does."""
    xp, shape = get_array_module(x), gamma.shape
    channels = _as_channels(x, axes)
    gamma, beta = _flat(gamma), _flat(beta)
    mean, var = xp.empty_like(gamma), xp.empty_like(gamma)
    batch_norm_statistics(channels, _parts(channels), mean, var)
    y = xp.empty_like(channels)
    batch_norm_apply(channels, gamma, beta, mean, var, y, eps)
    return (y.reshape(x.shape), mean.reshape(shape), var.reshape(shape),
            functools.partial(_batch_gradients, mean, var, axes, eps))


def _batch_gradients(mean, var, axes, eps, x, gamma, gy):
    xp, shape, channels = get_array_module(x), gamma.shape, _as_channels(x, axes)
    gy, gamma = _as_channels(gy, axes), _flat(gamma)
    ggamma, gbeta, gx = xp.empty_like(gamma), xp.empty_like(gamma), xp.empty_like(channels)
    batch_norm_parameters(channels, gy, mean, var, _parts(channels), ggamma, gbeta, eps)
    batch_norm_backward(channels, gy, gamma, mean, var, ggamma, gbeta, gx, eps)
    return gx.reshape(x.shape), ggamma.reshape(shape), gbeta.reshape(shape)


def _as_channels(x, axes):
    """View x, whose channels lie along the axes that are not ``axes``, as (outer, C, inner)."""
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    return get_array_module(x).ascontiguousarray(x).reshape(
        math.prod(x.shape[:kept[0]]), math.prod(x.shape[kept[0]:kept[-1] + 1]),
        math.prod(x.shape[kept[-1] + 1:]))


def _flat(x):
    return get_array_module(x).ascontiguousarray(x).reshape(-1)


def _parts(channels):
    count = batch_norm_part_count(channels)
    return get_array_module(channels).empty((2, channels.shape[1], count), np.float32)


def standardize(x, eps):
    """Compute what the function of this name in functions/layer_normalization.py does."""
    xp, K = get_array_module(x), x.shape[-1]
    rows = xp.ascontiguousarray(x).reshape(-1, K)
    y, means, rs = xp.empty_like(rows), *xp.empty((2, len(rows)), np.float32)
    layer_norm_forward(rows, xp.ones(K, x.dtype), xp.zeros(K, x.dtype), y, means, rs, eps)
    return y.reshape(x.shape), functools.partial(_standardize_gradient, means, rs)


def _standardize_gradient(means, rs, x, gy):
    xp, K = get_array_module(x), x.shape[-1]
    rows, gy = (xp.ascontiguousarray(each).reshape(-1, K) for each in (x, gy))
    gx = xp.empty_like(rows)
    layer_norm_backward(rows, xp.ones(K, x.dtype), gy, means, rs, gx)
    return gx.reshape(x.shape)

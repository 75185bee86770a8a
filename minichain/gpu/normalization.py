"""Layer and batch normalization: see ``kernels/normalization.cu``.

Rows and images are float32 or bfloat16; statistics and gradients of parameters float32.
"""
import math

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

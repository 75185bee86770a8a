"""Local response normalization and its gradient: see ``kernels/lrn.cu``.

Images are (N, C, ...), or (N, ..., C) with ``channels_last``; float32 or bfloat16.
"""
import math

from minichain.backend import get_array_module
from minichain.errors import InvalidArgument
from minichain.gpu.grids import planes
from minichain.gpu.launcher import BLOCK, kernel, storage

WALK = 16            # channels that a thread takes, where they do not lie side by side
MOST_SHARED = 48 * 1024


def launch(name, x, arrays, n, k, alpha, beta, channels_last, rings):
    if n < 1 or k <= 0:
        raise InvalidArgument(f'{name}: n of at least 1 and k above 0 expected, got n={n}, k={k}')
    if channels_last:
        outer, C, inner, walk = math.prod(x.shape[:-1]), x.shape[-1], 1, 1
    else:
        outer, C, inner, walk = len(x), x.shape[1], math.prod(x.shape[2:]), WALK
    size, half = planes(outer, -(-C // walk) * inner), n // 2
    shared = rings * math.prod(size['block']) * (2 * half + 1) * 4
    if shared > MOST_SHARED:
        raise InvalidArgument(f'{name}: n of {n} is too large for shared memory')
    kernel(f'{name}_{storage(x)}')(x, *arrays, outer, C, inner, walk, half, k, alpha, beta,
                                   shared=shared, **size)


def lrn_forward(x, y, n=5, k=2, alpha=1e-4, beta=.75, channels_last=False):
    """Compute  y[c] = x[c] / (k + alpha sum x[j]^2)^beta,  j = c - n // 2, ..., c + n // 2.

    Args:
        x, y: images; filled.
        n: channels in the sum; an even one counts as the next odd one.
    Raises:
        InvalidArgument: ``n`` is below 1, or ``k`` not above 0.
    """
    launch('lrn_forward', x, (y,), n, k, alpha, beta, channels_last, 0)


def lrn_backward(x, gy, gx, n=5, k=2, alpha=1e-4, beta=.75, channels_last=False):
    """Compute the gradient ``gx`` of ``x`` from that of the result.

    Raises:
        InvalidArgument: as :func:`lrn_forward`; or ``n`` is above 47.
    """
    launch('lrn_backward', x, (gy, gx), n, k, alpha, beta, channels_last, 1)


def fits(x, *arguments):
    """Return whether :func:`normalize` and :func:`gradient` take these arguments."""
    n = arguments[-4]
    return BLOCK * (2 * (n // 2) + 1) * 4 <= MOST_SHARED


def normalize(x, n, k, alpha, beta):
    """Compute what the function of this name in functions/local_response_normalization.py does."""
    x = get_array_module(x).ascontiguousarray(x)
    y = get_array_module(x).empty(x.shape, x.dtype)
    lrn_forward(x, y, n, k, alpha, beta)
    return y


def gradient(x, gy, n, k, alpha, beta):
    """Compute what the function of this name in functions/local_response_normalization.py does."""
    xp = get_array_module(x)
    gx = xp.empty(x.shape, x.dtype)
    lrn_backward(xp.ascontiguousarray(x), xp.ascontiguousarray(gy), gx, n, k, alpha, beta)
    return gx

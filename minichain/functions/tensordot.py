"""Sums of products over several axes: one matrix product between reshapes."""
import math
import numbers

from minichain.errors import InvalidType
from minichain.functions._axis import expect_axes
from minichain.functions.matmul import matmul
from minichain.functions.reshape import reshape, transpose


def tensordot(a, b, axes=2):
    """Sum of products over axes of ``a`` and ``b`` together.

    Args:
        a, b: float, any shapes.
        axes: int n, the last n axes of ``a`` with the first n of ``b``; or a pair, of ints or of
            sequences of ints: the axes of ``a`` and, in the same order, those of ``b``.
    Returns:
        the axes of ``a``, then those of ``b``, that were not summed over.
    Raises:
        InvalidType: an axis does not exist, or lengths do not agree.
    """
    if isinstance(axes, numbers.Integral):
        if not 0 <= axes <= min(a.ndim, b.ndim):
            raise InvalidType(f'tensordot: axes from 0 to {min(a.ndim, b.ndim)} expected for '
                              f'shapes {a.shape} and {b.shape}, got {axes}')
        axes = tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))
    axes_a, axes_b = (
        expect_axes('tensordot', each if isinstance(each, numbers.Integral) else tuple(each), ndim)
        for each, ndim in zip(axes, (a.ndim, b.ndim)))
    summed = tuple(a.shape[i] for i in axes_a)
    if summed != tuple(b.shape[i] for i in axes_b):
        raise InvalidType(f'tensordot: equal lengths along axes {axes_a} of {a.shape} and '
                          f'{axes_b} of {b.shape} expected')
    free_a = tuple(i for i in range(a.ndim) if i not in axes_a)
    free_b = tuple(i for i in range(b.ndim) if i not in axes_b)
    shape_a, shape_b = [a.shape[i] for i in free_a], [b.shape[i] for i in free_b]
    rows, inner, columns = (math.prod(n) for n in (shape_a, summed, shape_b))
    y = matmul(reshape(transpose(a, free_a + axes_a), (rows, inner)),
               reshape(transpose(b, axes_b + free_b), (inner, columns)))
    return reshape(y, (*shape_a, *shape_b))

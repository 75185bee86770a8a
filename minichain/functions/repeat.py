"""Repetition of whole arrays (tile) and of elements (repeat): a broadcast between two reshapes."""
import numbers

import numpy as np

from minichain.errors import InvalidArgument
from minichain.functions._axis import expect_axis
from minichain.functions.broadcast import broadcast_to
from minichain.functions.get_item import get_item
from minichain.functions.reshape import reshape


def _expect_counts(label, counts):
    """Return ``counts``, an int or a sequence of ints not below 0, as a tuple."""
    counts = (counts,) if isinstance(counts, numbers.Integral) else tuple(counts)
    if any(not isinstance(n, numbers.Integral) or n < 0 for n in counts):
        raise InvalidArgument(f'{label}: ints of at least 0 expected, got {counts}')
    return tuple(int(n) for n in counts)


def tile(x, reps):
    """Set copies of ``x`` side by side.

    Args:
        x: any shape.
        reps: int or tuple of ints, the number of copies along each axis, aligned from the right;
            ``x`` or ``reps`` is extended by ones on the left to the length of the other.
    Raises:
        InvalidArgument: a number of copies is negative.
    """
    reps = _expect_counts('tile', reps)
    shape = (1,) * (len(reps) - x.ndim) + x.shape
    reps = (1,) * (x.ndim - len(reps)) + reps
    y = reshape(x, tuple(n for length in shape for n in (1, length)))
    y = broadcast_to(y, tuple(n for pair in zip(reps, shape) for n in pair))
    return reshape(y, tuple(count * length for count, length in zip(reps, shape)))


def repeat(x, repeats, axis=None):
    """Repeat each element along ``axis``.

    Args:
        x: any shape.
        repeats: int, or tuple of ints, one for each position along ``axis``.
        axis: int; None flattens ``x`` first.
    Raises:
        InvalidArgument: a number of repetitions is negative, or there are not as many as
            positions.
        InvalidType: the axis does not exist.
    """
    counts = _expect_counts('repeat', repeats)
    if axis is None:
        x, axis = reshape(x, (x.size,)), 0
    axis = expect_axis('repeat', axis, x.ndim)
    length = x.shape[axis]
    if len(counts) == 1:
        y = reshape(x, (*x.shape[:axis + 1], 1, *x.shape[axis + 1:]))
        y = broadcast_to(y, (*x.shape[:axis + 1], *counts, *x.shape[axis + 1:]))
        return reshape(y, (*x.shape[:axis], length * counts[0], *x.shape[axis + 1:]))
    if len(counts) != length:
        raise InvalidArgument(f'repeat: one number or {length}, one for each position along axis '
                              f'{axis} of {x.shape}, expected, got {len(counts)}')
    return get_item(x, (*(slice(None),) * axis, np.repeat(np.arange(length), counts)))

"""Cutting an array along an axis: split_axis into parts, separate into slices."""
import itertools
import numbers

from minichain.autograd import Primitive
from minichain.backend import get_array_module, is_array, to_cpu
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions._axis import expect_axis
from minichain.functions.concat import Concat, Stack


class SplitAxis(Primitive):
    label = 'split_axis'

    def __init__(self, cuts, axis):
        self.cuts, self.axis = cuts, axis

    def forward(self, arrays):
        x, = arrays
        before, ends = (slice(None),) * self.axis, (*self.cuts, x.shape[self.axis])
        return tuple([x[(*before, slice(start, stop))]
                      for start, stop in zip((0, *self.cuts), ends)])

    def backward(self, indexes, grads):
        shape, axis = self.inputs[0].shape, self.axis
        ends = (0, *self.cuts, shape[axis])
        shapes = [(*shape[:axis], max(stop - start, 0), *shape[axis + 1:])
                  for start, stop in itertools.pairwise(ends)]
        return Concat(axis).apply(_with_zeros(grads, shapes))


class Separate(Primitive):
    label = 'separate'

    def __init__(self, axis):
        self.axis = axis

    def forward(self, arrays):
        x, = arrays
        before = (slice(None),) * self.axis
        return tuple([x[(*before, i)] for i in range(x.shape[self.axis])])

    def backward(self, indexes, grads):
        shape = self.inputs[0].shape
        shape = shape[:self.axis] + shape[self.axis + 1:]
        return Stack(self.axis).apply(_with_zeros(grads, [shape] * len(grads)))


def _with_zeros(grads, shapes):
    """Return ``grads`` with arrays of zeros in the places of None."""
    present = next(g for g in grads if g is not None)
    xp = get_array_module(present)
    return [xp.zeros(shape, present.dtype) if g is None else g for g, shape in zip(grads, shapes)]


def _plain(indices):
    return to_cpu(indices) if is_array(indices) else indices


def split_axis(x, indices_or_sections, axis, force_tuple=True):
    """Cut ``x`` along ``axis``.

    Args:
        x: any shape with this axis.
        indices_or_sections: int, the number of equal parts; or a sequence of ints, not falling:
            the positions before which to cut.
        axis: along which to cut.
        force_tuple: return a tuple even if there is one part.
    Returns:
        tuple of Variables.
    Raises:
        InvalidType: there is no such axis, it does not divide into equal parts, or is cut
            outside.
    """
    axis = expect_axis('split_axis', axis, x.ndim)
    length = x.shape[axis]
    if isinstance(indices_or_sections, numbers.Integral):
        count = int(indices_or_sections)
        if count < 1 or length % count:
            raise InvalidType(f'split_axis: a number of sections that divides {length}, the '
                              f'length of axis {axis} of {x.shape}, expected, got {count}')
        cuts = tuple(range(length // count, length, length // count)) if length else (0,) * (
            count - 1)
    else:
        try:
            cuts = tuple(int(i) for i in _plain(indices_or_sections))
        except (TypeError, ValueError):
            raise InvalidArgument('split_axis: an int or a sequence of ints expected, got '
                                  f'{indices_or_sections!r}') from None
        if any(not 0 <= i <= length for i in cuts) or any(
                i > j for i, j in itertools.pairwise(cuts)):
            raise InvalidType(f'split_axis: rising positions from 0 to {length}, the length of '
                              f'axis {axis} of {x.shape}, expected, got {cuts}')
    parts = SplitAxis(cuts, axis).apply((x,))
    return parts if force_tuple or len(parts) > 1 else parts[0]


def separate(x, axis=0):
    """Cut ``x`` into its slices along ``axis``, which have one axis less.

    Returns:
        tuple of ``x.shape[axis]`` Variables.
    Raises:
        InvalidType: there is no such axis, or it is empty.
    """
    axis = expect_axis('separate', axis, x.ndim)
    if x.shape[axis] == 0:
        raise InvalidType(f'separate: at least one slice along axis {axis} expected, got shape '
                          f'{x.shape}')
    return Separate(axis).apply((x,))

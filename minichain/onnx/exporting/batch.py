"""The batch axis: a model is traced with two batch sizes, so that none is frozen by accident.

A length that is a whole multiple of the batch size in both traces is written as that multiple; all
other lengths must agree. The second run also sees other values, in another order: a constant that
differs was computed from them.
"""
from typing import NamedTuple

import numpy as np

from minichain.backend import get_array_module, to_cpu
from minichain.onnx.exporting.refusal import CannotExport

OUTSIDE = 'an array that was computed outside of functions, by NumPy or at random,'


class Rows(NamedTuple):
    """A length that is `factor` times the batch size."""

    factor: int

    def __str__(self):
        return 'N' if self.factor == 1 else f'{self.factor}*N'


def fitted(lengths, rows):
    """Return the length, an int or :class:`Rows`, that was `lengths` for these batch sizes.

    Raises:
        CannotExport: it is neither fixed nor a multiple of the batch size.
    """
    if len(set(lengths)) == 1:
        return lengths[0]
    factor = lengths[0] // rows[0] if rows[0] else 0
    if any(length != factor * n for length, n in zip(lengths, rows)):
        raise CannotExport(f'an axis of length {" and ".join(map(str, lengths))} for batches of '
                           f'{" and ".join(map(str, rows))} is no multiple of the batch size; '
                           'batch_axis=None exports one fixed size')
    return Rows(factor)


def fitted_shape(shapes, rows):
    """Return the tuple of :func:`fitted` lengths of a value that had these shapes."""
    if len({len(shape) for shape in shapes}) > 1:
        raise CannotExport(f'the number of axes depends on the batch size: {shapes}')
    return tuple(fitted(lengths, rows) for lengths in zip(*shapes))


def resized(array, axis, rows, values='same'):
    """Return an example of another batch size, made of its rows.

    Args:
        array: the example.
        axis: of the batch; None leaves the shape as it is.
        rows: how many.
        values: 'same'; 'scaled': the rows in reverse, and floats a little smaller; 'shifted': the
            elements within each row in another order too, so that maxima lie elsewhere.
    """
    xp = get_array_module(array)
    if axis is not None:
        array = array.take(xp.arange(rows) % array.shape[axis], axis)
    if values == 'same' or not array.ndim:
        return array.copy() if values == 'same' or array.dtype.kind != 'f' else (
            array * array.dtype.type(.875))
    array = xp.flip(array, axis or 0)
    if values == 'shifted':
        moved = xp.moveaxis(array, axis or 0, 0)
        moved = xp.roll(moved.reshape(len(moved), -1), 1, axis=1).reshape(moved.shape)
        array = xp.moveaxis(moved, 0, axis or 0)
    if array.dtype.kind != 'f':
        return xp.ascontiguousarray(array)
    shape = [1] * array.ndim
    shape[axis or 0] = -1
    factors = xp.linspace(.875, .75, array.shape[axis or 0]).reshape(shape)
    return xp.ascontiguousarray(array * factors.astype(array.dtype))


def merged_constant(arrays, rows):
    """Return a value computed without the inputs as (array, shape), the array to be spread to it.

    Axes that follow the batch size have length 1 in the array: all rows must be alike.

    Raises:
        CannotExport: the value depends on the inputs, or on the row.
    """
    arrays = [to_cpu(array) for array in arrays]
    shape = fitted_shape([array.shape for array in arrays], rows)
    first = arrays[0]
    for axis, length in enumerate(shape):
        if isinstance(length, Rows):
            arrays = [_one_row(array, axis) for array in arrays]
    if any(array.dtype != first.dtype or not np.array_equal(
            array, arrays[0], equal_nan=array.dtype.kind == 'f') for array in arrays):
        raise CannotExport(f'{OUTSIDE} differs from run to run, so it depends on the values of '
                           'the inputs; compute it with functions of minichain')
    return arrays[0], shape


def _one_row(array, axis):
    row = array.take([0], axis)
    if not (array == row).all():
        raise CannotExport(f'{OUTSIDE} has another row for each of the batch, so it depends on '
                           'the values of the inputs, or counts rows: compute it with functions '
                           'of minichain, or export one fixed size with batch_axis=None')
    return row

"""Views by strides, as a gather."""
import numpy as np

from minichain.errors import InvalidArgument
from minichain.functions.axes import flatten
from minichain.functions.get_item import get_item


def as_strided(x, shape, strides, storage_offset=None):
    """y[i, j, ...] = element  offset + i strides[0] + j strides[1] + ...  of ``x`` in C order.

    Args:
        x: any shape.
        shape: tuple of ints, of the result.
        strides: tuple of ints, counted in elements, not bytes; one for each axis of ``shape``.
        storage_offset: int, where to start; None means 0.
    Raises:
        InvalidArgument: the result would reach outside of ``x``.
    """
    if len(shape) != len(strides):
        raise InvalidArgument(f'as_strided: one stride for each axis expected, got {strides} for '
                              f'shape {shape}')
    index = np.array(storage_offset or 0)
    for n, stride in zip(shape, strides):
        index = index[..., None] + np.arange(n) * stride
    if index.size and not 0 <= index.min() <= index.max() < x.size:
        raise InvalidArgument(f'as_strided: elements 0 to {x.size - 1} of shape {x.shape} '
                              f'expected, got {index.min()} to {index.max()}')
    return get_item(flatten(x), index)

"""The base of data sets: define `__len__` and `get_example`; slices and index lists come free."""
import numbers

import numpy as np

from minichain.errors import InvalidArgument


class DatasetMixin:
    """Base class of data sets whose examples are made one at a time.

    Anything with `len(dataset)` and `dataset[i]` is a data set for the iterators; this class
    adds `dataset[2:5]` and `dataset[[0, 3]]`, which give lists of examples.
    """

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self.get_example(i) for i in range(*index.indices(len(self)))]
        if isinstance(index, list) or isinstance(index, np.ndarray) and index.ndim:
            return [self.get_example(i) for i in _positions(index)]
        return self.get_example(index)

    def __len__(self):
        """Return the number of examples."""
        raise NotImplementedError(f'{type(self).__name__} must define __len__(self)')

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def get_example(self, i):
        """Return example number `i`; every subclass defines this.

        Args:
            i: int as it was given to `dataset[i]`, so it may be negative.
        Raises:
            IndexError: there is no such example.
        """
        raise NotImplementedError(f'{type(self).__name__} must define get_example(self, i)')


def position_within(i, size, name):
    """Return index `i` counted from the front, 0 <= i < size, or raise IndexError."""
    if not isinstance(i, (numbers.Integral, np.ndarray)):
        raise InvalidArgument(f'{name}: an integer index, a slice or a list of integers expected, '
                              f'got {i!r}')
    if not -size <= i < size:
        raise IndexError(f'{name}: example {i} asked for, there are {size}')
    return int(i) % size


def _positions(index):
    positions = np.asarray(index)
    if positions.size == 0:
        return []
    if positions.ndim != 1 or positions.dtype.kind not in 'iu':
        raise InvalidArgument('a flat list of integer indices expected, got '
                              f'{positions.dtype} {positions.shape}. Of a mask of booleans, give '
                              'numpy.flatnonzero(mask)')
    return positions.tolist()

"""Parts of a data set: an interval of it, splits, and the folds of cross-validation."""
import numbers

import numpy as np

from minichain.dataset.dataset_mixin import DatasetMixin, position_within
from minichain.errors import InvalidArgument


class SubDataset(DatasetMixin):
    """The examples `start` to `finish` (excluded) of a data set.

    Args:
        dataset: has `len` and indices.
        start, finish: 0 <= start, finish <= len(dataset); empty where finish <= start.
        order: sequence of len(dataset) indices into the data set; the interval is then one of
            `order`. Default: the data set's own order.
    Raises:
        InvalidArgument: the interval or `order` does not fit the data set.
    """

    def __init__(self, dataset, start, finish, order=None):
        if start < 0 or finish > len(dataset):
            raise InvalidArgument(f'SubDataset: an interval within 0..{len(dataset)} expected, '
                                  f'got {start}..{finish}')
        if order is not None and len(order) != len(dataset):
            raise InvalidArgument(f'SubDataset: order with one index for each of the '
                                  f'{len(dataset)} examples expected, got {len(order)}')
        self._dataset = dataset
        self._start = start
        self._size = max(finish - start, 0)
        self._order = order

    def __len__(self):
        return self._size

    def get_example(self, i):
        i = self._start + position_within(i, self._size, 'SubDataset')
        return self._dataset[i if self._order is None else self._order[i]]


def split_dataset(dataset, split_at, order=None):
    """Split a data set in two.

    Args:
        dataset: has `len` and indices.
        split_at: number of examples of the first part, 0 to len(dataset).
        order: as in :class:`SubDataset`.
    Returns:
        Two SubDatasets: the first `split_at` examples, and the rest.
    """
    if not isinstance(split_at, numbers.Integral) or not 0 <= split_at <= len(dataset):
        raise InvalidArgument(f'split_dataset: split_at, an integer of 0 to {len(dataset)}, '
                              f'expected, got {split_at!r}')
    return (SubDataset(dataset, 0, split_at, order),
            SubDataset(dataset, split_at, len(dataset), order))


def split_dataset_random(dataset, first_size, seed=None):
    """Split a data set in two at random; arguments as in :func:`split_dataset`.

    Args:
        seed: number that fixes the split; default: another one each time.
    """
    return split_dataset(dataset, first_size, _random_order(dataset, seed))


def split_dataset_n(dataset, n, order=None):
    """Split a data set into a list of `n` SubDatasets of equal size; a remainder is left out."""
    _check_number(n, 'split_dataset_n')
    size = len(dataset) // n
    return [SubDataset(dataset, k * size, (k + 1) * size, order) for k in range(n)]


def split_dataset_n_random(dataset, n, seed=None):
    """:func:`split_dataset_n` at random; `seed` fixes the split."""
    _check_number(n, 'split_dataset_n_random')
    return split_dataset_n(dataset, n, _random_order(dataset, seed))


def get_cross_validation_datasets(dataset, n_folds, order=None):
    """Return the pairs (train, test) of cross-validation.

    Args:
        dataset: has `len` and indices.
        n_folds: number of pairs, 1 to len(dataset). Every example is in the test part of
            exactly one; the test parts differ in size by one at most.
        order: as in :class:`SubDataset`.
    Returns:
        List of n_folds pairs of SubDatasets.
    """
    _check_number(n_folds, 'get_cross_validation_datasets')
    size = len(dataset)
    if n_folds > size:
        raise InvalidArgument(f'get_cross_validation_datasets: {n_folds} folds of {size} examples '
                              'asked for; give at most as many folds as examples')
    order = np.arange(size) if order is None else np.asarray(order)
    pairs = []
    for fold in range(n_folds):
        test_size = size // n_folds + (fold < size % n_folds)
        pairs.append(split_dataset(dataset, size - test_size, order))
        order = np.roll(order, test_size)
    return pairs


def get_cross_validation_datasets_random(dataset, n_folds, seed=None):
    """:func:`get_cross_validation_datasets` at random; `seed` fixes the folds."""
    return get_cross_validation_datasets(dataset, n_folds, _random_order(dataset, seed))


def _random_order(dataset, seed):
    # the legacy generator, because its permutations are Chainer's
    return np.random.RandomState(seed).permutation(len(dataset))


def _check_number(n, name):
    if not isinstance(n, numbers.Integral) or n < 1:
        raise InvalidArgument(f'{name}: a number of parts of at least 1 expected, got {n!r}')

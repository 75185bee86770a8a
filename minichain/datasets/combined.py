"""Data sets made of others: side by side (tuples, dicts), one after the other, transformed."""
import bisect
import itertools

from minichain.dataset.dataset_mixin import DatasetMixin, position_within
from minichain.errors import InvalidArgument


class TupleDataset:
    """Data sets side by side: example i is the tuple of their examples i.

    Args:
        datasets: one or more of equal length, each with `len` and indices. The argument number
            decides the place in the tuple.
    Raises:
        InvalidArgument: none, or different lengths.
    """

    def __init__(self, *datasets):
        _check_lengths(enumerate(datasets), 'TupleDataset')
        self._datasets = datasets

    def __getitem__(self, index):
        columns = [dataset[index] for dataset in self._datasets]
        if isinstance(index, slice):
            return list(zip(*columns))
        return tuple(columns)

    def __len__(self):
        return len(self._datasets[0])


class DictDataset:
    """Data sets side by side under names: example i is a dict of their examples i.

    Args:
        datasets: one or more of equal length, as keyword arguments.
    Raises:
        InvalidArgument: none, or different lengths.
    """

    def __init__(self, **datasets):
        _check_lengths(datasets.items(), 'DictDataset')
        self._datasets = datasets

    def __getitem__(self, index):
        columns = {key: dataset[index] for key, dataset in self._datasets.items()}
        if isinstance(index, slice):
            return [dict(zip(columns, row)) for row in zip(*columns.values())]
        return columns

    def __len__(self):
        return len(next(iter(self._datasets.values())))


def _check_lengths(named, name):
    lengths = {key: len(dataset) for key, dataset in named}
    if not lengths:
        raise InvalidArgument(f'{name}: at least one data set expected, got none')
    if len(set(lengths.values())) > 1:
        raise InvalidArgument(f'{name}: data sets of one length expected, got the lengths '
                              f'{lengths}')


class ConcatenatedDataset(DatasetMixin):
    """Data sets one after the other.

    Args:
        datasets: any number, each with `len` and indices.
    """

    def __init__(self, *datasets):
        self._datasets = datasets
        self._ends = list(itertools.accumulate(len(dataset) for dataset in datasets))

    def __len__(self):
        return self._ends[-1] if self._ends else 0

    def get_example(self, i):
        i = position_within(i, len(self), 'ConcatenatedDataset')
        number = bisect.bisect_right(self._ends, i)
        return self._datasets[number][i - (self._ends[number - 1] if number else 0)]


class TransformDataset(DatasetMixin):
    """A data set seen through a function, which runs each time an example is asked for.

    Args:
        dataset: has `len` and indices.
        transform: function of one example that returns the new example. For MultiprocessIterator
            where processes are spawned it must be a function of a module, no lambda.
    """

    def __init__(self, dataset, transform):
        self._dataset = dataset
        self._transform = transform

    def __len__(self):
        return len(self._dataset)

    def get_example(self, i):
        return self._transform(self._dataset[i])

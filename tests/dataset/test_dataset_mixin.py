"""Indexing as in Chainer, and the protocol of iterators."""
import numpy as np
import pytest

from minichain.dataset import DatasetMixin, Iterator
from minichain.errors import InvalidArgument


class Tens(DatasetMixin):
    def __len__(self):
        return 7

    def get_example(self, i):
        return i * 10


@pytest.mark.parametrize('index, expected', [
    (0, 0), (6, 60), (-1, -10), (np.int64(3), 30), (np.array(3), 30),
    (slice(2, 5), [20, 30, 40]), (slice(None, None, -2), [60, 40, 20, 0]),
    (slice(5, 100), [50, 60]), (slice(-2, None), [50, 60]), (slice(3, 3), []),
    ([1, 2, -1], [10, 20, -10]), ([], []), ([7], [70]), (np.array([1, 2]), [10, 20]),
    (np.array([0, -1], np.int32), [0, -10]), (np.array([], int), []),
])
def test_indices_slices_and_lists_give_what_chainer_gives(index, expected):
    assert Tens()[index] == expected


@pytest.mark.parametrize('index', [
    np.array([True] * 7), [True, False], [1.5], np.zeros((2, 2), int), ['a']])
def test_lists_of_something_else_are_refused(index):
    with pytest.raises(InvalidArgument, match='flat list of integer indices expected'):
        Tens()[index]


def test_a_data_set_can_be_iterated_over_though_it_never_raises_index_error():
    assert list(Tens()) == [0, 10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize('call, name', [
    (lambda: DatasetMixin()[0], 'get_example'), (lambda: len(DatasetMixin()), '__len__'),
    (lambda: Iterator().next(), '__next__'), (lambda: next(Iterator()), '__next__')])
def test_what_a_subclass_must_define_is_named(call, name):
    with pytest.raises(NotImplementedError, match=f'must define {name}'):
        call()


def test_an_iterator_is_finalized_at_the_end_of_its_block_and_when_it_is_dropped():
    events = []

    class Once(Iterator):
        def next(self):
            raise StopIteration

        def finalize(self):
            events.append('finalized')

    with Once() as iterator:
        assert list(iterator) == []
        assert iterator.serialize(None) is None
    assert events == ['finalized']
    del iterator
    assert events == ['finalized', 'finalized']

"""The three iterators give the batches, states and errors of Chainer's SerialIterator.

The lists of numbers were noted from Chainer 7.8.1 with numpy.random.seed(0).
"""
import contextlib
import functools

import numpy as np
import pytest

from minichain.dataset import Iterator
from minichain.errors import DataError, InvalidArgument
from minichain.iterators import (
    MultiprocessIterator,
    MultithreadIterator,
    OrderSampler,
    SerialIterator,
    ShuffleOrderSampler,
)

KINDS = {
    'serial': SerialIterator,
    'thread': functools.partial(MultithreadIterator, n_threads=2),
    'process': functools.partial(MultiprocessIterator, n_processes=2, n_prefetch=2),
}
# batch, current_position, epoch, is_new_epoch, epoch_detail, previous_epoch_detail
CHAINER_SHUFFLED = [
    ([2, 8, 4, 9], 4, 0, False, 0.4, 0.0),
    ([1, 6, 7, 3], 8, 0, False, 0.8, 0.4),
    ([0, 5, 3, 5], 2, 1, True, 1.2, 0.8),
    ([1, 2, 9, 8], 6, 1, False, 1.6, 1.2),
    ([0, 6, 7, 4], 0, 2, True, 2.0, 1.6),
    ([2, 3, 8, 4], 4, 2, False, 2.4, 2.0),
]
CHAINER_IN_ORDER = [
    ([0, 1, 2, 3], 4, 0, False, 0.4, 0.0),
    ([4, 5, 6, 7], 8, 0, False, 0.8, 0.4),
    ([8, 9, 0, 1], 2, 1, True, 1.2, 0.8),
    ([2, 3, 4, 5], 6, 1, False, 1.6, 1.2),
    ([6, 7, 8, 9], 0, 2, True, 2.0, 1.6),
    ([0, 1, 2, 3], 4, 2, False, 2.4, 2.0),
]


@pytest.fixture(params=KINDS)
def make(request):
    """Makes iterators of one kind, and finalizes them."""
    with contextlib.ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(KINDS[request.param](*args, **kwargs))


class Store:
    """A serializer that writes to a dict and reads from it, as Chainer's do to npz files."""

    def __init__(self, values=None):
        self.reads = values is not None
        self.values = values or {}

    def __call__(self, key, value):
        if not self.reads:
            self.values[key] = np.array(value)
            return value
        stored = self.values[key]
        return stored.copy() if isinstance(value, np.ndarray) else type(value)(stored)


def saved(iterator):
    store = Store()
    iterator.serialize(store)
    return store.values


def observe(iterator, count):
    return [(iterator.next(), iterator.current_position, iterator.epoch, iterator.is_new_epoch,
             pytest.approx(iterator.epoch_detail), pytest.approx(iterator.previous_epoch_detail))
            for _ in range(count)]


@pytest.mark.parametrize('shuffle', [True, None])
def test_a_shuffled_iterator_gives_chainers_batches_and_states(make, shuffle):
    np.random.seed(0)
    iterator = make(list(range(10)), 4, shuffle=shuffle)
    assert iterator.previous_epoch_detail is None
    assert not iterator.is_new_epoch
    assert observe(iterator, 6) == CHAINER_SHUFFLED


def test_an_iterator_in_order_gives_chainers_batches_and_states(make):
    assert observe(make(list(range(10)), 4, shuffle=False), 6) == CHAINER_IN_ORDER


def test_without_repeat_the_last_batch_is_smaller_and_the_iterator_stops(make):
    np.random.seed(0)
    iterator = make(list(range(10)), 4, repeat=False)
    assert not iterator.repeat
    assert list(iterator) == [[2, 8, 4, 9], [1, 6, 7, 3], [0, 5]]
    assert (iterator.epoch, iterator.current_position, iterator.is_new_epoch) == (1, 0, True)
    assert iterator.epoch_detail == iterator.previous_epoch_detail == 1.0
    pytest.raises(StopIteration, iterator.next)


def test_reset_starts_again_with_a_new_order_as_in_chainer(make):
    np.random.seed(0)
    iterator = make(list(range(10)), 4)
    observe(iterator, 6)
    iterator.reset()
    assert (iterator.epoch, iterator.current_position) == (0, 0)
    assert iterator.previous_epoch_detail is None
    assert [iterator.next(), iterator.next()] == [[6, 1, 9, 2], [7, 5, 8, 0]]


def test_a_batch_larger_than_the_data_set_wraps_more_than_once(make):
    np.random.seed(1)
    iterator = make(list(range(3)), 8)
    assert [iterator.next() for _ in range(3)] == [
        [0, 2, 1, 1, 2, 0, 0, 2], [1, 0, 2, 1, 1, 2, 0, 2], [0, 1, 2, 0, 1, 0, 1, 2]]
    assert (iterator.epoch, iterator.current_position, iterator.is_new_epoch) == (8, 0, True)


def test_an_order_sampler_with_its_own_random_state_gives_chainers_batches(make):
    sampler = ShuffleOrderSampler(np.random.RandomState(3))
    iterator = make(list(range(10)), 4, order_sampler=sampler)
    assert [iterator.next() for _ in range(6)] == [
        [5, 4, 1, 2], [9, 6, 7, 0], [3, 8, 3, 8], [2, 1, 9, 4], [0, 6, 7, 5], [0, 5, 8, 3]]


class Chosen(OrderSampler):
    """An order that leaves examples out and takes others twice."""

    def __init__(self):
        self.calls = []

    def __call__(self, current_order, current_position):
        self.calls.append((current_order.tolist(), current_position))
        return np.array([0, 0, 1, 5])


def test_an_order_sampler_decides_how_long_an_epoch_is(make):
    sampler = Chosen()
    iterator = make(list(range(10)), 3, order_sampler=sampler)
    assert [(iterator.next(), iterator.epoch_detail) for _ in range(4)] == [
        ([0, 0, 1], 0.75), ([5, 0, 0], 1.5), ([1, 5, 0], 2.25), ([0, 1, 5], 3.0)]
    assert sampler.calls == [
        (list(range(10)), 0), ([0, 0, 1, 5], 3), ([0, 0, 1, 5], 2), ([0, 0, 1, 5], 1)]


def test_an_order_sampler_may_decline(make):
    iterator = make(list(range(4)), 3, order_sampler=lambda order, position: None)
    assert [iterator.next(), iterator.next()] == [[0, 1, 2], [3, 0, 1]]


@pytest.mark.parametrize('order', [np.zeros(0, int), np.array([0.5]), np.zeros((2, 2), int)])
def test_an_order_that_is_none_is_refused(order):
    with pytest.raises(DataError, match='flat array of integer indices expected'):
        SerialIterator([1, 2], 1, order_sampler=lambda *_: order)


def test_the_state_has_chainers_keys(make):
    np.random.seed(0)
    iterator = make(list(range(10)), 4)
    observe(iterator, 6)
    values = saved(iterator)
    assert values.pop('order').tolist() == [2, 3, 8, 4, 5, 1, 0, 6, 9, 7]
    assert values == {'current_position': 4, 'epoch': 2, 'is_new_epoch': False,
                      'previous_epoch_detail': 2.0}
    assert 'order' not in saved(make([1, 2], 1, shuffle=False))
    assert saved(make([1, 2], 1))['previous_epoch_detail'] == -1


@pytest.mark.parametrize('shuffle', [True, False])
@pytest.mark.parametrize('n_before', [0, 1, 2, 3, 5])
def test_resuming_continues_with_the_same_examples(make, shuffle, n_before):
    """Across epochs too, if NumPy's random state is restored, as a snapshot of a training does."""
    np.random.seed(5)
    iterator = make(list(range(10)), 4, shuffle=shuffle)
    for _ in range(n_before):
        iterator.next()
    values, random_state = saved(iterator), np.random.get_state()
    expected = observe(iterator, 7)

    resumed = make(list(range(10)), 4, shuffle=shuffle)
    resumed.next()
    resumed.serialize(Store(values))
    np.random.set_state(random_state)
    assert observe(resumed, 7) == expected


@pytest.mark.parametrize('first', KINDS)
def test_any_iterator_continues_the_state_of_any_other(make, first):
    np.random.seed(0)
    with KINDS[first](list(range(10)), 4) as iterator:
        iterator.next()
        values, random_state = saved(iterator), np.random.get_state()
    resumed = make(list(range(10)), 4)
    resumed.serialize(Store(values))
    np.random.set_state(random_state)
    assert observe(resumed, 5) == CHAINER_SHUFFLED[1:]


def test_a_state_of_chainers_multithread_iterator_is_read():
    iterator = SerialIterator(list(range(5)), 2)
    iterator.serialize(Store({
        'current_position': np.array(4), 'epoch': np.array(0), 'is_new_epoch': np.array(False),
        '_order': np.array([1, 3, 0, 2, 4]), 'previous_epoch_detail': np.array(0.4)}))
    assert iterator.next()[0] == 4


def test_a_state_without_previous_epoch_detail_is_read():
    iterator = SerialIterator(list(range(5)), 2, shuffle=False)
    iterator.serialize(Store({'current_position': np.array(4), 'epoch': np.array(1),
                              'is_new_epoch': np.array(False)}))
    assert iterator.previous_epoch_detail == pytest.approx(1.4)


@pytest.mark.parametrize('change', [
    {'order': np.arange(6)}, {'order': np.array([0, 1, 2, 3, 5])}, {'order': -np.arange(5)},
    {'order': np.arange(5.)}, {'current_position': np.array(5)}, {'epoch': np.array(-1)}])
def test_a_state_of_other_data_is_refused_and_changes_nothing(change):
    iterator = SerialIterator(list(range(5)), 2)
    with pytest.raises(DataError, match='does not belong to this data set of 5 examples'):
        iterator.serialize(Store({**saved(iterator), **change}))
    assert (iterator.epoch, iterator.current_position) == (0, 0)


def test_a_state_without_an_order_is_refused_by_its_name():
    values = saved(SerialIterator([1, 2], 1, shuffle=False))
    with pytest.raises(KeyError, match='^.order.$'):
        SerialIterator([1, 2], 1).serialize(Store(values))


def test_an_empty_data_set_is_refused(make):
    with pytest.raises(DataError, match='the data set is empty'):
        make([], 2)


@pytest.mark.parametrize('batch_size', [0, -1, 2.5, True, '2'])
def test_a_batch_size_that_is_none_is_refused(make, batch_size):
    with pytest.raises(InvalidArgument, match='batch_size of at least 1 expected'):
        make([1, 2], batch_size)


@pytest.mark.parametrize('shuffle', [True, False])
def test_shuffle_and_an_order_sampler_together_are_refused(make, shuffle):
    with pytest.raises(InvalidArgument, match='shuffle=None'):
        make([1, 2], 1, shuffle=shuffle, order_sampler=ShuffleOrderSampler())


class Fragile:
    """Five examples, the last of which cannot be read."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        if i == 4:
            raise KeyError(f'no example {i}')
        return i


def test_an_exception_of_the_data_set_comes_out_and_the_place_is_kept(make):
    iterator = make(Fragile(), 2, shuffle=False)
    assert [iterator.next(), iterator.next()] == [[0, 1], [2, 3]]
    for _ in range(2):
        with pytest.raises(KeyError, match='no example 4'):
            iterator.next()
        assert iterator.current_position == 4
        assert iterator.previous_epoch_detail == pytest.approx(0.4)
    iterator.reset()
    assert iterator.next() == [0, 1]


def test_batches_hold_arrays_as_the_data_set_gives_them(make):
    batch = make(np.arange(20.).reshape(10, 2), 3, shuffle=False).next()
    assert isinstance(batch, list)
    assert [row.tolist() for row in batch] == [[0, 1], [2, 3], [4, 5]]


def test_a_finalized_iterator_can_go_on(make):
    iterator = make(list(range(10)), 4, shuffle=False)
    iterator.next()
    iterator.finalize()
    iterator.finalize()
    assert iterator.next() == [4, 5, 6, 7]


def test_an_iterator_is_its_own_context_manager_and_iterator(make):
    iterator = make([1, 2, 3], 2, shuffle=False)
    with iterator as same:
        assert same is iterator is iter(iterator)
        assert next(iterator) == [1, 2]
    assert (iterator.dataset, iterator.batch_size, iterator.repeat) == ([1, 2, 3], 2, True)


@pytest.mark.parametrize('name', ['next', '__next__'])
def test_an_iterator_defines_one_of_two_methods(name):
    batches = iter([[1], [2]])
    own = type('Own', (Iterator,), {name: lambda self: next(batches)})()
    assert own.next() == [1] and next(own) == [2]
    with pytest.raises(StopIteration):
        own.next()
    with pytest.raises(NotImplementedError, match='Iterator must define __next__'):
        Iterator().next()

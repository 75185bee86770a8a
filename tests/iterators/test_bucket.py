import numpy as np
import pytest

from minichain.errors import DataError, InvalidArgument
from minichain.iterators import BucketIterator

LENGTHS = np.random.RandomState(0).randint(3, 12, 50)


def iterator(**arguments):
    return BucketIterator(list(range(50)), LENGTHS, 8, **arguments)


def test_an_epoch_holds_every_example_once_whatever_the_window():
    for window in (1, 2, 100):
        batches = list(iterator(repeat=False, window=window))
        assert sorted(sum(batches, [])) == list(range(50))
        assert sorted(map(len, batches)) == [2] + [8] * 6


def test_one_large_window_gives_batches_of_neighbouring_lengths():
    batches = list(iterator(repeat=False, window=100))
    ranges = sorted((LENGTHS[batch].min(), LENGTHS[batch].max()) for batch in batches)
    assert all(before[1] <= after[0] for before, after in zip(ranges, ranges[1:]))


def test_epochs_differ_and_so_does_the_order_of_batches():
    batches = iterator()
    epochs = [[tuple(batches.next()) for _ in range(7)] for _ in range(3)]
    assert batches.epoch == 3 and batches.is_new_epoch
    assert epochs[0] != epochs[1] != epochs[2]
    first_lengths = [LENGTHS[batch[0]] for batch in epochs[0]]
    assert first_lengths != sorted(first_lengths)


def test_without_shuffling_every_epoch_is_the_same_and_sorted():
    batches = iterator(shuffle=False)
    epochs = [[batches.next() for _ in range(7)] for _ in range(2)]
    assert epochs[0] == epochs[1]
    lengths = LENGTHS[sum(epochs[0], [])]
    assert (np.diff(lengths) >= 0).all()


def test_a_restored_iterator_goes_on_with_the_very_same_batches_across_epochs():
    batches = iterator(seed=3)
    for _ in range(5):
        batches.next()
    stored = {}
    batches.serialize(lambda key, value: stored.setdefault(key, np.copy(value)))
    expected = [batches.next() for _ in range(20)]
    restored = iterator(seed=99)
    restored.serialize(lambda key, value: stored[key])
    assert [restored.next() for _ in range(20)] == expected


def test_the_state_of_another_data_set_is_refused():
    stored = {}
    iterator().serialize(lambda key, value: stored.setdefault(key, value))
    with pytest.raises(DataError, match='40 examples'):
        BucketIterator(range(40), LENGTHS[:40], 8).serialize(lambda key, value: stored[key])


def test_bad_arguments_are_refused():
    with pytest.raises(DataError):
        BucketIterator([], [], 8)
    for arguments in ({'batch_size': 0}, {'batch_size': 8, 'window': 0}):
        with pytest.raises(InvalidArgument):
            BucketIterator([1], [1], **arguments)
    with pytest.raises(InvalidArgument, match='2 lengths'):
        BucketIterator([1, 2], [1], 8)


def test_weights_decide_how_often_an_example_comes():
    weights = np.zeros(50)
    weights[[3, 7]] = 1, 3
    batches = iterator(weights=weights)
    drawn = sum([batches.next() for _ in range(7 * 20)], [])
    assert set(drawn) == {3, 7} and len(drawn) == 1000
    assert 700 <= drawn.count(7) <= 800
    with pytest.raises(InvalidArgument, match='50 examples'):
        iterator(weights=[1])

"""Parts and folds; the lists were noted from Chainer 7.8.1."""
import pytest

from minichain.datasets import (
    SubDataset,
    get_cross_validation_datasets,
    get_cross_validation_datasets_random,
    split_dataset,
    split_dataset_n,
    split_dataset_n_random,
    split_dataset_random,
)
from minichain.errors import InvalidArgument

TEN = list(range(10))
BACKWARDS = TEN[::-1]


def contents(parts):
    return [part[:] for part in parts]


def test_an_interval_of_a_data_set():
    dataset = SubDataset('abcdef', 1, 4)
    assert len(dataset) == 3
    assert (dataset[0], dataset[-1], dataset[:]) == ('b', 'd', ['b', 'c', 'd'])
    for index in (3, -4):
        pytest.raises(IndexError, lambda index=index: dataset[index])
    assert SubDataset('abcdef', 1, 4, order=[5, 4, 3, 2, 1, 0])[:] == ['e', 'd', 'c']
    assert len(SubDataset('ab', 1, 0)) == 0


@pytest.mark.parametrize('start, finish, order, message', [
    (0, 3, None, r'within 0\.\.2 expected, got 0\.\.3'), (-1, 1, None, r'got -1\.\.1'),
    (0, 1, [0], 'one index for each of the 2 examples expected, got 1')])
def test_an_interval_or_order_that_does_not_fit_is_refused(start, finish, order, message):
    with pytest.raises(InvalidArgument, match=message):
        SubDataset([1, 2], start, finish, order)


@pytest.mark.parametrize('split_at', [0, 4, 10])
def test_a_data_set_is_split_in_two(split_at):
    assert contents(split_dataset(TEN, split_at)) == [TEN[:split_at], TEN[split_at:]]
    assert contents(split_dataset(TEN, split_at, BACKWARDS)) == [
        BACKWARDS[:split_at], BACKWARDS[split_at:]]


@pytest.mark.parametrize('split_at', [-1, 11, 2.5, '2'])
def test_a_split_outside_the_data_set_is_refused(split_at):
    with pytest.raises(InvalidArgument, match='split_at, an integer of 0 to 10'):
        split_dataset(TEN, split_at)


def test_a_seed_gives_chainers_random_split():
    assert contents(split_dataset_random(TEN, 4, seed=0)) == [[2, 8, 4, 9], [1, 6, 7, 3, 0, 5]]


def test_without_a_seed_every_random_split_is_another_one():
    splits = {tuple(split_dataset_random(list(range(100)), 50)[0][:]) for _ in range(3)}
    assert len(splits) == 3


def test_a_data_set_is_split_in_equal_parts_and_the_rest_left_out():
    assert contents(split_dataset_n(TEN, 3)) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert contents(split_dataset_n(TEN, 3, BACKWARDS)) == [[9, 8, 7], [6, 5, 4], [3, 2, 1]]
    assert contents(split_dataset_n_random(TEN, 3, seed=0)) == [[2, 8, 4], [9, 1, 6], [7, 3, 0]]
    assert contents(split_dataset_n([1], 3)) == [[], [], []]


def test_folds_are_chainers():
    seven = list(range(7))
    assert [contents(pair) for pair in get_cross_validation_datasets(seven, 3)] == [
        [[0, 1, 2, 3], [4, 5, 6]], [[4, 5, 6, 0, 1], [2, 3]], [[2, 3, 4, 5, 6], [0, 1]]]
    assert [contents(pair) for pair in get_cross_validation_datasets(seven, 3, seven[::-1])] == [
        [[6, 5, 4, 3], [2, 1, 0]], [[2, 1, 0, 6, 5], [4, 3]], [[4, 3, 2, 1, 0], [6, 5]]]
    folds = get_cross_validation_datasets_random(seven, 3, seed=0)
    assert [contents(pair) for pair in folds] == [
        [[6, 2, 1, 3], [0, 5, 4]], [[0, 5, 4, 6, 2], [1, 3]], [[1, 3, 0, 5, 4], [6, 2]]]


@pytest.mark.parametrize('size', [5, 12, 13])
def test_every_example_is_tested_once_and_never_trained_on_in_its_fold(size):
    tested = []
    for train, test in get_cross_validation_datasets(list(range(size)), 5):
        assert sorted(train[:] + test[:]) == list(range(size))
        tested += test[:]
    assert sorted(tested) == list(range(size))


@pytest.mark.parametrize('call, message', [
    (lambda: split_dataset_n(TEN, 0), 'at least 1 expected, got 0'),
    (lambda: split_dataset_n_random(TEN, 1.5), 'at least 1 expected, got 1.5'),
    (lambda: get_cross_validation_datasets(TEN, None), 'at least 1 expected, got None'),
    (lambda: get_cross_validation_datasets([1, 2], 3), '3 folds of 2 examples')])
def test_numbers_of_parts_that_make_no_sense_are_refused(call, message):
    with pytest.raises(InvalidArgument, match=message):
        call()

"""Data sets side by side, one after the other, transformed; results as Chainer's."""
import numpy as np
import pytest

from minichain.datasets import (
    ConcatenatedDataset,
    DictDataset,
    TransformDataset,
    TupleDataset,
)
from minichain.errors import InvalidArgument


def test_a_tuple_data_set_gives_tuples_and_lists_of_tuples():
    dataset = TupleDataset([1, 2, 3], 'abc')
    assert len(dataset) == 3
    assert dataset[0] == (1, 'a')
    assert dataset[-1] == (3, 'c')
    assert dataset[1:] == [(2, 'b'), (3, 'c')]
    assert dataset[::-2] == [(3, 'c'), (1, 'a')]
    pytest.raises(IndexError, lambda: dataset[3])


def test_rows_of_arrays_are_examples():
    image, label = TupleDataset(np.arange(6).reshape(3, 2), np.array([7, 8, 9]))[1]
    assert image.tolist() == [2, 3]
    assert label == 8


def test_a_dict_data_set_gives_dicts_and_lists_of_dicts():
    dataset = DictDataset(a=[1, 2, 3], b='xyz')
    assert len(dataset) == 3
    assert dataset[0] == {'a': 1, 'b': 'x'}
    assert dataset[1:] == [{'a': 2, 'b': 'y'}, {'a': 3, 'b': 'z'}]
    pytest.raises(IndexError, lambda: dataset[3])


@pytest.mark.parametrize('make', [lambda: TupleDataset(), lambda: DictDataset()])
def test_no_data_sets_at_all_are_refused(make):
    with pytest.raises(InvalidArgument, match='at least one data set expected'):
        make()


@pytest.mark.parametrize('make, lengths', [
    (lambda: TupleDataset([1], [1, 2]), '{0: 1, 1: 2}'),
    (lambda: DictDataset(a=[1], b=[]), "{'a': 1, 'b': 0}")])
def test_different_lengths_are_refused_and_named(make, lengths):
    with pytest.raises(InvalidArgument, match=f'got the lengths {lengths}'):
        make()


def test_concatenated_data_sets_follow_each_other():
    dataset = ConcatenatedDataset([1, 2], [3], [], [4, 5, 6])
    assert len(dataset) == 6
    assert dataset[:] == [1, 2, 3, 4, 5, 6]
    assert [dataset[0], dataset[2], dataset[3], dataset[-1], dataset[-6]] == [1, 3, 4, 6, 1]
    assert dataset[[0, 3]] == [1, 4]
    for index in (6, -7):
        with pytest.raises(IndexError, match='there are 6'):
            dataset[index]


def test_nothing_concatenated_is_empty():
    assert len(ConcatenatedDataset()) == 0
    assert list(ConcatenatedDataset()) == []


def test_an_index_that_is_no_number_is_refused():
    with pytest.raises(InvalidArgument, match="got 'a'"):
        ConcatenatedDataset([1])['a']


def test_a_transformed_data_set_calls_the_function_for_each_example_asked_for():
    seen = []
    dataset = TransformDataset([1, 2, 3], lambda x: seen.append(x) or 10 * x)
    assert len(dataset) == 3
    assert seen == []
    assert dataset[1] == 20
    assert dataset[1:] == [20, 30]
    assert seen == [2, 2, 3]
    pytest.raises(IndexError, lambda: dataset[3])

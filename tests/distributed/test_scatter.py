"""Data sets that one rank has are divided among all; results of evaluators are averaged."""
import numpy as np
import pytest

from minichain.datasets import TupleDataset
from minichain.distributed import create_multi_node_evaluator, scatter_dataset
from minichain.errors import InvalidArgument, InvalidType
from tests.distributed.ranks import on_ranks

N = 10
DATA = TupleDataset(np.arange(2. * N).reshape(N, 2).astype('f'), np.arange(N, dtype='i'))


def scattered(size, root=0, data=DATA, **options):
    def work(communicator):
        mine = data if communicator.rank == root else None
        return scatter_dataset(mine, communicator, root, **options)
    return on_ranks(size, work)


@pytest.mark.parametrize('size, length', [(1, 10), (2, 5), (3, 4), (4, 3), (12, 1)])
def test_parts_of_equal_length_hold_every_example(size, length):
    parts = scattered(size)
    assert [len(part) for part in parts] == [length] * size
    assert {int(label) for part in parts for _, label in part} == set(range(N))
    for part in parts:
        x, label = part[0]
        assert x.dtype == np.float32 and label.dtype == np.int32
        assert x.tolist() == [2 * label, 2 * label + 1]


def test_parts_of_unequal_length_hold_every_example_once():
    parts = scattered(3, root=1, force_equal_length=False)
    assert sorted(len(part) for part in parts) == [3, 3, 4]
    assert sorted(int(label) for part in parts for _, label in part) == list(range(N))


def test_a_seed_fixes_the_shuffling():
    first, again, other = ([[int(label) for _, label in part] for part in scattered(
        2, shuffle=True, seed=seed)] for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(sum(first, [])) == list(range(N)) != sum(first, [])


def test_a_data_set_that_is_none_is_refused_on_all_ranks():
    with pytest.raises(InvalidArgument, match='a data set on rank 1 expected, got NoneType'):
        scattered(2, root=1, data=None)
    with pytest.raises(InvalidArgument, match='at least one example'):
        scattered(2, data=[])
    with pytest.raises(InvalidArgument, match='a rank of 0 to 1 expected, got 2'):
        scattered(2, root=2)


class Evaluator:
    def __init__(self, rank):
        self.rank = rank

    def evaluate(self):
        return {'loss': np.float32(self.rank), 'accuracy': 1.}


def test_an_evaluator_returns_means():
    def work(communicator):
        evaluator = Evaluator(communicator.rank)
        assert create_multi_node_evaluator(evaluator, communicator) is evaluator
        return evaluator.evaluate()
    assert on_ranks(3, work) == [{'loss': 1, 'accuracy': 1}] * 3
    with pytest.raises(InvalidType, match='evaluate expected, got int'):
        on_ranks(1, lambda communicator: create_multi_node_evaluator(3, communicator))

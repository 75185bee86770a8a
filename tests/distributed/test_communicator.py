"""What a communicator can do, alone and among threads as ranks."""
import numpy as np
import pytest

from minichain import Chain, Parameter
from minichain import links as L
from minichain.distributed import Communicator
from minichain.errors import InvalidArgument
from tests.distributed.ranks import on_ranks


def model_of(seed, in_size=3):
    model = Chain()
    with model.init_scope():
        model.linear = L.Linear(in_size, 2, initialW=seed + 1)
        model.norm = L.BatchNormalization(2)
    model.norm.avg_mean[...] = seed
    return model


def test_alone_everything_is_a_sum_of_one():
    alone = Communicator()
    assert (alone.rank, alone.size, alone.intra_rank, alone.intra_size) == (0, 1, 0, 1)
    data = np.arange(3.)
    total = alone.allreduce(data)
    assert total.tolist() == [0, 1, 2] and total is not data
    assert alone.gather_obj({'a': 1}) == alone.allgather_obj({'a': 1}) == [{'a': 1}]
    assert alone.bcast_obj((1, 'x')) == alone.allreduce_obj((1, 'x')) == (1, 'x')
    assert alone.any(True) and not alone.any(False) and alone.all_failed(0)
    alone.barrier()
    with alone.rank_0_first():
        pass
    with pytest.raises(SystemExit):
        alone.abort(2)
    with pytest.raises(InvalidArgument, match='a rank of 0 to 0 expected, got 1'):
        alone.bcast_obj(1, root=1)


def test_values_travel_between_ranks():
    def work(communicator):
        rank = communicator.rank
        return (communicator.allreduce_obj(rank + 1), communicator.allreduce_obj([rank]),
                communicator.bcast_obj({'from': rank}, root=2), communicator.gather_obj(rank),
                communicator.gather_obj(rank, root=1), communicator.any(rank == 1),
                communicator.any(False), communicator.bcast(np.full(2, rank), root=1).tolist())
    for rank, found in enumerate(on_ranks(3, work)):
        assert found == (6, [0, 1, 2], {'from': 2}, [0, 1, 2] if rank == 0 else None,
                         [0, 1, 2] if rank == 1 else None, True, False, [1, 1])


@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64', 'int64'])
def test_arrays_are_summed_and_the_operand_stays(dtype):
    def work(communicator):
        data = np.arange(6, dtype=dtype).reshape(2, 3).T + communicator.rank
        total = communicator.allreduce(data)
        assert data[0, 0] == communicator.rank
        return total
    for total in on_ranks(3, work):
        assert total.dtype == dtype
        np.testing.assert_array_equal(total, 3 * np.arange(6).reshape(2, 3).T + 3)


def test_rank_0_goes_first():
    order = []

    def work(communicator):
        with communicator.rank_0_first():
            order.append(communicator.rank)
    on_ranks(3, work)
    assert order[0] == 0 and sorted(order) == [0, 1, 2]


def test_all_ranks_get_parameters_and_persistent_values_of_rank_0():
    def work(communicator):
        model = model_of(communicator.rank)
        model.linear.add_persistent('count', communicator.rank + 5)
        communicator.bcast_data(model)
        return model
    first, *others = on_ranks(3, work)
    expected = model_of(0)
    for model in (first, *others):
        np.testing.assert_array_equal(model.linear.W.array, expected.linear.W.array)
        assert (model.norm.avg_mean == 0).all() and model.linear.count == 5


def test_a_parameter_without_shape_gets_that_of_rank_0():
    def work(communicator):
        model = Chain()
        with model.init_scope():
            model.W = Parameter(1.)
        if communicator.rank == 0:
            model.W.initialize((2, 3))
            model.W.array[...] = 7
        communicator.bcast_data(model)
        return model.W.array
    for array in on_ranks(2, work):
        assert array.tolist() == [[7, 7, 7], [7, 7, 7]]


def test_gradients_become_their_mean():
    def work(communicator):
        model = model_of(0)
        model.linear.W.grad = np.full((2, 3), communicator.rank, 'f')
        communicator.multi_node_mean_grad(model)
        assert model.linear.b.grad is None
        if communicator.rank:
            model.linear.b.grad = np.ones(2, 'f')
        communicator.multi_node_mean_grad(model.linear, zero_fill=True)
        return model.linear
    for linear in on_ranks(2, work):
        assert (linear.W.grad == .5).all() and (linear.b.grad == .5).all()

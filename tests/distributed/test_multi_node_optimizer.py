"""Ranks that each take a part of a batch learn what one rank learns from all of it."""
import gc
import weakref

import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from minichain import Chain, ChainList, FunctionNode, Parameter, Variable, optimizer_hooks
from minichain import optimizers as O
from minichain.distributed import create_multi_node_optimizer, multi_node_optimizer
from minichain.distributed.buckets import Buckets
from minichain.errors import InvalidArgument, InvalidType
from tests.distributed.ranks import on_ranks

X = np.random.RandomState(0).normal(size=(7, 5)).astype('f')
T = np.random.RandomState(1).normal(size=(7, 3)).astype('f')


class Net(ChainList):
    """Layers, the one in the middle used twice, and one that no loss reaches."""

    def __init__(self, dtype='f'):
        super().__init__(L.Linear(5, 6), L.Linear(6, 6), L.Linear(6, 3), L.Linear(2, 2))
        random = np.random.RandomState(3)       # threads share numpy.random
        for param in self.params():
            param.array = random.normal(size=param.shape).astype(dtype) / 2

    def forward(self, x):
        h = F.tanh(self[0](x))
        return self[2](F.tanh(self[1](F.tanh(self[1](h)))))


def parts(size, n=7):
    """Cut n examples into parts of unequal length, the last ones empty."""
    ends = [0] + [min(n, 3 * (rank + 1)) for rank in range(size - 1)] + [n]
    return [slice(start, end) for start, end in zip(ends, ends[1:])]


def learn_alone(make_optimizer, steps=4, dtype='f'):
    model = Net(dtype)
    optimizer = make_optimizer().setup(model)
    add_hooks(optimizer)
    for _ in range(steps):
        model.cleargrads()
        F.mean_squared_error(model(X.astype(dtype)), T.astype(dtype)).backward()
        optimizer.update()
    return model


def add_hooks(optimizer):
    optimizer.add_hook(optimizer_hooks.WeightDecay(.01))
    optimizer.add_hook(optimizer_hooks.GradientClipping(.05))


def learn_together(make_optimizer, size, steps=4, dtype='f', **options):
    def work(communicator):
        model, mine = Net(dtype), parts(size)[communicator.rank]
        optimizer = create_multi_node_optimizer(make_optimizer(), communicator, **options)
        optimizer.setup(model)
        add_hooks(optimizer)
        n = len(X[mine])
        for _ in range(steps):
            model.cleargrads()
            if n:
                loss = F.mean_squared_error(model(X[mine].astype(dtype)), T[mine].astype(dtype))
                shared = optimizer.share(loss, n, len(X))
                assert shared.array == loss.array
                shared.backward()
            optimizer.update()
        return model, len(communicator.started)
    return on_ranks(size, work)


def assert_equal_models(model, expected, **tolerance):
    for (path, param), other in zip(model.namedparams(), expected.params()):
        np.testing.assert_allclose(param.array, other.array, err_msg=path, **tolerance)


@pytest.mark.parametrize('size', [2, 3, 4])
@pytest.mark.parametrize('overlap', [True, False])
@pytest.mark.parametrize('bucket_bytes', [1, 150, 1 << 20])
def test_ranks_learn_what_one_rank_learns(size, overlap, bucket_bytes):
    expected = learn_alone(lambda: O.Adam(alpha=.01))
    found = learn_together(lambda: O.Adam(alpha=.01), size, overlap=overlap,
                           bucket_bytes=bucket_bytes)
    for model, n_sums in found:
        assert_equal_models(model, expected, rtol=1e-5, atol=1e-6)
        assert n_sums in {1: [32], 150: range(8, 25), 1 << 20: [4]}[bucket_bytes]
    first = found[0][0]
    for model, _ in found[1:]:      # all ranks have the very same parameters
        assert_equal_models(model, first, rtol=0)


def test_ranks_agree_with_one_rank_to_the_last_digits_of_float64():
    expected = learn_alone(lambda: O.MomentumSGD(.5), dtype='d')
    for model, _ in learn_together(lambda: O.MomentumSGD(.5), 3, dtype='d'):
        assert_equal_models(model, expected, rtol=1e-12)


def test_halves_are_summed_in_single_precision():
    for model, _ in learn_together(lambda: O.SGD(.1), 2, dtype='float16'):
        assert {param.dtype.name for param in model.params()} == {'float16'}
        assert {param.grad.dtype.name for param in model.params()} == {'float16'}
        assert_equal_models(model, learn_alone(lambda: O.SGD(.1), dtype='float16'), atol=2e-3)


def test_a_loss_function_is_shared_by_itself():
    def work(communicator):
        model = Net()
        optimizer = create_multi_node_optimizer(O.SGD(.1), communicator).setup(model)
        mine = slice(3 * communicator.rank, 3 * communicator.rank + 3)
        for _ in range(3):
            optimizer.update(lambda x, t: F.mean_squared_error(model(x), t), X[mine], t=T[mine])
        assert optimizer.t == 3
        with pytest.raises(InvalidType, match='a loss function that returns a Variable'):
            optimizer.update(lambda: 3.)
        return model
    expected = Net()
    optimizer = O.SGD(.1).setup(expected)
    for _ in range(3):
        optimizer.update(lambda: F.mean_squared_error(expected(X[:6]), T[:6]))
    for model in on_ranks(2, work):
        assert_equal_models(model, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('zeros', [True, False])
def test_gradients_of_a_plain_backward_become_their_mean(zeros):
    def work(communicator):
        model = Net()
        optimizer = create_multi_node_optimizer(O.SGD(1), communicator).setup(model)
        (model.zerograds if zeros else model.cleargrads)()
        F.sum(model[0](X) * (communicator.rank + 1.)).backward()
        optimizer.update()
        return model
    for model in on_ranks(3, work):
        np.testing.assert_allclose(model[0].b.array, Net()[0].b.array - 7 * 2, rtol=1e-6)
        np.testing.assert_array_equal(model[1].W.array, Net()[1].W.array)


def test_a_scaled_loss_has_the_gradients_of_one_that_is_not():
    def work(communicator):
        model = Net('float16')
        optimizer = create_multi_node_optimizer(O.SGD(.1), communicator).setup(model)
        optimizer.set_loss_scale(256.)
        for _ in range(2):
            optimizer.update(lambda: F.mean_squared_error(model(X.astype('e')), T.astype('e')))
        return model
    expected = Net('float16')
    optimizer = O.SGD(.1).setup(expected)
    for _ in range(2):
        optimizer.update(lambda: F.mean_squared_error(expected(X.astype('e')), T.astype('e')))
    for model in on_ranks(2, work):
        assert_equal_models(model, expected, atol=2e-3)


class Probe(FunctionNode):
    """The identity; its backward looks at how many sums are under way."""

    def __init__(self, look):
        self.look = look

    def forward(self, inputs):
        return inputs[0].copy(),

    def backward(self, indexes, grad_outputs):
        self.look()
        return grad_outputs


def test_sums_begin_while_the_backward_pass_goes_on():
    def work(communicator):
        model, seen = Net(), []
        optimizer = create_multi_node_optimizer(O.SGD(.1), communicator, bucket_bytes=1)
        optimizer.setup(model)
        for _ in range(3):
            model.cleargrads()
            h, = Probe(lambda: seen.append(len(communicator.started))).apply(
                (F.tanh(model[0](X)),))
            h, = Probe(lambda: seen.append(len(communicator.started))).apply((model[1](h),))
            optimizer.share(F.mean_squared_error(model[2](h), T)).backward()
            assert model[2].W.grad is None
            optimizer.update()
            assert len(communicator.started) == 8
            assert any(late.polls for late in communicator.started)
            seen.append('update')
            communicator.started.clear()
        return seen
    for seen in on_ranks(2, work):
        # In the first pass nobody knows that no gradient of the last layer will come. Then W and
        # b of a layer are under way before the layer before it is reached.
        assert seen == [0, 0, 'update'] + [2, 4, 'update'] * 2


def test_the_order_is_that_of_rank_0_whatever_a_rank_lacks():
    def work(communicator):
        model = Net()
        optimizer = create_multi_node_optimizer(O.SGD(.1), communicator, bucket_bytes=1)
        optimizer.setup(model)
        for step in range(4):
            model.cleargrads()
            layer = model[(step + communicator.rank) % 2]    # each rank reaches another layer
            x = np.ones((1, layer.W.shape[1]), 'f')
            optimizer.share(F.sum(layer(x))).backward()
            optimizer.update()
        return model
    a, b = on_ranks(2, work)
    assert_equal_models(a, b, rtol=0)
    np.testing.assert_allclose(a[0].b.array, Net()[0].b.array - .2, rtol=1e-5)


def test_the_graph_dies_with_its_loss():
    def work(communicator):
        model = Net()
        optimizer = create_multi_node_optimizer(O.SGD(.1), communicator).setup(model)
        loss = optimizer.share(F.mean_squared_error(model(X), T))
        function = weakref.ref(loss.creator_node)
        gc.disable()
        try:
            loss.backward()
            del loss
            assert function() is None
        finally:
            gc.enable()
        optimizer.update()
    on_ranks(2, work)


def test_gradients_of_other_variables_and_second_order_gradients_stay_as_they_are():
    def work(communicator):
        model, x = Net('d'), Variable(X.astype('d'))
        optimizer = create_multi_node_optimizer(O.SGD(.1), communicator).setup(model)
        optimizer.share(F.sum(model(x) ** 2)).backward(enable_double_backprop=True)
        gx = x.grad_var
        optimizer.update()
        return gx.array, F.sum(gx ** 2).creator_node is not None
    model, x = Net('d'), Variable(X.astype('d'))
    F.sum(model(x) ** 2).backward()
    for gx, is_recorded in on_ranks(2, work):
        np.testing.assert_allclose(gx, x.grad / 2)
        assert is_recorded


def test_frozen_parameters_are_left_out():
    def work(communicator):
        model = Net()
        optimizer = create_multi_node_optimizer(O.SGD(.1), communicator).setup(model)
        model[1].disable_update()
        optimizer.update(lambda: F.mean_squared_error(model(X), T))
        n = sum(late.array.size for late in communicator.started)
        return model, n
    for model, n in on_ranks(2, work):
        assert n == model.count_params() - model[1].count_params()
        np.testing.assert_array_equal(model[1].W.array, Net()[1].W.array)


def test_shapes_from_data_come_from_rank_0_before_the_first_step():
    def work(communicator):
        model = L.Linear(None, 2, initialW=communicator.rank + 1)
        optimizer = create_multi_node_optimizer(O.SGD(.1), communicator).setup(model)
        if communicator.rank == 0:
            optimizer.update(lambda: F.sum(model(X)))
        else:
            optimizer.update()      # has seen no data
        start = model.W.array.copy()
        model.cleargrads()
        optimizer.update(lambda: F.sum(model(X)))
        return start, model.W.array, optimizer.t
    for start, end, t in on_ranks(2, work):
        assert (start == 1).all()
        np.testing.assert_allclose(end, start - .1 * X.sum(axis=0), rtol=1e-5)
        assert t == 1


def test_a_second_backward_pass_is_refused_under_overlap_and_summed_without():
    def work(communicator, overlap):
        model = L.Linear(5, 1)
        optimizer = create_multi_node_optimizer(O.SGD(1), communicator, overlap=overlap)
        optimizer.setup(model)
        model.cleargrads()
        for part in (slice(0, 3), slice(3, 7)):
            optimizer.share(F.sum(model(X[part])) / 2).backward()
        optimizer.update()
        return model.b.array
    with pytest.raises(InvalidArgument, match='one backward pass.*overlap=False'):
        on_ranks(2, lambda communicator: work(communicator, True))
    for b in on_ranks(2, lambda communicator: work(communicator, False)):
        np.testing.assert_allclose(b, [-3.5])


def test_a_loss_beside_the_shared_one_is_refused():
    def work(communicator):
        model = L.Linear(5, 1)
        optimizer = create_multi_node_optimizer(O.SGD(1), communicator).setup(model)
        model.cleargrads()
        optimizer.share(F.sum(model(X))).backward()
        F.sum(model.W).backward()
        optimizer.update()
    with pytest.raises(InvalidArgument, match='besides that of the shared loss'):
        on_ranks(2, work)


def test_ranks_with_different_models_are_refused():
    def work(communicator):
        model = Net()
        optimizer = create_multi_node_optimizer(O.SGD(1), communicator).setup(model)
        if communicator.rank:
            model[1].disable_update()
        optimizer.update(lambda: F.sum(model(X)))
    with pytest.raises(InvalidArgument, match='other shapes on rank'):
        on_ranks(2, work)


@pytest.mark.parametrize('part, whole', [(1, None), (-1, 3), (4, 3), (0, 0)])
def test_a_share_is_a_part_of_the_whole(part, whole):
    def work(communicator):
        model = Net()
        optimizer = create_multi_node_optimizer(O.SGD(1), communicator).setup(model)
        optimizer.share(F.sum(model(X)), part, whole)
    with pytest.raises(InvalidArgument, match='0 <= part <= whole expected'):
        on_ranks(2, work)


def test_names_are_those_of_the_optimizer_inside():
    def work(communicator):
        inside = O.Adam(alpha=.1)
        optimizer = create_multi_node_optimizer(inside, communicator)
        assert optimizer.setup(Net()) is optimizer and optimizer.alpha == .1
        optimizer.alpha = .2
        assert inside.alpha == .2 and optimizer.target is inside.target
        assert optimizer.actual_optimizer is inside and optimizer.communicator is communicator
        with pytest.raises(AttributeError):
            optimizer.nothing  # noqa: B018
        with pytest.raises(InvalidArgument, match='double_buffering=False expected'):
            create_multi_node_optimizer(inside, communicator, double_buffering=True)
    on_ranks(2, work)


def test_one_rank_has_the_optimizer_itself():
    def work(communicator):
        inside = O.SGD()
        assert create_multi_node_optimizer(inside, communicator) is inside
    on_ranks(1, work)


def test_buckets_close_at_their_size_and_where_the_type_changes():
    def work(communicator):
        shapes = [((2, 3), 'f'), ((4,), 'f'), ((5,), 'f'), ((2,), 'd'), ((1,), 'e'), ((), 'e')]
        params = [Parameter(np.zeros(shape, dtype)) for shape, dtype in shapes]
        buckets = Buckets(params, [5, 4, 3, 2, 1, 0], communicator, bucket_bytes=30)
        assert [list(bucket.places) for bucket in buckets.buckets] == [[5, 4], [3], [2, 1], [0]]
        assert [bucket.buffer.dtype.name for bucket in buckets.buckets] == [
            'float32', 'float64', 'float32', 'float32']
        for index in (0, 3, 5):     # complete, but not the first
            buckets.put(index, np.full(shapes[index][0], index + 1, shapes[index][1]))
        assert not communicator.started
        buckets.put(4, None)
        assert len(communicator.started) == 2       # and the one behind it
        buckets.put(2, np.ones(5, 'f'), .5)
        buckets.put(1, np.ones(4, 'f'))
        assert len(communicator.started) == 4
        buckets.finish()
        return [param.grad.tolist() for param in params]
    for found in on_ranks(2, work):
        assert found == [[[2, 2, 2]] * 2, [2] * 4, [1] * 5, [8, 8], [0], 12]


def test_buckets_hold_four_megabytes():
    assert multi_node_optimizer.BUCKET_BYTES == 4 * 2 ** 20


def test_a_parameter_that_two_links_share_is_summed_once():
    def work(communicator):
        model = Chain()
        with model.init_scope():
            model.a = L.Linear(5, 2)
            model.b = L.Linear(5, 2)
        model.b.W = model.a.W
        optimizer = create_multi_node_optimizer(O.SGD(.1), communicator).setup(model)
        start = model.a.W.array.copy()
        optimizer.update(lambda: F.sum(model.a(X)) + F.sum(model.b(X)))
        return start - model.a.W.array, sum(late.array.size for late in communicator.started)
    for step, n in on_ranks(2, work):
        assert n == 10 + 2 + 2
        # the optimizer visits a shared parameter under both names
        np.testing.assert_allclose(step, np.tile(2 * .2 * X.sum(axis=0), (2, 1)), rtol=1e-5)

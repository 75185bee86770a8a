"""Transfers, captured steps and reports on a real GPU; test_capture.py shows who waits."""
import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from minichain import optimizer_hooks, optimizers
from minichain.backend import cuda_available, import_cupy
from minichain.gpu import compile_step, memory
from minichain.gpu.transfer import Transfer

pytestmark = pytest.mark.skipif(not cuda_available(), reason='no GPU')


def test_batches_of_all_sizes_arrive_while_the_gpu_computes():
    cupy, random = import_cupy(), np.random.default_rng(0)
    transfer, busy, sums, expected = Transfer(), cupy.ones((2048, 2048), 'f4'), [], []
    for _ in range(60):
        images = random.integers(0, 256, (random.integers(1, 9), 224, 224, 3), dtype=np.uint8)
        tokens = random.integers(0, 99, random.integers(0, 50), dtype=np.int32)
        x, y = transfer.send((images, tokens))
        busy += 1   # so that what reads the batch comes late
        sums.append(x.sum(dtype='int64') + y.sum(dtype='int64'))
        expected.append(int(images.sum(dtype=np.int64)) + int(tokens.sum()))
        images.fill(0)
        tokens.fill(0)
    assert [int(total) for total in sums] == expected
    assert len(transfer._free) <= 3


def network():
    cupy = import_cupy()
    model, random = L.Scale(W_shape=(64,), bias_term=True), np.random.default_rng(1)
    model.to_device('cuda')
    model.W.array[...] = cupy.asarray(random.normal(size=64).astype('f4'))
    optimizer = optimizers.SGD(.05).setup(model)

    def gradients(batch):
        x, t = batch
        model.cleargrads()
        loss = F.mean_squared_error(F.tanh(model(x)), t)
        loss.backward()
        return loss
    return model, optimizer, gradients


def test_captured_steps_have_the_losses_of_steps_as_written():
    random, losses, weights, transfer = np.random.default_rng(2), [], [], Transfer()
    batches = [tuple(random.normal(size=(2, rows, 64)).astype('f4'))
               for rows in (32, 32, 7, 32, 7, 32, 7, 32, 7, 32) * 3]
    for captured in (False, True):
        model, optimizer, gradients = network()
        step = compile_step(gradients, batches[0], state=(model,)) if captured else (
            lambda batch, run=gradients: run(transfer.send(batch)).array)
        losses.append([])
        for batch in batches:
            losses[-1].append(float(step(batch)))
            optimizer.update()
        weights.append(model.W.array.get())
    assert (step.captures, step.reason) == (2, None)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-5)
    assert 'private' in memory.report() and memory.usage().live > 0


@pytest.mark.parametrize('make', [
    lambda: optimizers.Adam(.01), lambda: optimizers.AdamW(.01, weight_decay_rate=.1),
    lambda: optimizers.AMSGrad(.01), lambda: optimizers.SGD(.05),
    lambda: optimizers.MomentumSGD(.05), lambda: optimizers.RMSprop(.01), optimizers.MSVAG])
def test_whole_steps_with_schedules_clipping_and_dropout_are_captured(make):
    random, losses, weights = np.random.default_rng(4), [], []
    batches = [tuple(random.normal(size=(2, 32, 64)).astype('f4')) for _ in range(12)]
    for captured in (False, True):
        model, *_ = network()
        optimizer = make().setup(model)
        optimizer.add_hook(optimizer_hooks.WeightDecay(.01))
        optimizer.add_hook(optimizer_hooks.GradientClipping(.05))
        name = 'alpha' if isinstance(optimizer, optimizers.Adam) else 'lr'   # of its family too

        def update(batch, model=model, optimizer=optimizer):
            x, t = batch
            model.cleargrads()
            loss = F.mean_squared_error(F.tanh(model(F.dropout(x, .2))), t)
            loss.backward()
            optimizer.update()
            return loss
        step = compile_step(update, batches[0], state=(optimizer,))
        first = getattr(optimizer, name)
        if not captured:
            step.reason = 'the same steps as written are wanted'
        losses.append([])
        for number, batch in enumerate(batches):
            setattr(optimizer, name, first / (1 + number))
            losses[-1].append(float(step(batch)))
        weights.append(model.W.array.get())
        assert optimizer.t == len(batches) and step.captures == captured
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-6, atol=1e-7)


def test_numbers_of_a_step_do_not_lie_where_it_had_something_else_before():
    cupy, random, weights = import_cupy(), np.random.default_rng(5), []
    batches = [tuple(random.normal(size=(2, 32, 64)).astype('f4')) for _ in range(8)]
    for captured in (False, True):
        model, _, gradients = network()
        optimizer = optimizers.Adam(.01).setup(model)
        optimizer.add_hook(optimizer_hooks.GradientClipping(.05))

        def update(batch, gradients=gradients, optimizer=optimizer):
            for size in (64, 128, 256, 1024, 4096, 16384):      # and lets go of them
                cupy.full(size, np.nan, 'f4')
            loss = gradients(batch)
            optimizer.update()
            return loss
        step = compile_step(update, batches[0], state=(optimizer,)) if captured else (
            lambda batch, update=update: update(Transfer().send(batch)))
        for batch in batches:
            step(batch)
        weights.append(model.W.array.get())
    assert step.captures == 1 and np.isfinite(weights[1]).all()
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-5)


def test_the_debug_comparison_finds_nothing_to_tell():
    model, optimizer, gradients = network()
    batch = tuple(np.random.default_rng(3).normal(size=(2, 8, 64)).astype('f4'))
    step = compile_step(gradients, batch, state=(model,), compare=1e-5)
    for _ in range(5):
        step(batch)
        optimizer.update()
    assert step.captures == 1


@pytest.mark.parametrize('act', [
    lambda cupy, x: float(x[0, 0]), lambda cupy, x: x.get(), lambda cupy, x: x[x > 0],
    lambda cupy, x: cupy.asarray(np.zeros(3, 'f4')), lambda cupy, x: cupy.array([1., 2.]),
    lambda cupy, x: x @ x.T, lambda cupy, x: cupy.random.rand(3),
], ids=['float', 'get', 'mask', 'asarray', 'list', 'cuBLAS', 'cuRAND'])
def test_what_a_graph_cannot_hold_is_told_once_and_runs_as_written(act):
    cupy, w = import_cupy(), import_cupy().zeros(64, 'f4')

    def update(x):
        w.__iadd__(x.mean(axis=0))
        act(cupy, x)
        return w.sum()
    step = compile_step(update, np.zeros((4, 64), 'f4'), state=(w,))
    x = np.ones((4, 64), 'f4')
    step(x), step(x)
    with pytest.warns(RuntimeWarning, match='run as written') as caught:
        step(x)
    assert len(caught) == 1 and float(step(x)) == 4 * 64
    assert not cupy.cuda.get_current_stream().is_capturing()


def test_memory_that_runs_out_is_an_error_with_numbers():
    cupy = import_cupy()
    with pytest.raises(memory.DeviceError, match='allocating .* arrays .* driver'):
        memory.with_one_retry(cupy.empty, (memory.usage().total // 2,), 'f4')

"""Whole training steps, captured on the device 'sim': the bits of the same steps as written."""
import io
import re
import warnings

import numpy as np
import pytest

import minichain
import minichain.functions as F
import minichain.links as L
from minichain import optimizer_hooks, optimizers, serializers, using_config
from minichain.gpu import compile_step
from minichain.gpu.simulator.builder import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

OPTIMIZERS = {
    'SGD': lambda: optimizers.SGD(.1), 'MomentumSGD': lambda: optimizers.MomentumSGD(.1),
    'CorrectedMomentumSGD': lambda: optimizers.CorrectedMomentumSGD(.1),
    'NesterovAG': lambda: optimizers.NesterovAG(.1), 'AdaGrad': lambda: optimizers.AdaGrad(.1),
    'AdaDelta': optimizers.AdaDelta, 'RMSprop': optimizers.RMSprop,
    'RMSpropGraves': lambda: optimizers.RMSpropGraves(.01), 'SMORMS3': optimizers.SMORMS3,
    'MSVAG': optimizers.MSVAG, 'Adam': lambda: optimizers.Adam(.01),
    'AdamW': lambda: optimizers.AdamW(.01, weight_decay_rate=.1),
    'AMSGrad': lambda: optimizers.AMSGrad(.01), 'AMSBound': lambda: optimizers.AMSBound(.01)}


def batches(count, rows=4, seed=0):
    random = np.random.default_rng(seed)
    return [tuple(random.normal(size=(2, rows, 3)).astype(np.float32)) for _ in range(count)]


class Training:
    """A small network and its whole step: clear, forward, backward, update."""

    def __init__(self, optimizer='Adam', hooks=(), ratio=0., **options):
        np.random.seed(0)
        self.model = L.Linear(3, 3)
        self.model.to_device('sim')
        self.optimizer, self.ratio, self.runs = OPTIMIZERS[optimizer](), ratio, 0
        self.optimizer.setup(self.model)
        for hook in hooks:
            self.optimizer.add_hook(hook)
        self.step = compile_step(self.run, batches(1)[0], state=(self.optimizer,), **options)

    def run(self, batch):
        self.runs += 1
        x, t = batch
        self.model.cleargrads()
        x = F.dropout(x, self.ratio) if self.ratio else x
        loss = F.mean_squared_error(F.tanh(self.model(x)), t)
        loss.backward()
        self.optimizer.update()
        return loss

    def follow(self, examples, written=False, before=lambda number: None):
        """Make a step of each batch; return losses."""
        losses = []
        if written:
            self.step.reason = 'the same steps as written are wanted'
        for number, batch in enumerate(examples):
            before(number)
            losses.append(float(self.step(batch)))
        return losses

    def everything(self):
        """Return all that training changes."""
        target = io.BytesIO()
        serializers.save_npz(target, self.optimizer)
        found = dict(np.load(io.BytesIO(target.getvalue())))
        return {**found, **{path: param.array.get() for path, param in self.model.namedparams()},
                **{f'g{path}': param.grad.get() for path, param in self.model.namedparams()}}


def expect_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize('hooks', [
    (), (optimizer_hooks.WeightDecay(.01), optimizer_hooks.GradientClipping(.05)),
    (optimizer_hooks.Lasso(.01), optimizer_hooks.GradientHardClipping(-.1, .1),
     optimizer_hooks.GradientLARS())], ids=['plain', 'decay, clipped', 'others'])
@pytest.mark.parametrize('kernels', ['fused', 'generic'])
@pytest.mark.parametrize('optimizer', sorted(OPTIMIZERS))
def test_captured_steps_of_every_optimizer_have_the_bits_of_steps_as_written(
        optimizer, kernels, hooks):
    results = []
    with using_config('kernels', kernels):
        for written in (True, False):
            training = Training(optimizer, hooks)
            losses = training.follow(batches(8), written)
            results.append({'losses': losses, **training.everything()})
            assert training.optimizer.t == 8
        assert (training.runs, training.step.captures, training.step.reason) == (3, 1, None)
    expect_same(*results)
    assert len(set(losses)) == 8


@pytest.mark.parametrize('name', ['alpha', 'eta'])
def test_a_schedule_reaches_the_replays_without_a_new_capture(name):
    results = []
    for written in (True, False):
        training = Training()

        def slower(number, optimizer=training.optimizer):
            setattr(optimizer, name, .01 / (1 + number))
        losses = training.follow(batches(12), written, slower)
        results.append({'losses': losses, **training.everything()})
    assert training.step.captures == 1 and training.runs == 3
    expect_same(*results)
    constant = Training()
    assert constant.follow(batches(12)) != losses, 'so the schedule matters'


def test_a_rate_of_one_parameter_reaches_the_replays():
    results = []
    for written in (True, False):
        training = Training('MomentumSGD')

        def slower(number, training=training):
            training.model.W.update_rule.hyperparam.lr = .1 / (1 + number)
        results.append({'losses': training.follow(batches(9), written, slower),
                        **training.everything()})
    assert training.step.captures == 1
    expect_same(*results)


def test_another_constant_is_told_and_captured_anew():
    training = Training(hooks=(optimizer_hooks.WeightDecay(.01),))
    training.follow(batches(5))
    training.optimizer.beta1 = .5
    with pytest.warns(RuntimeWarning, match='beta1 of the optimizer went from 0.9 to 0.5'):
        training.follow(batches(1))
    training.follow(batches(2))
    training.optimizer._hooks.pre['WeightDecay'].rate = .5
    with pytest.warns(RuntimeWarning, match='rate of the hook WeightDecay went from 0.01 to 0.5'):
        training.follow(batches(1))
    assert training.step.captures == 3 and training.optimizer.t == 9


def test_a_run_that_is_saved_and_loaded_goes_on_with_the_same_bits():
    whole = Training('Adam', ratio=.5)
    losses = whole.follow(batches(12))
    first, second = Training('Adam', ratio=.5), Training('Adam', ratio=.5)
    assert first.follow(batches(12)[:6]) == losses[:6]
    model, optimizer = io.BytesIO(), io.BytesIO()
    serializers.save_npz(model, first.model)
    serializers.save_npz(optimizer, first.optimizer)
    with np.load(io.BytesIO(optimizer.getvalue())) as saved:
        assert set(saved.files) == {'t', 'epoch', 'W/t', 'W/m', 'W/v', 'b/t', 'b/m', 'b/v'}
        assert saved['t'] == saved['W/t'] == 6
    serializers.load_npz(io.BytesIO(model.getvalue()), second.model)
    serializers.load_npz(io.BytesIO(optimizer.getvalue()), second.optimizer)
    second.step.draws.seed(0)
    for _ in range(6):
        second.step.draws.next_step()
    assert second.follow(batches(12)[6:]) == losses[6:]
    expect_same(second.everything(), whole.everything())


def test_every_replay_draws_other_zeros_and_a_seed_draws_them_again():
    x = np.ones((40, 3), np.float32)
    draw = compile_step(lambda x: F.dropout(x, .5), minichain.get_device('sim').send(x), seed=7)
    first = [draw(minichain.get_device('sim').send(x)).get() for _ in range(6)]
    assert draw.captures == 1
    assert all(set(np.unique(y)) == {0, 2} and .3 < (y > 0).mean() < .7 for y in first)
    assert all((one != other).any() for one in first for other in first if one is not other)
    draw.draws.seed(7)
    again = [draw(minichain.get_device('sim').send(x)).get() for _ in range(6)]
    np.testing.assert_array_equal(first, again)
    draw.draws.seed(8)
    assert (draw(minichain.get_device('sim').send(x)).get() != first[0]).any()


def test_two_dropouts_of_a_step_draw_different_zeros():
    x = minichain.get_device('sim').send(np.ones((40, 3), np.float32))
    draw = compile_step(lambda x: (F.dropout(x), F.dropout(x)), x)
    for _ in range(4):
        one, other = draw(x)
        assert (one.get() != other.get()).any()


def test_the_debug_comparison_passes_whole_steps():
    training = Training('Adam', (optimizer_hooks.GradientClipping(.05),), ratio=.3, compare=0)
    training.follow(batches(6))
    written = Training('Adam', (optimizer_hooks.GradientClipping(.05),), ratio=.3)
    written.follow(batches(6), written=True)
    assert training.optimizer.t == 6
    expect_same(training.everything(), written.everything())


class Hooked:
    """A hook of somebody else: nobody knows whether a replay does what it does."""

    name = 'Hooked'

    def __call__(self, optimizer):
        optimizer.target.W.grad *= 1 / (1 + optimizer.t)


def unknown_hook(training):
    training.optimizer.add_hook(Hooked())


def twice(training):
    run = training.step._update_fn

    def update(batch):
        run(batch)
        return run(batch)
    training.step._update_fn = update


def reading(training):
    run = training.step._update_fn

    def update(batch):
        loss = run(batch)
        assert float(loss.array) < 100
        return loss
    training.step._update_fn = update


def scheduling(training):
    run = training.step._update_fn

    def update(batch):
        training.optimizer.alpha *= .9
        return run(batch)
    training.step._update_fn = update


@pytest.mark.parametrize('spoil, words', [
    (unknown_hook, "the optimizer's t went from 2 to 3 within the step"),
    (twice, 'updates the same parameter twice within the step'),
    (reading, r'float\(array\) makes the host wait for the device'),
    (scheduling, 'alpha of the optimizer went from .* within the step'),
    (lambda training: training.optimizer.add_hook(optimizer_hooks.GradientNoise(.1)),
     "CuPy's random.normal in a step that is captured"),
    (lambda training: training.optimizer.loss_scaling(), 'makes the host wait')])
def test_what_a_replay_would_not_repeat_is_told_once_and_runs_as_written(spoil, words):
    results = []
    for written in (True, False):
        training = Training()
        spoil(training)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter('always')
            np.random.seed(1)
            losses = training.follow(batches(7), written)
        results.append({'losses': losses, **training.everything()})
        if written:
            assert not told
        else:
            assert len(told) == 1 and told[0].filename == __file__
            assert re.search(words, str(told[0].message))
    assert training.step.captures <= 1 and training.step._traces == {}
    if 'random' not in words:   # of which the capture that failed drew some
        expect_same(*results)


def test_nothing_is_done_while_a_step_is_recorded():
    training = Training('MomentumSGD')
    training.follow(batches(2))
    before = training.everything()
    def stop(graph):
        raise KeyboardInterrupt
    training.step._recorder.replay = stop
    with pytest.raises(KeyboardInterrupt):
        training.follow(batches(1))
    after = training.everything()
    assert after['t'] == before['t'] + 1   # counted by the replay that was stopped
    for name in ('/W', '/b', 'W/v', 'b/v'):
        np.testing.assert_array_equal(before[name], after[name])

"""Captured updates of a caption generator on the device 'sim': bits, waiting, train.py."""
import json
import warnings

import numpy as np
import pytest

import minichain
from minichain import optimizer_hooks, optimizers, packing, using_config
from minichain.captioning import Learner
from minichain.captured_learning import CapturedUpdates
from minichain.errors import NotFinite
from minichain.gpu.simulator import arrays
from minichain.gpu.simulator.builder import missing
from models.caption_generator import CaptionGenerator
from tests import tiny_captions

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

BATCH = 4
random = np.random.RandomState(3)
FEATURES = random.randn(BATCH, 5).astype('float32')


def captions(longest, count=BATCH, seed=0):
    """Return captions of at most so many words and ends, one of them as long."""
    draw = np.random.RandomState(seed)
    lengths = [longest, *draw.randint(2, longest + 1, count - 1)]
    return [np.array([1, *draw.randint(3, 9, length - 1), 2]) for length in lengths]


def make_learner(device='sim', captured=True, dropout=.3, inject='first', sees=True):
    np.random.seed(0)
    device = minichain.get_device(device)
    model = CaptionGenerator(9, 5, 4, 6, n_layers=2, dropout=dropout, inject=inject)
    model.standardize_by(FEATURES)
    model.to_device(device)
    optimizer = optimizers.Adam(.03).setup(model)
    optimizer.add_hook(optimizer_hooks.WeightDecay(.001))
    optimizer.add_hook(optimizer_hooks.GradientClipping(.5))
    learner = Learner(model, optimizer, device, sees=sees)
    if captured:
        learner.captured = CapturedUpdates(learner, BATCH)
    return learner


def follow(learner, batches):
    """Make updates as train.py does, with a schedule; return all that they change and the losses.
    """
    features, losses = learner.device.send(FEATURES), []
    for number, ids in enumerate(batches):
        learner.seed(number)
        learner.optimizer.alpha = .03 / (1 + number)
        losses.append(learner.update(features[:len(ids)], ids))
    return [learner.read(loss) for loss in losses], {
        path: minichain.to_cpu(param.array) for path, param in learner.model.namedparams()}


# Two buckets, and batches of fewer captions than others have.
BATCHES = [captions(longest, count, seed) for seed, (longest, count) in enumerate(
    [(4, 4), (7, 4), (3, 4), (8, 4), (4, 3), (6, 4), (2, 2), (5, 4), (4, 4), (7, 1)] * 2)]


@pytest.mark.parametrize('inject', ['first', 'every', 'state'])
def test_twenty_captured_updates_have_the_bits_of_updates_as_written(inject):
    with using_config('deterministic', True):
        captured, written = make_learner(inject=inject), make_learner(inject=inject)
        written.captured.step.reason = 'the same steps as written are wanted'
        CapturedUpdates.goes_on, kept = True, CapturedUpdates.goes_on
        try:
            expected = follow(written, BATCHES)
        finally:
            CapturedUpdates.goes_on = kept
        found = follow(captured, BATCHES)
    assert captured.captured.step.captures == 2 and captured.captured.goes_on
    assert written.captured.step.captures == 0
    assert found[0] == expected[0]
    assert [(loss.tokens, loss.captions) for loss in found[0]] == [
        (sum(len(caption) - 1 for caption in ids), len(ids)) for ids in BATCHES]
    for path, array in expected[1].items():
        np.testing.assert_array_equal(found[1][path], array, err_msg=path)
    assert captured.optimizer.t == written.optimizer.t == len(BATCHES)


@pytest.mark.parametrize('sees', [True, False])
def test_pads_change_nothing_but_rounding(sees):
    packed, captured = (
        follow(make_learner(device, device == 'sim', dropout=0, sees=sees), BATCHES)
        for device in ('cpu', 'sim'))
    for one, other in zip(captured[0], packed[0]):
        assert one.nats == pytest.approx(other.nats, rel=1e-5)
        assert (one.tokens, one.captions) == (other.tokens, other.captions)
    for path, array in packed[1].items():
        np.testing.assert_allclose(captured[1][path], array, atol=2e-5, err_msg=path)


@pytest.mark.parametrize('captured', [True, False])
def test_no_update_waits_for_the_device_before_its_loss_is_read(captured, monkeypatch):
    learner, read = make_learner(captured=captured, dropout=.3), []

    def refuse(what):
        if not read:
            raise AssertionError(f'{what} waits')
    monkeypatch.setattr(arrays, 'waits', refuse)
    features, total = learner.device.send(FEATURES), minichain.loss_floor.Loss()
    for ids in BATCHES:
        total += learner.update(features[:len(ids)], ids)
    with pytest.raises(AssertionError, match=r'float\(array\) waits'):
        learner.read(total)
    read.append(True)
    assert learner.read(total).nats > 0 and (learner.captured is None or learner.captured.goes_on)


def test_a_whole_step_neither_waits_nor_sends():
    learner = make_learner(captured=False, dropout=.3)
    order, (chunk,) = packing.pack(BATCHES[0])
    features, chunk = learner.device.send(FEATURES[order]), chunk.send(learner.device)
    learner.learn(features, chunk)   # constants are sent
    with arrays.no_waiting():
        nats, _ = learner.learn(features, chunk)
    assert np.isfinite(float(nats))


def test_a_capture_that_fails_is_told_once_and_captions_are_packed_from_then_on():
    learner = make_learner(dropout=0)
    learner.optimizer.add_hook(lambda optimizer: None, 'of somebody else')
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        found = follow(learner, BATCHES)
    assert len(told) == 1 and "the optimizer's t went from 4 to 5" in str(told[0].message)
    assert not learner.captured.goes_on and learner.optimizer.t == len(BATCHES)
    expected = follow(make_learner(captured=False, dropout=0), BATCHES)
    for one, other in zip(found[0], expected[0]):
        assert one.nats == pytest.approx(other.nats, rel=1e-5)


def test_a_loss_that_is_not_finite_is_noticed_when_it_is_read():
    for captured in (True, False):
        learner = make_learner(captured=captured)
        learner.model.out.b.array[...] = np.nan
        loss = learner.update(learner.device.send(FEATURES), BATCHES[0])
        with pytest.raises(NotFinite, match='train loss became nan'):
            learner.read(loss)


def run(folder, *more, out='out'):
    return tiny_captions.run(*tiny_captions.arguments(folder, *more, out=out))


def test_train_py_captures_its_steps_and_learns_the_same(tmp_path, capsys):
    logs = {}
    # Without dropout, which draws its zeros from other generators there.
    for name, more in (('cpu', ()), ('written', ('--device', 'sim')),
                       ('captured', ('--device', 'sim', '--capture', '--deterministic'))):
        assert run(tmp_path, '--epochs', '2', '--clip', '.5', '--dropout', '0', *more,
                   '--cache', tmp_path / name, out=name) == 0
        shown = capsys.readouterr().out
        assert ('capture  each step is one launch' in shown) == (name == 'captured')
        words = {'cpu': '@numpy, float32', 'written': '@sim, float32 (IEEE), not deterministic',
                 'captured': '@sim, float32 (IEEE), deterministic'}[name]
        assert f'device   {words}\n' in shown
        records = [json.loads(line) for line in
                   (tmp_path / name / 'log.jsonl').read_text().splitlines()]
        assert records[0]['device'] == words
        logs[name] = records[-1]['losses']
    for name in ('written', 'captured'):
        for what, losses in logs['cpu'].items():
            assert logs[name][what] == pytest.approx(losses, rel=1e-4), (name, what)


def test_a_captured_run_that_is_interrupted_goes_on_with_the_same_bits(tmp_path):
    options = '--device', 'sim', '--capture', '--deterministic', '--dropout', '.4', '--epochs', '2'
    assert run(tmp_path, *options, out='whole') == 0
    assert run(tmp_path, *options, '--iterations', '9', out='parts') == 0
    assert run(tmp_path, '--resume', tmp_path / 'parts') == 0
    one, other = (np.load(tmp_path / name / 'model.npz') for name in ('whole', 'parts'))
    assert one.files == other.files
    for name in one.files:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_train_py_says_what_is_not_captured(tmp_path, capsys):
    assert run(tmp_path, '--capture') == 2
    assert '--capture has no effect on the CPU' in capsys.readouterr().err
    assert run(tmp_path, '--capture', '--device', 'sim', '--bptt', '2', '--epochs', '1') == 0
    assert 'capture  no: --bptt run steps as written' in capsys.readouterr().out

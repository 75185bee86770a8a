"""The device 'sim': a caption generator learns on it as on the CPU, and waiting is noticed."""
import json

import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain import packing
from minichain.backend import get_device_from_array
from minichain.captioning import Learner, rows
from minichain.configuration import using_config
from minichain.errors import DeviceError, InvalidType
from minichain.gpu.simulator import arrays
from minichain.gpu.simulator.arrays import no_waiting
from minichain.gpu.simulator.builder import missing
from models.caption_generator import CaptionGenerator
from tests import tiny_captions

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

IDS = [np.array(ids) for ids in ([1, 3, 4, 2], [1, 5, 2], [1, 4, 4, 3, 6, 2], [1, 6, 2])]
FEATURES = np.random.RandomState(3).randn(len(IDS), 5).astype('float32')


def make_learner(device, **options):
    np.random.seed(0)
    device = minichain.get_device(device)
    model = CaptionGenerator(7, 5, 4, 6, **options)
    model.standardize_by(FEATURES)
    model.to_device(device)
    return Learner(model, minichain.optimizers.Adam(.03).setup(model), device)


def learn(learner, steps):
    features = learner.device.send(FEATURES)
    return [learner.update(features, IDS).read().nats for _ in range(steps)]


def test_the_device_has_a_name_and_arrays_of_its_own():
    sim, x = minichain.get_device('sim'), np.arange(3.)
    there = sim.send(x)
    assert sim == minichain.get_device(sim.name) == minichain.Variable(there).device
    assert sim != minichain.get_device('cpu') and sim.xp is minichain.get_array_module(there)
    x[0] = 5
    assert minichain.to_cpu(there).tolist() == [0, 1, 2] and sim.send(there) is there
    assert get_device_from_array(x) == minichain.get_device('cpu')


def test_arrays_of_the_host_and_of_the_device_do_not_meet():
    x = np.ones((2, 3), 'float32')
    there = minichain.get_device('sim').send(x)
    for meet in (lambda: there + x, lambda: x + there, lambda: there[np.array([0])],
                 lambda: np.asarray(there), lambda: arrays.xp.add(there, x)):
        with pytest.raises(TypeError):
            meet()
    with pytest.raises(DeviceError, match='one device'):
        F.linear(there, x)


@pytest.mark.parametrize('inject', ['first', 'every', 'state'])
def test_a_caption_generator_learns_as_on_the_cpu_by_kernels(inject, launched):
    expected = learn(make_learner('cpu', inject=inject, n_layers=2), 12)
    assert not launched
    learner = make_learner('sim', inject=inject, n_layers=2)
    assert learn(learner, 12) == pytest.approx(expected, rel=1e-5)
    assert set(launched) == {
        'lstm_forward_float32', 'lstm_backward_float32', 'softmax_cross_entropy_float32',
        'embedding_gradient_atomic_float32', 'adam_many'}


def test_what_cupy_lacks_of_reductions_is_refused():
    xp, x = arrays.xp, minichain.get_device('sim').send(np.ones((2, 3), 'f4'))
    assert xp.add.reduce(x, axis=0).get().tolist() == [2, 2, 2]
    with pytest.raises(TypeError, match='initial'):
        x.max(initial=0)
    with pytest.raises(NotImplementedError, match='maximum.reduce'):
        xp.maximum.reduce(x, axis=0)
    places = minichain.get_device('sim').send(np.array([0, 0]))
    xp.maximum.at(x, places, x * 2)
    assert x.get().tolist() == [[2, 2, 2], [1, 1, 1]]
    with pytest.raises(TypeError, match='maximum.at for int64'):
        xp.maximum.at(places, places, places)


def test_a_caption_generator_learns_its_captions_by_heart_without_a_gpu():
    learner = make_learner('sim')
    losses = learn(learner, 120)
    assert losses[-1] < .05 * losses[0]
    said = learner.say(learner.device.send(FEATURES), 6)
    assert [list(found.words) for found in said] == [list(ids[1:-1]) for ids in IDS]


def test_train_py_runs_on_it(tmp_path, launched):
    logs = []
    for device in ('cpu', 'sim'):
        # Without dropout, which draws by other generators there.
        more = ('--device', device, '--epochs', '1', '--dropout', '0', '--cache',
                tmp_path / device)
        assert tiny_captions.run(*tiny_captions.arguments(tmp_path, *more, out=device)) == 0
        assert bool(launched) == (device == 'sim')
        lines = (tmp_path / device / 'log.jsonl').read_text().splitlines()
        logs.append(json.loads(lines[-1])['losses'])
    assert logs[0].keys() == logs[1].keys()
    for name, losses in logs[0].items():
        assert logs[1][name] == pytest.approx(losses, rel=1e-5), name


def test_kernels_and_the_generic_way_learn_the_same():
    expected = learn(make_learner('sim'), 5)
    with using_config('kernels', 'generic'):
        assert learn(make_learner('sim'), 5) == pytest.approx(expected, rel=1e-5)


def test_two_deterministic_runs_agree_in_every_bit(launched):
    with using_config('deterministic', True):
        assert learn(make_learner('sim'), 5) == learn(make_learner('sim'), 5)
    assert 'embedding_gradient_sorted_float32' in launched


def test_whatever_makes_the_host_wait_is_refused():
    x = minichain.get_device('sim').send(np.ones(3, 'float32'))
    waiting = [x.get, x[0].item, x.tolist, lambda: x.nonzero(), lambda: float(x[0]),
               lambda: int(x[0]), lambda: bool(x[0]), lambda: x[x > 0],
               lambda: [5, 6][x.astype(int)[0]],
               lambda: arrays.xp.unique(x), lambda: minichain.to_cpu(x),
               lambda: x.__setitem__(x > 0, 0)]
    for wait in waiting:
        wait()
        with no_waiting(), pytest.raises(DeviceError, match='host wait for the device'):
            wait()
    for send in (x.device.send, arrays.xp.asarray, arrays.xp.array):
        with no_waiting(), pytest.raises(DeviceError, match='sent to the device'):
            send(np.ones(2))
    # What CuPy makes arrays of the host of, and sends.
    for sends in (lambda: x[[0, 2]], lambda: x.__setitem__([1], 0), lambda: arrays.xp.array([1.]),
                  lambda: arrays.xp.concatenate([x] * 9), lambda: arrays.xp.stack([x] * 9)):
        sends()
        with no_waiting(), pytest.raises(DeviceError, match='sent to the device'):
            sends()
    with no_waiting():
        assert arrays.xp.concatenate([x] * 8).shape == (24,)
        assert len(x + 1) == 3 and x.device.send(2.).shape == ()


def test_the_step_of_training_does_not_wait_for_the_device():
    """But for the loss, which is read for the log, and what is sent to the device before it."""
    learner = make_learner('sim', dropout=.2, n_layers=2)
    model, optimizer = learner.model, learner.optimizer
    order, (chunk,) = packing.pack(IDS)
    features, chunk = rows(learner.device.send(FEATURES), order), chunk.send(learner.device)
    model.lstm[0].sequence(model.embed(chunk.inputs), chunk.batch_sizes)   # constants are sent
    for _ in range(2):
        with no_waiting():
            loss, _ = model.loss(model.image(features), chunk)
            model.cleargrads()
            loss.backward()
            loss.unchain_backward()
            optimizer.update()
    assert np.isfinite(float(loss.array))


def test_bad_ids_and_labels_are_nan_where_nobody_waits_and_named_where_somebody_does():
    sim = minichain.get_device('sim')
    W, ids, b = (sim.send(x) for x in (np.ones((4, 3), 'float32'), np.array([1, 4, -1, 0]),
                                       np.zeros(4, 'float32')))

    def embed():
        return F.embed_id(ids, W, ignore_label=-1)

    def losses():
        return F.softmax_cross_entropy(W, ids[:4].clip(0, 9), reduce='no')

    def loss():
        return F.linear_softmax_cross_entropy(W, W, b, ids)
    with no_waiting():
        found = embed(), losses(), loss()
    assert np.isnan(found[0].array.get()).tolist() == [[False] * 3, [True] * 3, [False] * 3,
                                                       [False] * 3]
    assert np.isnan(found[1].array.get()).tolist() == [False, True, False, False]
    assert np.isnan(found[2].array.get())
    for wrong in (embed, losses, loss):
        with using_config('kernels', 'generic'), pytest.raises(InvalidType, match='got .*4'):
            wrong()

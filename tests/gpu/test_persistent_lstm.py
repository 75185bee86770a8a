"""An LSTM in one launch: against the steps one by one, where it fits, and a fault in it."""
import contextlib
import types
import weakref

import numpy as np
import pytest

import minichain
import minichain.functions as F
import minichain.links as L
from minichain import optimizers
from minichain.backend import cuda_available
from minichain.configuration import using_config
from minichain.errors import DeviceError, InvalidArgument
from minichain.gpu import compile_step, fastest, lstm_sequence, persistent_lstm, residency
from minichain.gpu.launcher import Kernel
from minichain.gpu.simulator import ORDERS, simulation
from minichain.gpu.simulator.arrays import no_waiting
from minichain.gpu.simulator.builder import missing
from minichain.gpu.sources import kernel_files
from tests.gpu import fake_cuda, registry, test_dispatch
from tests.gpu.cases import persistent_lstm as cases
from tests.gpu.test_sim_device import learn, make_learner

SIM = minichain.get_device('sim')
FORWARD, BACKWARD = 'persistent_lstm_forward', 'persistent_lstm_backward'
needs_simulator = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@needs_simulator
@pytest.mark.parametrize('dtype', registry.DTYPES)
def test_bits_do_not_depend_on_how_units_are_spread_over_blocks(dtype):
    def store(values):
        return np.ascontiguousarray(values, np.float32).astype(registry.DTYPES[dtype])
    for formula, launch, filled in (
            (cases.forward, persistent_lstm.persistent_lstm_forward,
             ('gates', 'cells', 'hs', 'h', 'c')),
            (cases.backward, persistent_lstm.persistent_lstm_backward, ('gx', 'previous', 'gc'))):
        results = []
        for units in (1, 3, 4, 8, 9):
            arguments, _ = formula(np.random.default_rng(0), store, units, 9, 6, 6, 5, 2)
            launch(**arguments)
            results.append([arguments[name].tobytes() for name in filled])
        assert all(result == results[0] for result in results)


BARRIERS = {FORWARD: 'if (t + 1 < steps) GRID_SYNC(barrier);',
            BACKWARD: 'if (t > 0) GRID_SYNC(barrier);'}
PLANTED = (2, 5, 3, 3, 2, 1)   # three blocks


@pytest.fixture(params=BARRIERS)
def without_barrier(request, monkeypatch):
    """Launch one of the kernels without its barrier of the grid; return the kernel's name."""
    file, barrier = kernel_files()['persistent_lstm.cu'], BARRIERS[request.param]
    assert file.text.count(barrier) == 1
    file = file._replace(text=file.text.replace(barrier, ''))
    table = {name: Kernel(name, file) for name in file.entry_points()}
    monkeypatch.setattr(persistent_lstm, 'kernel', table.get)
    return f'{request.param}_float32'


@needs_simulator
@pytest.mark.parametrize('order', ORDERS)
def test_a_missing_barrier_of_the_grid_is_found_by_the_value(order, without_barrier):
    with simulation(order, 1), pytest.raises(AssertionError, match='(gates|gx) differs'):
        registry.check(without_barrier, PLANTED)


@pytest.mark.skipif(missing('thread') is not None, reason=str(missing('thread')))
def test_a_missing_barrier_of_the_grid_is_found_by_the_thread_sanitizer(without_barrier):
    with simulation(sanitizer='thread'), pytest.raises(
            DeviceError, match=r'data race(.|\n)*persistent_lstm\.cu:\d+'):
        registry.check(without_barrier, PLANTED)


@pytest.mark.parametrize('sanitizer', ['address', 'thread'])
@pytest.mark.parametrize('dtype', registry.DTYPES)
@pytest.mark.parametrize('name', [FORWARD, BACKWARD])
def test_sanitizers_have_nothing_to_report_of_rows_in_whole_packs(name, dtype, sanitizer):
    if missing(sanitizer):
        pytest.skip(missing(sanitizer))
    with simulation('random', 3, sanitizer):
        registry.check(f'{name}_{dtype}', (5, 12, 6, 6, 5, 1))


# ---------------------------------------------------------------------------- the two ways

def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype('float32')


def n_step(precision, way, device=SIM):
    """Return outputs, last states and gradients of two layers of F.n_step_lstm."""
    sizes, H = (5, 3, 3, 1), 6
    xs = [minichain.Variable(device.send(normal(n, H, seed=n + k))) for k, n in enumerate(sizes)]
    states = [minichain.Variable(device.send(normal(2, sizes[0], H, seed=seed)))
              for seed in (11, 12)]
    weights, biases = ([[minichain.Variable(device.send(normal(*shape, seed=20 + layer + k) / 3))
                         for k in range(8)] for layer in (0, 8)] for shape in ((H, H), (H,)))
    with using_config('precision', precision), using_config('persistent_lstm', way):
        h, c, ys = F.n_step_lstm(2, 0., *states, weights, biases, xs)
        sum(F.sum(y * y) for y in (h, c, *ys)).backward()
    leaves = [*xs, *states, *sum(weights, []), *sum(biases, [])]
    return [minichain.to_cpu(each) for each in (
        h.array, c.array, *(y.array for y in ys), *(leaf.grad for leaf in leaves))]


@needs_simulator
@pytest.mark.parametrize('precision, tolerance', [('float32', 2e-6), ('bf16', .03)])
def test_both_ways_give_the_same_results_and_gradients(precision, tolerance, launched):
    expected = n_step(precision, 'never')
    assert not any(name.startswith('persistent') for name in launched)
    launched.clear()
    found = n_step(precision, 'always')
    dtype = 'bfloat16' if precision == 'bf16' else 'float32'
    assert all(launched.count(f'{name}_{dtype}') == 2 for name in (FORWARD, BACKWARD))
    assert not any(name.startswith('lstm_') for name in launched)
    for one, other in zip(found, expected):
        assert one.dtype == np.float32
        assert np.abs(one - other).max() <= tolerance * np.abs(other).max()


@pytest.mark.parametrize('precision, tolerance', [('float32', 2e-5), ('bf16', .03)])
def test_both_ways_agree_with_the_cpu_on_a_gpu(precision, tolerance):
    if not cuda_available():
        pytest.skip('there is no GPU here, or no CuPy')
    expected = n_step('float32', 'never', minichain.get_device('cpu'))
    for way in ('never', 'always', 'auto'):
        for one, other in zip(n_step(precision, way, minichain.get_device('cuda')), expected):
            assert np.abs(one - other).max() <= tolerance * np.abs(other).max(), way


@needs_simulator
def test_states_that_never_run_and_the_last_ones_are_those_of_the_steps_one_by_one():
    results = []
    for way in ('never', 'always'):
        xs = [minichain.Variable(SIM.send(array)) for array in (
            normal(6, 12), normal(12, 3), normal(4, 3, seed=1), normal(4, 3, seed=2))]
        with using_config('persistent_lstm', way):
            ys = F.lstm_sequence(*xs, [3, 2, 1])
            sum(F.sum(y * y) for y in ys).backward()
        results.append([each.get() for each in (*(y.array for y in ys), *(x.grad for x in xs))])
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)
    _, h, _, _, _, gh, _ = results[1]
    np.testing.assert_array_equal(h[3], normal(4, 3, seed=1)[3])
    np.testing.assert_array_equal(gh[3], 2 * h[3])


@needs_simulator
@pytest.mark.parametrize('which', range(3))
def test_one_result_alone_sends_gradients_back(which):
    results = []
    for way in ('never', 'always'):
        xs = [minichain.Variable(SIM.send(array)) for array in (
            normal(6, 12), normal(12, 3), normal(3, 3, seed=1), normal(3, 3, seed=2))]
        with using_config('persistent_lstm', way):
            F.sum(F.lstm_sequence(*xs, [3, 2, 1])[which]).backward()
        results.append([x.grad.get() for x in xs])
    for one, other in zip(*results):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)


@needs_simulator
def test_one_launch_does_what_the_body_of_the_function_does(launched, monkeypatch):
    """Also if few gradients come, or are wanted."""
    with using_config('persistent_lstm', 'always'):
        test_dispatch.test_kernels_do_what_the_body_does(
            'lstm_sequence.run_steps', False, monkeypatch)
    assert launched.count(f'{FORWARD}_float32') == launched.count(f'{BACKWARD}_float32') > 1


@needs_simulator
@pytest.mark.parametrize('precision', ['float32', 'bf16'])
@pytest.mark.parametrize('last', [0, 1])
def test_both_ways_may_run_again_and_again_as_a_clock_wants(last, precision, monkeypatch):
    expected = n_step(precision, ('never', 'always')[last])

    def run(key, ways, clock):
        for way in (*ways, *ways, ways[last]):
            way()
    monkeypatch.setattr(lstm_sequence, 'machine_of', lambda array: None)
    monkeypatch.setattr(lstm_sequence.cublaslt, 'version', lambda: 130000)
    monkeypatch.setattr(fastest, 'run', run)
    for one, other in zip(n_step(precision, 'auto'), expected):
        np.testing.assert_array_equal(one, other)


@needs_simulator
@pytest.mark.parametrize('inject', ['first', 'state'])
def test_a_caption_generator_learns_as_by_steps_one_by_one(inject, launched):
    expected = learn(make_learner('sim', inject=inject, n_layers=2), 8)
    assert not any(name.startswith('persistent') for name in launched)
    with using_config('persistent_lstm', 'always'):
        found = learn(make_learner('sim', inject=inject, n_layers=2), 8)
    assert found == pytest.approx(expected, rel=1e-5)
    assert {f'{FORWARD}_float32', f'{BACKWARD}_float32'} <= set(launched)
    assert not any(name.startswith('lstm_') for name in launched[launched.index(
        f'{FORWARD}_float32'):])


@needs_simulator
def test_no_host_waits_and_nothing_is_sent():
    arrays = [SIM.send(array) for array in (normal(40, 12), normal(12, 3), normal(2, 3),
                                            normal(2, 3))]
    with using_config('persistent_lstm', 'always'), no_waiting():
        F.sum(F.lstm_sequence(*map(minichain.Variable, arrays), [2] * 20)[0]).backward()


class Training:
    """Steps that learn an LSTM over packed sequences."""

    def __init__(self, written, device):
        np.random.seed(0)
        self.lstm = L.StatelessLSTM(3, 3)
        self.lstm.to_device(device)
        self.optimizer = optimizers.SGD(.1).setup(self.lstm)
        self.step = compile_step(self.run, normal(18, 3), state=(self.optimizer,))
        if written:
            self.step.reason = 'the same steps as written are wanted'

    def run(self, x):
        self.lstm.cleargrads()
        hs, _, _ = self.lstm.sequence(x, [3] * 5 + [2, 1])
        loss = F.sum(hs * hs)
        loss.backward()
        self.optimizer.update()
        return loss


def captured_and_as_written(device, precision):
    """Return losses and weights of six steps as written, and captured."""
    results = []
    with using_config('persistent_lstm', 'always'), using_config('precision', precision):
        for written in (True, False):
            training = Training(written, device)
            losses = [float(training.step(normal(18, 3, seed=seed))) for seed in range(6)]
            results.append((losses, [minichain.to_cpu(parameter.array).tobytes()
                                     for parameter in training.lstm.params()]))
    assert (training.step.captures, training.step.reason) == (1, None)
    assert len(set(losses)) == 6
    return results


@needs_simulator
@pytest.mark.parametrize('precision', ['float32', 'bf16'])
def test_a_captured_step_has_the_bits_of_the_step_as_written(precision, launched):
    one, other = captured_and_as_written('sim', precision)
    assert one == other
    assert sum(name.startswith(FORWARD) for name in launched) == 6 + 3   # replays aside


def test_a_gpu_captures_a_cooperative_launch():
    if not cuda_available():
        pytest.skip('there is no GPU here, or no CuPy')
    with using_config('deterministic', True):
        one, other = captured_and_as_written('cuda', 'float32')
    assert one == other


# ---------------------------------------------------------------------------- which one

@pytest.fixture
def chosen(monkeypatch):
    """Ask which way is taken, with functions in the place of both."""
    def chosen(fits=3, **switches):
        ways, gates = [], SIM.xp.zeros((6, 8), 'float32')
        steps = [(0, 3, 3), (3, 6, 3)]
        with contextlib.ExitStack() as stack:
            for name, value in switches.items():
                stack.enter_context(using_config(name, value))
            lstm_sequence.run_fastest(
                'forward', gates, steps, lambda: ways.append('steps'),
                lambda units: ways.append(f'{units} at once'), lambda width, like: fits)
        return ways
    return chosen


def test_the_switch_decides_where_both_ways_are_possible(chosen):
    assert chosen(persistent_lstm='always') == ['3 at once']
    assert chosen(persistent_lstm='never') == ['steps']
    assert chosen(persistent_lstm='always', fits=None) == ['steps']
    with pytest.raises(InvalidArgument, match="persistent_lstm = 'sometimes'"):
        chosen(persistent_lstm='sometimes')


def test_a_clock_decides_on_a_gpu_unless_bits_are_to_repeat(chosen, monkeypatch):
    assert chosen() == ['steps']   # the simulator
    monkeypatch.setattr(lstm_sequence, 'machine_of', lambda array: None)
    monkeypatch.setattr(lstm_sequence.cublaslt, 'version', lambda: 130000)
    keys = []
    monkeypatch.setattr(fastest, 'run', lambda key, ways, clock: keys.append(key) or ways[1]())
    assert chosen() == ['3 at once']
    assert keys == ['LSTM forward of 2 units, 2 steps of 4, float32 float32 cublasLt 130000']
    assert chosen(deterministic=True) == ['steps'] and len(keys) == 1
    assert chosen(deterministic=True, persistent_lstm='always') == ['3 at once']
    assert chosen(fits=None) == ['steps'] and len(keys) == 1


class Function:
    """A kernel as CuPy starts it, with 100 bytes of static shared memory."""

    shared_size_bytes, max_dynamic_shared_size_bytes = 100, 48 << 10
    kernel = types.SimpleNamespace(ptr=1234)


class Machine:
    def function(self, kernel, device, cooperative):
        assert cooperative and kernel.name in (f'{FORWARD}_float32', f'{BACKWARD}_float32')
        return Function


@pytest.fixture
def gpu(monkeypatch):
    """A GPU of 5 multiprocessors with 1000 bytes of shared memory for a block."""
    asked = []

    def occupancy(pointer, block, shared):
        asked.append((pointer, block, shared, Function.max_dynamic_shared_size_bytes))
        return gpu.beside
    device = fake_cuda.Device(0)
    limits = {'MultiProcessorCount': 5, 'MaxSharedMemoryPerBlockOptin': 200 << 10,
              'CooperativeLaunch': 1}
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(
        Device=lambda number: device,
        driver=types.SimpleNamespace(occupancyMaxActiveBlocksPerMultiprocessor=occupancy)))
    gpu = types.SimpleNamespace(limits=limits, asked=asked, beside=1, like=types.SimpleNamespace(
        device=device, dtype=np.dtype('float32')))
    monkeypatch.setattr(Function, 'max_dynamic_shared_size_bytes', 48 << 10)
    monkeypatch.setattr(residency, 'import_cupy', lambda: cupy)
    monkeypatch.setattr(residency, 'machine_of', lambda array: Machine())
    monkeypatch.setattr(residency, 'attributes', lambda number: limits)
    return gpu


def test_as_many_blocks_as_multiprocessors_share_the_units(gpu):
    assert persistent_lstm.forward_units(1, gpu.like) == 1
    assert persistent_lstm.forward_units(16, gpu.like) == 4
    assert gpu.asked[-1] == (1234, 256, 4 * 4 * 16 * 4, 48 << 10)


def test_more_shared_memory_than_usual_is_granted_before_cuda_is_asked(gpu):
    assert persistent_lstm.forward_units(200, gpu.like) == 40
    assert gpu.asked == [(1234, 256, 133120, 133120)]


def test_the_way_back_shares_units_by_fours(gpu):
    assert persistent_lstm.backward_units(1, gpu.like) == 4
    assert persistent_lstm.backward_units(16, gpu.like) == 4
    assert gpu.asked[-1] == (1234, 256, 4 * 4 * 64, 48 << 10)
    assert persistent_lstm.backward_units(21, gpu.like) == 8


@pytest.mark.parametrize('change', [
    lambda gpu: setattr(gpu, 'beside', 0), lambda gpu: gpu.limits.update(CooperativeLaunch=0),
    lambda gpu: gpu.limits.update(MaxSharedMemoryPerBlockOptin=4 * 4 * 16 * 4 + 99)])
def test_where_blocks_find_no_room_steps_are_launched_one_by_one(change, gpu):
    change(gpu)
    assert persistent_lstm.forward_units(16, gpu.like) is None


def test_the_simulator_is_taken_for_a_small_gpu():
    like = SIM.xp.zeros(1, 'float32')
    assert persistent_lstm.forward_units(6, like) == 2
    assert persistent_lstm.forward_units(7, like) == 3
    assert persistent_lstm.forward_units(200, like) == 67
    assert persistent_lstm.forward_units(300, like) is None
    assert persistent_lstm.backward_units(13, like) == 8
    assert persistent_lstm.backward_units(300, like) is None


# ---------------------------------------------------------------------------- the clock

@pytest.fixture
def lazy():
    fastest._recorder.cache_clear()
    with fake_cuda.installed() as module:
        module.cuda.get_elapsed_time = lambda start, end: 6.
        yield module
    fastest._recorder.cache_clear()


def test_what_is_timed_are_replays_of_a_graph_on_a_stream_of_its_own(lazy):
    x, done = lazy.empty(2, 'float32'), []
    assert fastest.milliseconds_of_replay(lambda: lazy.launch(lambda _: done.append(1), x)) == 2
    calls = [call for call in lazy.log if call[0] in ('begin_capture', 'end_capture', 'launch')]
    stream = calls[0][1]
    assert stream != lazy.cuda.get_current_stream().name and calls == [
        ('begin_capture', stream), ('end_capture', stream), *[('launch', stream)] * 4]
    lazy.cuda.get_current_stream().synchronize()
    assert len(done) == 5   # as written, then four replays
    fastest.milliseconds_of_replay(lambda: None)
    assert {call[1] for call in lazy.log if call[0] == 'launch'} == {stream}


def test_the_memory_of_a_trial_lives_as_long_as_its_graph_is_replayed(lazy, monkeypatch):
    pools, make, replay = [], fastest.CudaRecorder.pool, fastest.CudaRecorder.replay

    def pool(recorder, name):
        made = make(recorder, name)
        pools.append(weakref.ref(made))
        return made

    def replay_with_pool(recorder, graph):
        assert pools[-1]() is not None
        replay(recorder, graph)
    monkeypatch.setattr(fastest.CudaRecorder, 'pool', pool)
    monkeypatch.setattr(fastest.CudaRecorder, 'replay', replay_with_pool)
    assert fastest.milliseconds_of_replay(
        lambda: lazy.launch(lambda x: x.fill(0), lazy.empty(2, 'float32'))) == 2
    assert len(pools) == 1 and pools[0]() is None


def test_a_way_that_cannot_be_captured_takes_for_ever(lazy):
    x = lazy.empty(2, 'float32')
    assert fastest.milliseconds_of_replay(x.get) == float('inf')
    assert not lazy.cuda.get_current_stream().is_capturing()
    assert fastest.milliseconds_of_replay(lambda: None) == 2

"""Captured steps against the same steps in NumPy, on streams and graphs that are lazy."""
import gc
import warnings

import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from minichain import FunctionNode, optimizers, using_config
from minichain.errors import DeviceError, InvalidType
from minichain.gpu import compile_step, step_state
from minichain.gpu.host_numbers import HostNumbers
from tests.gpu import fake_cuda


@pytest.fixture
def cupy():
    with fake_cuda.installed() as module:
        yield module


def on_gpu(cupy, values):
    array = cupy.ndarray(values.shape, values.dtype)
    array.values[...] = values
    return array


class Descent:
    """Gradient descent of w on  sum (w - x)^2  over the rows of x; and the same in NumPy."""

    def __init__(self, cupy):
        self.cupy, self.runs = cupy, 0
        self.state = {'w': on_gpu(cupy, np.zeros(3, np.float32)), 'rate': .125}
        self.expected = np.zeros(3, np.float32)

    def __call__(self, x):
        self.runs += 1
        loss, w, rate = self.cupy.ndarray((1,), 'f4'), self.state['w'], self.state['rate']
        self.cupy.launch(lambda loss, w, x: loss.fill(((w - x) ** 2).sum()), loss, w, x)
        self.cupy.launch(lambda w, x: w.__isub__(2 * rate * (w - x).mean(axis=0)), w, x)
        return loss

    def in_numpy(self, x, rate=.125):
        loss = ((self.expected - x) ** 2).sum()
        self.expected -= 2 * rate * (self.expected - x).mean(axis=0)
        return loss

    def follow(self, step, batches, send=True):
        for x in batches:
            loss = step(on_gpu(self.cupy, x) if send else x)
            np.testing.assert_allclose(loss.get()[0], self.in_numpy(x), rtol=1e-6)
        np.testing.assert_allclose(self.state['w'].get(), self.expected, rtol=1e-6)


def batches(count, rows=2):
    return list(np.random.default_rng(rows).normal(size=(count, rows, 3)).astype(np.float32))


def compiled(descent, **options):
    example = np.zeros((2, 3), np.float32)
    return compile_step(descent, example, state=(descent.state,), **options)


def calls(cupy, *names):
    return [call[0] for call in cupy.log if call[0] in names]


def test_two_steps_run_then_one_is_captured_and_replayed_and_every_batch_counts_once(cupy):
    descent = Descent(cupy)
    step = compiled(descent)
    descent.follow(step, batches(8))
    assert (descent.runs, step.captures, step.reason) == (3, 1, None)
    assert calls(cupy, 'begin_capture', 'end_capture', 'launch') == [
        'begin_capture', 'end_capture', *['launch'] * 6]


def test_batches_of_the_host_go_through_pinned_memory(cupy):
    descent = Descent(cupy)
    descent.follow(compiled(descent), batches(8), send=False)
    assert descent.runs == 3
    assert len(calls(cupy, 'from_host')) == len(calls(cupy, 'from_device')) == 8


def test_streams_wait_before_and_after_each_step_and_the_host_never(cupy):
    descent = Descent(cupy)
    step, xs = compiled(descent), [on_gpu(cupy, x) for x in batches(5)]
    for x in xs[:3]:
        step(x)
    cupy.log.clear()
    for x in xs[3:]:
        step(x)
    side = step._recorder.stream.name
    assert step._recorder.stream.non_blocking
    assert [call[:2] for call in cupy.log] == 2 * [
        ('record', 'null'), ('wait', side), ('from_device', side), ('launch', side),
        ('record', side), ('wait', 'null')]


def test_warm_ups_and_capture_take_memory_of_a_private_pool_that_stays(cupy):
    descent = Descent(cupy)
    step = compiled(descent)
    before = cupy.default.total_bytes()
    xs = [on_gpu(cupy, x) for x in batches(4)]
    given = cupy.default.total_bytes() - before
    for x in xs:
        loss = step(x)
    assert cupy.default.total_bytes() == before + given
    assert loss.data.mem in next(iter(step._traces.values())).pool.pool.chunks
    assert len(fake_cuda._allocators) == 1


def test_another_shape_or_precision_or_constant_is_another_trace(cupy):
    descent = Descent(cupy)
    step = compiled(descent)
    for _ in range(4):
        for rows in (2, 5):
            descent.follow(step, batches(1, rows))
    assert (descent.runs, step.captures) == (6, 2)
    for switch, value in (('precision', 'tf32'), ('cudnn_deterministic', True)):
        with using_config(switch, value):
            descent.follow(step, batches(4))
    descent.follow(step, batches(4))
    assert step.captures == 4
    lasting = compile_step(lambda batch: descent(batch[0]), (np.zeros(1), 1),
                           state=(descent.state,))
    for constant in (1, 1, 1, 2, 2, 2):
        lasting((on_gpu(cupy, batches(1)[0]), constant))
    assert lasting.captures == 2


def test_a_batch_of_another_structure_than_the_example_is_refused(cupy):
    with pytest.raises(InvalidType, match=r'expected, array; got \(array, array\)'):
        compiled(Descent(cupy))((np.zeros(3), np.zeros(3)))


def test_an_array_that_is_not_contiguous_is_copied_all_the_same(cupy):
    descent = Descent(cupy)
    step = compiled(descent)
    for x in batches(4):
        given = on_gpu(cupy, x)
        given.flags.c_contiguous = False
        np.testing.assert_allclose(step(given).get()[0], descent.in_numpy(x), rtol=1e-6)


def test_on_the_cpu_everything_runs_as_written():
    step = compile_step(lambda x: {'loss': x.sum(), 'none': None, 'y': F.relu(x)}, np.zeros(3))
    for value in range(4):
        got = step(np.full(3, value, np.float32))
        assert got['y'].tolist() == [value] * 3 and got['none'] is None
        assert got['loss'].shape == () and got['loss'] == 3 * value
    assert (step.captures, step.reason) == (0, 'there is no array on a GPU')


def test_a_replaced_array_or_number_is_told_and_the_step_captured_anew(cupy):
    descent = Descent(cupy)
    step = compiled(descent)
    descent.follow(step, batches(5))
    descent.state['w'] = on_gpu(cupy, np.ones(3, np.float32))
    descent.expected[:] = 1
    with pytest.warns(RuntimeWarning, match="'w' is another array than before; the step is "
                                            'captured anew'):
        descent.follow(step, batches(1))
    descent.follow(step, batches(4))
    descent.state['rate'] = .0625
    x = batches(1)[0]
    with pytest.warns(RuntimeWarning, match="'rate' went from 0.125 to 0.0625"):
        loss = step(on_gpu(cupy, x))
    np.testing.assert_allclose(loss.get()[0], descent.in_numpy(x, .0625), rtol=1e-6)
    np.testing.assert_allclose(descent.state['w'].get(), descent.expected, rtol=1e-6)
    assert (step.captures, descent.runs) == (3, 5)


def test_new_contents_of_an_array_need_no_new_capture(cupy):
    descent = Descent(cupy)
    step = compiled(descent)
    descent.follow(step, batches(5))
    descent.state['w'].values[...] = descent.expected[:] = 3
    descent.follow(step, batches(2))
    assert step.captures == 1


def test_a_number_that_is_set_before_each_step_ends_in_steps_as_written(cupy):
    descent = Descent(cupy)
    step, told = compiled(descent), []
    for number, x in enumerate(batches(8)):
        descent.state['rate'] = rate = .1 / (number + 1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            loss = step(on_gpu(cupy, x))
        told += [str(warning.message) for warning in caught]
        np.testing.assert_allclose(loss.get()[0], descent.in_numpy(x, rate), rtol=1e-6)
    np.testing.assert_allclose(descent.state['w'].get(), descent.expected, rtol=1e-5)
    assert len(told) == 2 and 'captured anew' in told[0]
    assert "'rate' went from" in told[1] and 'at every step; keep in place' in told[1]


@pytest.mark.parametrize('spoil, words', [
    (lambda cupy, state: state.update(t=state['t'] + 1), "'t' went from 2 to 3 within the step"),
    (lambda cupy, state: state.update(w=state['w'].copy()), "'w' is another array than before w"),
])
def test_a_step_that_counts_on_the_host_or_replaces_its_state_is_not_captured(
        cupy, spoil, words):
    descent = Descent(cupy)
    descent.state['t'] = 0

    def update(x):
        loss = descent(x)
        spoil(cupy, descent.state)
        return loss
    step = compile_step(update, np.zeros((2, 3), np.float32), state=(descent.state,))
    descent.follow(step, batches(2))
    with pytest.warns(RuntimeWarning, match=words) as caught:
        descent.follow(step, batches(1))
    assert len(caught) == 1 and caught[0].filename == __file__
    descent.follow(step, batches(3))
    assert descent.state['t'] in (0, 6)   # as many as steps: the one that failed is taken back
    assert calls(cupy, 'launch') == []


def test_numbers_that_follow_the_host_are_there_before_each_replay(cupy):
    descent, numbers, rates = Descent(cupy), HostNumbers(), []

    def rate():
        return rates[-1],

    def update(x):
        there, w = numbers.on_device(rate, descent.state['w']), descent.state['w']
        cupy.launch(lambda w, x, rate: w.__isub__(2 * rate * (w - x).mean(axis=0)), w, x, there)
    step = compile_step(update, np.zeros((2, 3), np.float32), state=(descent.state,))
    given = batches(9)
    for number, x in enumerate(given):
        rates.append(.1 / (1 + number // 2))
        step(x)
        descent.in_numpy(x, rates[-1])
    np.testing.assert_allclose(descent.state['w'].get(), descent.expected, rtol=1e-5)
    assert step.captures == 1
    # In the pool of the step they could lie where the step has something else at another time.
    trace, = step._traces.values()
    tables = [table.array.data.mem for table in trace.numbers._tables]
    assert tables and not set(tables) & set(trace.pool.pool.chunks)
    # A batch each step; and a table with the first replay and where the rate is another one.
    assert len(calls(cupy, 'from_host')) == len(given) + len(set(rates[2:]))


class Peeking(FunctionNode):
    """Looks at a value, as ``if array:`` does."""

    def forward(self, inputs):
        inputs[0].get()
        return inputs


def peek(cupy, x):
    Peeking().apply((x,))


def send(cupy, x):
    cupy.asarray(np.zeros(3, np.float32))


def fail(cupy, x):
    if fake_cuda.Stream.current[-1].is_capturing():
        raise ValueError('no capture')


@pytest.mark.parametrize('act, words', [
    (peek, r'Peeking\.forward \(tests.*line \d+\): CUDARuntimeError: .*not permitted when stream'),
    (send, r'asarray, line \d+: DeviceError: an array of the host is copied to the GPU within'),
    (fail, r'tests\.gpu\.test_capture\.fail, line \d+: ValueError: no capture'),
])
def test_what_cannot_be_captured_is_told_once_by_name_and_runs_as_written(cupy, act, words):
    descent = Descent(cupy)

    def update(x):
        loss = descent(x)
        act(cupy, x)
        return loss
    with using_config('type_check', False):
        step = compile_step(update, np.zeros((2, 3), np.float32), state=(descent.state,))
        descent.follow(step, batches(2))
        with pytest.warns(RuntimeWarning, match=words) as caught:
            descent.follow(step, batches(1))
        assert len(caught) == 1
        descent.follow(step, [*batches(3), *batches(3, 4)])
    assert calls(cupy, 'begin_capture', 'end_capture', 'launch') == [
        'begin_capture', 'end_capture']
    assert not step._recorder.stream.is_capturing() and step._traces == {}
    assert fake_cuda._pinned == [fake_cuda._pinned_memory] and len(fake_cuda._allocators) == 1
    assert gc.isenabled()


def test_an_end_of_capture_that_fails_as_well_hides_nothing(cupy, monkeypatch):
    descent, end = Descent(cupy), fake_cuda.Stream.end_capture

    def ending(self):
        end(self)
        raise fake_cuda.CUDARuntimeError(901, 'cudaErrorStreamCaptureInvalidated')
    monkeypatch.setattr(fake_cuda.Stream, 'end_capture', ending)
    for act, words in ((fail, 'ValueError: no capture'), (lambda *_: None, 'CaptureInvalidated')):
        step = compile_step(lambda x, act=act: (descent(x), act(cupy, x))[0],
                            np.zeros((2, 3), np.float32), state=(descent.state,))
        descent.follow(step, batches(2))
        with pytest.warns(RuntimeWarning, match=words):
            descent.follow(step, batches(1))
        descent.follow(step, batches(2))


def test_an_interruption_during_capture_ends_it_and_passes(cupy):
    descent = Descent(cupy)

    def update(x):
        if descent.runs == 2:
            raise KeyboardInterrupt
        return descent(x)
    step = compile_step(update, np.zeros((2, 3), np.float32), state=(descent.state,))
    descent.follow(step, batches(2))
    with pytest.raises(KeyboardInterrupt):
        step(on_gpu(cupy, batches(1)[0]))
    assert calls(cupy, 'begin_capture', 'end_capture') == ['begin_capture', 'end_capture']


@pytest.mark.parametrize('failures, captures', [(1, 1), (2, 0)])
def test_memory_that_runs_out_during_capture_is_tried_once_more_then_told(
        cupy, failures, captures):
    descent = Descent(cupy)
    step = compiled(descent)
    descent.follow(step, batches(2))
    next(iter(step._traces.values())).pool.pool.fail = failures
    if captures:
        descent.follow(step, batches(1))
    else:
        with pytest.warns(RuntimeWarning, match='DeviceError: the GPU has too little memory.*'
                                                'allocating 4 bytes.*driver'):
            descent.follow(step, batches(1))
    descent.follow(step, batches(3))
    assert (step.captures, cupy.default.freed) == (captures, 1)
    assert calls(cupy, 'begin_capture').count('begin_capture') == 2


def test_what_a_capture_that_failed_counted_on_the_host_is_taken_back(cupy):
    for fails_after, words in ((True, 'no capture'), (False, "'t' went from 2 to 3 within")):
        descent = Descent(cupy)
        descent.state['t'] = 0

        def update(x, descent=descent, fails_after=fails_after):
            descent.state['t'] += 1
            loss = descent(x)
            if fails_after:
                fail(cupy, x)
            return loss
        step = compile_step(update, np.zeros((2, 3), np.float32), state=(descent.state,))
        descent.follow(step, batches(2))
        next(iter(step._traces.values())).pool.pool.fail = not fails_after   # tried twice
        with pytest.warns(RuntimeWarning, match=words):
            descent.follow(step, batches(1))
        descent.follow(step, batches(2))
        assert descent.state['t'] == 5


def test_a_result_that_is_a_number_is_not_captured(cupy):
    with pytest.raises(InvalidType, match='a step that returns arrays expected, got float'):
        compile_step(lambda x: 1., np.zeros(1))(np.zeros(1))


def test_the_debug_comparison_passes_a_step_that_repeats_and_finds_one_that_does_not(cupy):
    descent = Descent(cupy)
    descent.follow(compiled(descent, compare=1e-6), batches(6))
    hidden = {'rate': 1.}

    def update(x):
        loss, rate = descent(x), hidden['rate']   # in no state, so nobody knows
        cupy.launch(lambda w: w.__imul__(rate), descent.state['w'])
        return loss
    step = compile_step(update, np.zeros((2, 3), np.float32), state=(descent.state,),
                        compare=1e-6)
    descent.follow(step, batches(4))
    hidden['rate'] = .5
    with pytest.raises(DeviceError, match=r"'w' differs between the replay and .* by 1 of"):
        step(on_gpu(cupy, batches(1)[0]))


def test_gradients_are_in_the_parameters_after_each_replay_for_an_update_outside(cupy):
    model = L.Bias(shape=(3,))
    model.b.array = on_gpu(cupy, np.zeros(3, np.float32))

    def gradient(x):
        model.b.grad = cupy.ndarray((3,), 'f4')
        cupy.launch(lambda gb, b, x: np.copyto(gb, 2 * (b - x).mean(axis=0)), model.b.grad,
                    model.b.array, x)
    step = compile_step(gradient, np.zeros((2, 3), np.float32), state=(model,))
    expected = np.zeros(3, np.float32)
    for x in batches(6):
        step(on_gpu(cupy, x))
        cupy.launch(lambda b, gb: b.__isub__(.125 * gb), model.b.array, model.b.grad)
        model.b.grad = None   # as cleargrads does
        expected -= .25 * (expected - x).mean(axis=0)
    np.testing.assert_allclose(model.b.array.get(), expected, rtol=1e-6)
    assert step.captures == 1


def test_links_and_optimizers_tell_what_a_step_may_not_change():
    model = L.Linear(3, 2)
    optimizer = optimizers.Adam().setup(model)
    x = np.ones((1, 3), np.float32)
    optimizer.update(lambda: F.sum(model(x) ** 2))
    before = step_state.look([optimizer])
    assert step_state.changed(before) is None
    names = set(step_state.arrays_of(before))
    assert names == {'/W', '/b', 'the m of /W', 'the v of /W', 'the m of /b', 'the v of /b'}
    t, W = optimizer.t, model.W.array
    optimizer.update(lambda: F.sum(model(x) ** 2))
    assert [(entry.name, steps) for entry, steps in step_state.counted(before)] == [
        ("the optimizer's t", 1), ('the t of the rule of /W', 1), ('the t of the rule of /b', 1)]
    assert step_state.changed(before) is None
    step_state.put_back(before)
    assert optimizer.t == t and model.W.update_rule.t == t
    assert step_state.changed(before) is None
    optimizer.alpha = .5
    assert step_state.changed(before) == 'alpha of the optimizer went from 0.001 to 0.5'
    step_state.put_back(before)
    model.W.array = W.copy()
    assert step_state.changed(before) == '/W is another array than before'
    model.W.array = W[:]   # the same memory
    assert step_state.changed(before) is None
    model.W.update_rule._state = {name: array.copy() for name, array in
                                  model.W.update_rule.state.items()}   # as loading does
    assert step_state.changed(before) == 'the state of /W is no longer what it was'


def test_a_stateful_link_that_replaces_its_state_is_seen_and_one_that_resets_is_not():
    model, x = L.LSTM(3, 2), np.ones((1, 3), np.float32)
    model(x)
    before = step_state.look([model])
    model(x)
    assert step_state.changed(before) in ('/c is another array than before',
                                          '/h is another array than before')
    step_state.put_back(before)
    assert step_state.changed(before) is None
    model.reset_state()
    before = step_state.look([model])
    model(x)
    assert step_state.changed(before).endswith(' is no longer what it was')
    model.reset_state()
    assert step_state.changed(before) is None


def test_batch_statistics_are_state_and_something_else_is_refused():
    names = step_state.arrays_of(step_state.look([L.BatchNormalization(3)]))
    assert {'/avg_mean', '/avg_var', '/beta', '/gamma'} <= set(names)
    with pytest.raises(InvalidType, match=r'state\[1\] is str; expected links, optimizers'):
        step_state.look([np.zeros(3), 'model'])

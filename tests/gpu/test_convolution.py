"""Convolution by kernels and matrix products: memory, cuDNN as the other way, what is refused."""
import functools
from types import SimpleNamespace

import numpy as np
import pytest

import minichain
from minichain.configuration import using_config
from minichain.errors import DeviceError
from minichain.functions import convolution_arrays
from minichain.functions.windows import slide
from minichain.gpu import convolution, cudnn_convolution, fastest, gemm, launcher
from minichain.gpu.precision import round_to_tf32
from minichain.gpu.remembered import Remembered
from minichain.gpu.simulator import arrays
from minichain.gpu.simulator.builder import missing
from tests.gpu.image_cases import CONVOLUTIONS, normal

simulated = pytest.mark.skipif(missing() is not None, reason=str(missing()))
sim = minichain.get_device('sim')
# Of each function: which of x, W, b, y it takes. float64 goes by the specification's own way.
OPERANDS = {'convolve': (0, 1, 2), 'deconvolve': (3, 1, None), 'convolve_weight': (0, 3)}


def operands(name, case, send=lambda x: x):
    return [None if i is None or case[i] is None else send(case[i])
            for i in OPERANDS[name]] + list(case[4:])


@simulated
@pytest.mark.parametrize('name', OPERANDS)
@pytest.mark.parametrize('most', [1, 600, 3000])
def test_however_few_columns_there_are_at_a_time_the_result_is_that_of_float64(
        name, most, monkeypatch):
    function, sizes = getattr(convolution_arrays, name), []
    empty = arrays.xp.empty

    def noted(shape, dtype):
        if len(shape) == 6:
            sizes.append(np.prod(shape) * np.dtype(dtype).itemsize)
        return empty(shape, dtype)
    monkeypatch.setitem(vars(arrays.xp), 'empty', noted)
    monkeypatch.setattr(convolution, 'MOST', most)
    for case in CONVOLUTIONS:
        expected = function.body(*operands(name, case, lambda x: x.astype(np.float64)))
        sizes.clear()
        found = function(*operands(name, case, sim.send))
        np.testing.assert_allclose(found.get(), expected, rtol=1e-5, atol=1e-5)
        x, windows = case[0], case[4]
        of_a_row = x.shape[1] * np.prod(windows.ksize) * windows.out[1] * x.itemsize
        assert all(size <= max(most, of_a_row) for size in sizes)
        assert sizes or 1 == case[1].shape[1] or set(windows.ksize) == {1}


@simulated
def test_windows_of_one_position_are_multiplied_without_columns(monkeypatch):
    monkeypatch.setattr(convolution, 'im2col', None)
    monkeypatch.setattr(convolution, 'col2im', None)
    windows = slide('test', (5, 4), 1)
    x, W, y = (sim.send(normal(*shape)) for shape in ((2, 6, 5, 4), (4, 3, 1, 1), (2, 4, 5, 4)))
    convolution.convolve(x, W, None, windows, 2)
    convolution.deconvolve(y, W, None, windows, 2)
    convolution.convolve_weight(x, y, windows, 2)


@simulated
@pytest.mark.parametrize('images, products', [(1, 1), (2, 2), (5, 3)])
def test_products_are_batches_of_groups_or_of_images_so_that_they_are_few(
        images, products, monkeypatch):
    calls = []
    monkeypatch.setattr(convolution, 'gemm', lambda *arguments, **options: calls.append(
        gemm.gemm(*arguments, **options)))
    x, W = sim.send(normal(images, 6, 5, 5)), sim.send(normal(6, 2, 3, 3))
    convolution.convolve(x, W, None, slide('test', (5, 5), 3), 3)
    assert len(calls) == products


@simulated
def test_channels_that_are_filtered_by_themselves_have_kernels_without_columns(monkeypatch):
    monkeypatch.setattr(convolution, 'gemm', None)
    for case in CONVOLUTIONS:
        if case[1].shape[1] == 1 < case[5]:
            for name in OPERANDS:
                expected = getattr(convolution_arrays, name).body(*operands(name, case))
                found = getattr(convolution, name)(*operands(name, case, sim.send))
                np.testing.assert_allclose(found.get(), expected, rtol=1e-5, atol=1e-5)
    assert sum(case[1].shape[1] == 1 < case[5] for case in CONVOLUTIONS) > 1


@simulated
@pytest.mark.parametrize('name', OPERANDS)
def test_products_are_as_exact_as_the_precision_says(name):
    x, W, _, y, windows, groups = CONVOLUTIONS[0]
    case = (x, W, None, y, windows, groups)
    rounded = [None if each is None else round_to_tf32(each) for each in case[:4]] + [*case[4:]]
    function = getattr(convolution_arrays, name)
    exact, expected = (function.body(*operands(name, each)) for each in (case, rounded))
    with using_config('precision', 'tf32'):
        found = function(*operands(name, case, sim.send)).get()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert abs(found - exact).max() > 1e-4


def test_other_arrays_than_float32_images_go_the_generic_way():
    images, line = normal(2, 3, 5, 5), normal(2, 3, 5)
    assert convolution.are_images(images, images)
    assert not convolution.are_images(line, line)
    assert not convolution.are_images(images, images.astype(np.float64))
    assert not convolution.are_images(images, images[:0])


# ---------------------------------------------------------------------------- cuDNN

@pytest.fixture
def cudnn(monkeypatch, cudnn_is_chosen):
    """cuDNN in Python, for NumPy arrays: its calls are noted, its results are 7."""
    calls = cudnn_is_chosen

    def computes(position, name):
        def call(*arguments, **options):
            calls.append((name, arguments[3], options))
            arguments[position][...] = 7
        return call
    for name, position in (('forward', 2), ('backward_data', 2), ('backward_filter', 2)):
        monkeypatch.setattr(cudnn_convolution, f'convolution_{name}', computes(position, name))
    return calls


@pytest.mark.parametrize('name', OPERANDS)
def test_cudnn_gets_the_operands_where_it_is_asked_for(name, cudnn):
    case = CONVOLUTIONS[2]
    found = getattr(convolution, name)(*operands(name, case))
    with using_config('use_cudnn', 'always'):
        always = getattr(convolution, name)(*operands(name, case))
    assert (found == 7).all() and (always == 7).all()
    key, first, second = cudnn
    assert all(str(case[i].shape) in key for i in (0, 1, 3)) and 'float32' in key
    assert first[:2] == second[:2]
    assert first[1] == cudnn_convolution.Convolution((1, 2), (0, 1), (2, 2), 4)
    assert name != 'convolve' or first[2]['b'] is not None


@pytest.mark.parametrize('switch, value', [('use_cudnn', 'never'), ('deterministic', True)])
@simulated
def test_cudnn_stays_out_where_it_is_not_wanted_or_a_clock_may_not_choose(switch, value, cudnn):
    case = CONVOLUTIONS[2]
    with using_config(switch, value):
        convolution.convolve(*operands('convolve', case))
    assert not cudnn
    if switch == 'deterministic':
        with using_config(switch, value), using_config('use_cudnn', 'always'):
            convolution.convolve(*operands('convolve', case))
        assert len(cudnn) == 1


@simulated
def test_cudnn_stays_out_of_windows_that_it_would_count_otherwise(cudnn):
    convolution.convolve(*operands('convolve', CONVOLUTIONS[1]))   # some beyond the padding
    assert not cudnn


@simulated
def test_cudnn_stays_out_of_the_simulator(cudnn, monkeypatch):
    monkeypatch.setattr(convolution, 'MACHINES', launcher.MACHINES)
    convolution.convolve(*operands('convolve', CONVOLUTIONS[2], sim.send))
    assert not cudnn


# ---------------------------------------------------------------------------- the fastest way

class Clock:
    """A GPU whose time is set by hand."""

    def __init__(self):
        self.now, self.capturing = 0, False
        clock, stream = self, SimpleNamespace(ptr=5)

        class Event:
            def record(self, on):
                assert on is stream
                self.time = clock.now

            def synchronize(self):
                assert not clock.capturing
        self.asked = []   # for properties, which takes a millisecond
        runtime = SimpleNamespace(
            getDevice=lambda: 0, getDeviceProperties=lambda number: self.asked.append(number) or {
                'name': b'Clock'},
            streamIsCapturing=lambda pointer: self.capturing)
        self.cupy = SimpleNamespace(cuda=SimpleNamespace(
            runtime=runtime, Event=Event, get_current_stream=lambda: stream,
            get_elapsed_time=lambda start, end: end.time - start.time))

    def way(self, name, calls, times):
        times = iter(times)

        def run():
            calls.append(name)
            self.now += next(times, 0)
        return run


@pytest.fixture
def clock(monkeypatch, tmp_path):
    clock = Clock()
    for module in ('fastest', 'libraries'):
        monkeypatch.setattr(f'minichain.gpu.{module}.import_cupy', lambda: clock.cupy)
    file = functools.cache(lambda: Remembered(tmp_path / 'fastest.json'))
    monkeypatch.setattr(fastest, 'remembered', file)
    clock.forget = file.cache_clear
    fastest.name_of.cache_clear()
    yield clock
    fastest.name_of.cache_clear()


def test_the_faster_way_runs_and_is_remembered_but_its_first_run_is_not_timed(clock):
    calls = []
    slow, fast = clock.way('slow', calls, [0, 2, 2, 2]), clock.way('fast', calls, [99, 1, 1, 1])
    fastest.run('work', (slow, fast))
    assert calls == ['slow'] * 4 + ['fast'] * 5
    calls.clear()
    clock.forget()   # another process, the same file
    fastest.run('work', (slow, fast))
    assert calls == ['fast']
    fastest.run('other work', (slow, fast))
    assert len(calls) == 10
    assert clock.asked == [0]


def test_while_a_graph_is_captured_nothing_is_timed_or_remembered(clock):
    calls = []
    ways = clock.way('first', calls, []), clock.way('second', calls, [])
    clock.capturing = True
    fastest.run('work', ways)
    assert calls == ['first']
    assert fastest.remembered().get('Clock work') is None
    clock.capturing = False
    fastest.remembered().put('Clock work', [1])
    clock.capturing = True
    fastest.run('work', ways)
    assert calls == ['first', 'second']


def test_a_way_that_fails_is_not_taken_and_what_a_file_says_has_to_make_sense(clock):
    def fails():
        raise DeviceError('no algorithm')
    calls = []
    for foolish in ([2], [-1], [0, 0], []):
        fastest.remembered().put('Clock work', foolish)
        fastest.run('work', (clock.way('first', calls, []), fails))
        assert fastest.remembered().get('Clock work') == [0]
    assert set(calls) == {'first'}
    with pytest.raises(DeviceError, match='no algorithm'):
        fastest.run('hopeless work', (fails, fails))

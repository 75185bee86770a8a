"""What is refused before a launch, and that numbers reach kernels in their own widths."""
import re

import numpy as np
import pytest

from minichain.errors import DeviceError, InvalidArgument, InvalidType
from minichain.gpu import sources
from minichain.gpu.launcher import MACHINES, Kernel, blocks_for, kernel, storage
from minichain.gpu.simulator import Simulator
from minichain.gpu.simulator.builder import missing
from minichain.gpu.sources import KernelFile
from tests.gpu.registry import DTYPES

needs_gpp = pytest.mark.skipif(missing() is not None, reason=str(missing()))
NUMBERS = KernelFile('numbers.cu', """
struct bfloat16 { unsigned short bits; };
extern "C" __global__ void numbers(double *out, float a, int b, double c, unsigned d, long long e,
                                   unsigned long long f) {
    out[0] = a; out[1] = b; out[2] = c; out[3] = d; out[4] = e; out[5] = f;
}
extern "C" __global__ void reads(const float *x, float *y) { y[0] = x[0]; }
extern "C" __global__ void rounds(bfloat16 *x) { x[0].bits = 0x3f80; }
""", {})


class Recorder(Simulator):
    """A machine that keeps what it is told to launch."""

    def launch(self, kernel, grid, block, arguments, shared, cooperative, reached=()):
        self.told = kernel.name, grid, block, arguments, shared, cooperative


@pytest.fixture
def recorder(monkeypatch):
    machine = Recorder()
    monkeypatch.setitem(MACHINES, np.ndarray, machine)
    return machine


@needs_gpp
def test_numbers_reach_the_kernel_whatever_python_calls_them():
    out = np.zeros(6)
    Kernel('numbers', NUMBERS)(out, 0.1, np.int64(-3), 0.1, 2 ** 32 - 1, -2 ** 40, True, grid=1)
    assert out.tolist() == [float(np.float32(.1)), -3, .1, 2 ** 32 - 1, -2 ** 40, 1]


def test_every_number_has_the_width_that_the_source_declares(recorder):
    Kernel('numbers', NUMBERS)(np.zeros(6), 1, 2, 3, 4, 5, 6, grid=(2, 3), block=64, shared=8)
    name, grid, block, arguments, shared, cooperative = recorder.told
    assert (name, grid, block, shared, cooperative) == ('numbers', (2, 3, 1), (64, 1, 1), 8, False)
    assert [value.dtype.name for value in arguments[1:]] == [
        'float32', 'int32', 'float64', 'uint32', 'int64', 'uint64']


@pytest.mark.parametrize('place, value', [
    (1, 1e39), (1, '1'), (1, None), (1, np.ones(2)), (2, 1.0), (2, 2 ** 31), (4, -1), (5, 2 ** 63),
    (6, -1), (3, 1j)])
def test_a_number_that_does_not_fit_its_type_is_refused(recorder, place, value):
    numbers = [1, 2, 3, 4, 5, 6]
    numbers[place - 1] = value
    with pytest.raises(InvalidArgument, match='numbers: .* expects a number that fits its type'):
        Kernel('numbers', NUMBERS)(np.zeros(6), *numbers, grid=1)


def test_infinity_and_nan_are_numbers(recorder):
    Kernel('numbers', NUMBERS)(np.zeros(6), float('inf'), 2, float('nan'), 4, 5, 6, grid=1)
    assert np.isinf(recorder.told[3][1]) and np.isnan(recorder.told[3][3])


@pytest.mark.parametrize('x, message', [
    (np.zeros(3), r'const float \*x expects dtype float32, got float64'),
    (np.zeros((3, 4), np.float32).T, 'C-contiguous array, got one of shape'),
    (np.zeros(8, np.float32)[::2], 'C-contiguous'),
    ([1., 2.], 'not on list'), (1., 'not on float')])
def test_arrays_that_do_not_fit_the_pointer_are_refused(recorder, x, message):
    with pytest.raises(InvalidType, match=message):
        Kernel('reads', NUMBERS)(x, np.zeros(1, np.float32), grid=1)


def test_only_a_constant_pointer_takes_an_array_that_is_read_only(recorder):
    frozen = np.zeros(3, np.float32)
    frozen.flags.writeable = False
    Kernel('reads', NUMBERS)(frozen, np.zeros(3, np.float32), grid=1)
    with pytest.raises(InvalidType, match='writeable'):
        Kernel('reads', NUMBERS)(np.zeros(3, np.float32), frozen, grid=1)


def test_bfloat16_is_taken_as_such_or_as_its_bits(recorder):
    for dtype in (DTYPES['bfloat16'], np.uint16):
        Kernel('rounds', NUMBERS)(np.zeros(3, dtype), grid=1)
        assert storage(np.zeros(3, dtype)) == 'bfloat16'
    assert storage(np.zeros(3, np.float32)) == 'float32'
    with pytest.raises(InvalidType, match='float32 or bfloat16 expected, got float64'):
        storage(np.zeros(3))


def test_arrays_of_two_devices_do_not_meet(recorder, monkeypatch):
    class Other(np.ndarray):
        pass
    monkeypatch.setitem(MACHINES, Other, Recorder())
    x = np.zeros(3, np.float32)
    with pytest.raises(DeviceError, match='arrays on one device expected; y is on'):
        Kernel('reads', NUMBERS)(x, x.view(Other), grid=1)


def test_the_number_of_arguments_is_checked_and_the_signature_shown():
    with pytest.raises(InvalidType, match=r'takes 2 arguments .const float \*x, float \*y.'):
        Kernel('reads', NUMBERS)(np.zeros(1, np.float32), grid=1)


@pytest.mark.parametrize('how', [
    {'grid': -1}, {'grid': (1, 65536)}, {'grid': (1, 1, 1, 1)}, {'grid': 1.5},
    {'grid': 1, 'block': 1025}, {'grid': 1, 'block': 0}, {'grid': 1, 'block': (32, 64)},
    {'grid': 1, 'block': (1, 1, 65)}])
def test_a_grid_that_no_gpu_takes_is_refused(recorder, how):
    x = np.zeros(1, np.float32)
    with pytest.raises(InvalidArgument, match='reads: '):
        Kernel('reads', NUMBERS)(x, x, **how)


def test_an_empty_grid_has_nothing_to_do(recorder):
    x = np.zeros(0, np.float32)
    Kernel('reads', NUMBERS)(x, x, grid=0)
    assert not hasattr(recorder, 'told')


def test_blocks_cover_all_elements_up_to_a_bound():
    assert [blocks_for(n, 256) for n in (0, 1, 256, 257, 10 ** 9)] == [0, 1, 1, 2, 4096]


def test_an_unknown_kernel_is_refused_with_the_names_that_there_are():
    with pytest.raises(InvalidArgument, match="no kernel 'lstm'; there are .*lstm_forward"):
        kernel('lstm')


def test_two_files_cannot_offer_one_name(monkeypatch):
    monkeypatch.setattr(sources, 'kernel_files', lambda: {'a': NUMBERS, 'b': NUMBERS})
    with pytest.raises(InvalidArgument, match='each name once'):
        sources.file_of_kernels.__wrapped__()


def test_kernels_include_only_their_own_headers_and_use_the_macros_for_shared_memory():
    for file in sources.kernel_files().values():
        assert set(re.findall(r'#include [<"](.*)[>"]', file.text)) <= set(file.headers), file.name
        assert '__shared__' not in file.text, file.name

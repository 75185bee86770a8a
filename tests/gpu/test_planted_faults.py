"""Faults put into real kernels on purpose: each must be found by what the tests of kernels do."""
import numpy as np
import pytest

from minichain.errors import DeviceError
from minichain.gpu.launcher import Kernel
from minichain.gpu.signature import Parameter
from minichain.gpu.simulator import ORDERS, simulation
from minichain.gpu.simulator.builder import missing
from minichain.gpu.sources import KernelFile, file_of_kernels, kernel_files
from tests.gpu import registry

ENTRIES = registry.entries()


def line_of(text, part):
    return text[:text.index(part)].count('\n') + 1


@pytest.fixture
def plant(monkeypatch):
    """Replace text of a kernel file, or of its header, in what the launch functions launch."""
    def plant(file_name, before, after, header=None):
        file = kernel_files()[file_name]
        text = file.headers[header] if header else file.text
        assert text.count(before) == 1, f'{before!r} stands once in the source'
        changed = text.replace(before, after)
        file = (file._replace(headers={**file.headers, header: changed}) if header
                else file._replace(text=changed))
        table = {name: Kernel(name, file) for name in file.entry_points()}
        for user in ('embedding', 'lstm', 'many_arrays', 'softmax_cross_entropy'):
            monkeypatch.setattr(f'minichain.gpu.{user}.kernel', table.get)
        return file
    return plant


def needs(sanitizer=None):
    if missing(sanitizer):
        pytest.skip(missing(sanitizer))


def found_by_value(name, size):
    """In which orders of threads the comparison with the formula fails."""
    found = []
    for order in ORDERS:
        with simulation(order, 1):
            try:
                registry.check(name, size)
            except AssertionError:
                found.append(order)
    return found


FIRST = 'if (lane == 0) of_warps[warp] = value;\n    __syncthreads();'
TWO_SUMS = """extern "C" __global__ void k(float *x) {
    x[threadIdx.x] = block_sum(threadIdx.x) + block_sum(1);
}"""
SECOND = '    __syncthreads();   // everybody has read of_warps'


def test_a_missing_barrier_before_reading_is_found_by_the_value(plant):
    needs()
    plant('softmax_cross_entropy.cu', FIRST, FIRST.replace('__syncthreads();', ''), 'common.cuh')
    assert found_by_value('softmax_cross_entropy_float32', (2, 40))


def test_a_missing_barrier_is_found_by_the_thread_sanitizer_with_its_line(plant):
    needs('thread')
    file = plant('softmax_cross_entropy.cu', FIRST, FIRST.replace('__syncthreads();', ''),
                 'common.cuh')
    line = line_of(file.headers['common.cuh'], 'of_warps[warp] = value')
    with simulation(sanitizer='thread'), pytest.raises(
            DeviceError, match=rf'data race(.|\n)*common\.cuh:{line}'):
        registry.check('softmax_cross_entropy_float32', (1, 600))


def test_a_missing_barrier_between_two_sums_is_found_by_the_thread_sanitizer():
    needs('thread')
    headers = kernel_files()['lstm.cu'].headers
    text = '#include "common.cuh"\n' + TWO_SUMS
    whole = KernelFile('sums.cu', text, headers)
    faulty = whole._replace(headers={'common.cuh': headers['common.cuh'].replace(
        SECOND, SECOND.replace('__syncthreads();', ''))})
    x = np.zeros(64, np.float32)
    with simulation('random', 2, 'thread'):
        Kernel('k', whole)(x, grid=1, block=64)
        assert x.tolist() == [64 * 63 / 2 + 64] * 64
        with pytest.raises(DeviceError, match=r'data race(.|\n)*common\.cuh:\d+'):
            Kernel('k', faulty)(x, grid=1, block=64)


ADDITION = 'atomicAdd(gW + (long long)id * columns + j, to_float(gy[i * columns + j]));'


def test_a_missing_atomic_is_found_by_the_thread_sanitizer_with_its_line(plant):
    needs('thread')
    file = plant('embedding.cu', ADDITION,
                 'gW[(long long)id * columns + j] += to_float(gy[i * columns + j]);')
    line = line_of(file.text, 'gW[(long long)id * columns + j] += to_float')
    with simulation(sanitizer='thread'), pytest.raises(
            DeviceError, match=rf'data race(.|\n)*embedding\.cu:{line}'):
        registry.check('embedding_gradient_atomic_float32', (6, 5, 2))


def test_a_read_beyond_an_array_is_found_by_the_address_sanitizer_with_its_line(plant):
    needs('address')
    loop = 'for (int j = threadIdx.x; j < columns; j += blockDim.x)\n            atomicAdd'
    file = plant('embedding.cu', loop, loop.replace('j < columns', 'j <= columns'))
    line = line_of(file.text, ADDITION)
    with simulation(sanitizer='address'), pytest.raises(
            DeviceError, match=rf'heap-buffer-overflow(.|\n)*embedding\.cu:{line}'):
        registry.check('embedding_gradient_atomic_float32', (4, 5, 2))


def test_a_write_beyond_an_array_that_an_address_leads_to_is_found(plant):
    needs('address')
    loop = 'scale(array_at<float>(tensors[part[0]]), *factor, whole_block(), part[1], part[2]'
    plant('optimizers.cu', loop, f'{loop} + 1')
    with simulation(sanitizer='address'), pytest.raises(
            DeviceError, match=r'heap-buffer-overflow(.|\n)*optimizers\.cu:\d+'):
        registry.check('scale_gradient_many', (1, 4, 1))


def test_two_blocks_that_take_the_same_part_are_found_by_the_thread_sanitizer(plant):
    needs('thread')
    plant('optimizers.cu', 'parts + 3LL * blockIdx.x; part', 'parts; part')
    with simulation(sanitizer='thread'), pytest.raises(DeviceError, match='data race'):
        registry.check('scale_gradient_many', (133, 16, 0, 5, 9))


def test_an_overflow_of_int_is_found_by_the_sanitizer_of_undefined_behaviour(plant):
    needs('address')
    plant('embedding.cu', 'int id = ids[i];',
          'int id = ids[i] + 0x7fffffff;\n        id -= 0x7fffffff;')
    with simulation(sanitizer='address'), pytest.raises(DeviceError, match='signed integer overf'):
        registry.check('embedding_gradient_atomic_float32', (4, 5, 2))


def test_a_step_beyond_shared_memory_is_found(plant):
    needs('address')
    plant('softmax_cross_entropy.cu', 'SHARED(float, of_warps, 32)', 'SHARED(float, of_warps, 2)',
          'common.cuh')
    with simulation(sanitizer='address'), pytest.raises(DeviceError, match='heap-buffer-overflow'):
        registry.check('softmax_cross_entropy_float32', (2, 40))


def test_an_argument_of_the_wrong_width_is_refused_by_the_simulator():
    """As a Python float without a cast: eight bytes for a float."""
    needs()
    kernel = Kernel('lstm_forward_float32', kernel_files()['lstm.cu'])
    *others, width = kernel.parameters
    kernel.parameters = (*others, Parameter(width.name, 'long long', False, False))
    x = np.zeros((2, 8), np.float32)
    with pytest.raises(DeviceError, match='argument 5 of lstm_forward_float32 takes 4 bytes, got'):
        kernel(x, x[:, :2].copy(), x[:, :2].copy(), x[:, :2].copy(), 2, 2, grid=1)


def test_a_launcher_that_does_not_cast_is_found_by_the_references(monkeypatch):
    needs()
    monkeypatch.setattr(Kernel, 'scalar', lambda self, parameter, value: np.int64(value))
    for name, file in file_of_kernels().items():
        if any(parameter.size == 4 for parameter in file.entry_points()[name]):
            with pytest.raises(DeviceError, match='takes 4 bytes, got 8'):
                registry.check(name, ENTRIES[name][0].sizes[0])

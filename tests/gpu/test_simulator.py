"""The simulator itself: what it must notice, and that CUDA's words have their meaning."""
import os

import numpy as np
import pytest

from minichain.errors import DeviceError, InvalidArgument
from minichain.gpu.launcher import Kernel
from minichain.gpu.simulator import ORDERS, builder, machine, simulation
from minichain.gpu.simulator.builder import missing
from minichain.gpu.sources import KernelFile, kernel_files

HEADERS = kernel_files()['lstm.cu'].headers
pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
WORDS = KernelFile('words.cu', r"""
#include "common.cuh"
extern "C" __global__ void divergent(float *x) {
    if (threadIdx.x < 40) __syncthreads();
    x[threadIdx.x] = 1;
}
extern "C" __global__ void two_barriers(float *x) {
    if (threadIdx.x < 32) __syncthreads();
    else __syncthreads();
    x[threadIdx.x] = 1;
}
extern "C" __global__ void stuck(float *x) {
    if (threadIdx.x < 16) x[0] = __shfl_sync(0x0000ffffu, x[0], 0);
    else if (threadIdx.x < 32) x[1] = __shfl_sync(0xffffffffu, x[1], 0);
}
extern "C" __global__ void left(float *x) {
    if (threadIdx.x == 7) return;
    x[threadIdx.x] = warp_sum(1);
}
extern "C" __global__ void unnamed_lane(float *x) {
    if (threadIdx.x < 16) x[threadIdx.x] = __shfl_sync(0x0000ffffu, x[threadIdx.x], 20);
}
extern "C" __global__ void never_written(float *x) {
    SHARED(float, a, 32);
    DYN_SHARED(float, b);
    x[0] = a[3];
    x[1] = b[3];
}
extern "C" __global__ void lanes(int *x) {
    int i = threadIdx.x, *y = x + 8 * i;
    y[0] = __shfl_sync(0xffffffffu, i, 5);
    y[1] = __shfl_xor_sync(0xffffffffu, i, 3);
    y[2] = __shfl_up_sync(0xffffffffu, i, 2);
    y[3] = __shfl_down_sync(0xffffffffu, i, 2);
    y[4] = __shfl_down_sync(0xffffffffu, i, 3, 8);
    y[5] = (int)__ballot_sync(0xffffffffu, i % 3 == 0);
    y[6] = __any_sync(0xffffffffu, i == 40) * 2 + __all_sync(0xffffffffu, i < 64);
    y[7] = __shfl_sync(0xffffffffu, i, 1, 4);
}
extern "C" __global__ void together(unsigned *barrier, int *x, int *seen) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, n = gridDim.x * blockDim.x;
    for (int round = 1; round <= 3; round++) {
        x[i] = round;
        GRID_SYNC(barrier);
        if (x[n - 1 - i] != round) seen[0] = round;
        GRID_SYNC(barrier);
    }
    atomicAdd(seen + 1, 1);
}
extern "C" __global__ void where(int *x) {
    int b = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    int t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    atomicAdd(x + b * (blockDim.x * blockDim.y * blockDim.z) + t, 1 + b * 100 + t);
}
extern "C" __global__ void order(int *next, int *place) {
    place[blockIdx.x * blockDim.x + threadIdx.x] = atomicAdd(next, 1);
}
extern "C" __global__ void reduced(float *x) {
    float total = block_sum((float)threadIdx.x), highest = block_max(-(float)threadIdx.x);
    x[threadIdx.x] = total + highest;
}
extern "C" __global__ void rounded(const float *x, bfloat16 *y, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) y[i] = from_float<bfloat16>(x[i]);
}
""", HEADERS)


def run(name, *arguments, grid=1, block=64, **how):
    Kernel(name, WORDS)(*arguments, grid=grid, block=block, **how)


@pytest.mark.parametrize('order', ORDERS)
@pytest.mark.parametrize('name, message', [
    ('divergent', 'divergent barrier: 40 threads wait .* line 4, 24 have returned .*divergent'),
    ('two_barriers', 'wait at different __syncthreads, lines'),
    ('stuck', 'deadlock|lane .* which has returned'),
    ('left', 'lane 7, which has returned'),
    ('unnamed_lane', 'a lane that its mask does not name .*kernel unnamed_lane, block 0,0,0, thr'),
])
def test_threads_that_wait_for_what_cannot_come_are_an_error(name, message, order):
    with simulation(order), pytest.raises(DeviceError, match=message):
        run(name, np.zeros(64, np.float32))
    with simulation(order):   # and the next launch is sound
        run('order', np.zeros(1, np.int32), np.zeros(64, np.int32))


def test_a_block_with_part_of_a_warp_cannot_use_all_lanes():
    with pytest.raises(DeviceError, match='a multiple of 32 is needed'):
        run('reduced', np.zeros(40, np.float32), block=40)


def test_shared_memory_that_was_not_written_is_nan():
    x = np.zeros(2, np.float32)
    run('never_written', x, block=1, shared=64)
    assert np.isnan(x).all()
    with pytest.raises(DeviceError, match='the launch gave none'):
        run('never_written', x, block=1)


@pytest.mark.parametrize('order', ORDERS)
def test_lanes_exchange_values_as_in_cuda(order):
    x = np.full((32, 8), -1, np.int32)
    with simulation(order):
        run('lanes', x, block=32)
    i = np.arange(32)
    assert x[:, 0].tolist() == [5] * 32 and x[:, 1].tolist() == (i ^ 3).tolist()
    assert x[:, 2].tolist() == np.where(i < 2, i, i - 2).tolist()
    assert x[:, 3].tolist() == np.where(i > 29, i, i + 2).tolist()
    assert x[:, 4].tolist() == np.where(i % 8 > 4, i, i + 3).tolist()
    assert set(x[:, 5].view(np.uint32).tolist()) == {sum(1 << k for k in range(0, 32, 3))}
    assert x[:, 6].tolist() == [1] * 32 and x[:, 7].tolist() == (i // 4 * 4 + 1).tolist()


@pytest.mark.parametrize('order', ORDERS)
def test_blocks_of_a_cooperative_launch_wait_for_each_other(order):
    seen = np.zeros(2, np.int32)
    with simulation(order):
        run('together', np.zeros(1, np.uint32), np.zeros(96, np.int32), seen, grid=3, block=32,
            cooperative=True)
    assert seen.tolist() == [0, 96]


def test_a_barrier_of_the_grid_needs_a_cooperative_launch():
    with pytest.raises(DeviceError, match='not cooperative'):
        run('together', np.zeros(1, np.uint32), np.zeros(64, np.int32), np.zeros(2, np.int32))


def test_every_thread_of_a_grid_of_three_dimensions_runs_once():
    x = np.zeros((24, 12), np.int32)
    with simulation('random', 3):
        run('where', x, grid=(2, 3, 4), block=(2, 3, 2))
    assert np.array_equal(x, 1 + np.arange(24)[:, None] * 100 + np.arange(12))


def test_threads_take_turns_in_the_order_that_was_asked_for():
    def places(order, seed=0):
        place = np.zeros(24, np.int32)
        with simulation(order, seed):
            run('order', np.zeros(1, np.int32), place, grid=3, block=8)
        return place.tolist()
    assert places('forward') == list(range(24)) and places('reverse') == list(range(24))[::-1]
    assert sorted(places('random')) == list(range(24)) and places('random') == places('random')
    assert len({tuple(places('random', seed)) for seed in range(5)}) == 5


def test_sums_of_a_block_have_the_same_bits_in_any_order():
    results = []
    for order in ORDERS:
        x = np.zeros(96, np.float32)
        with simulation(order):
            run('reduced', x, block=96)
        results.append(x.tolist())
    assert results == [[96 * 95 / 2] * 96] * 3


def test_bfloat16_rounds_to_nearest_even_and_keeps_nan_and_infinity():
    ml_dtypes = pytest.importorskip('ml_dtypes', reason='the reference is ml_dtypes')
    bits = np.random.default_rng(0).integers(0, 2 ** 32, 4000, dtype=np.uint32)
    bits[:6] = 0x3f808000, 0x3f818000, 0x7f800000, 0xff800000, 0x7f7fffff, 0x00000001
    x, y = bits.view(np.float32), np.zeros(4000, np.uint16)
    run('rounded', x, y, len(x))
    with np.errstate(invalid='ignore'):   # of a cast of NaN
        expected = x.astype(ml_dtypes.bfloat16).view(np.uint16)
    number = ~np.isnan(x)
    assert np.array_equal(y[number], expected[number])
    assert np.isnan(y.view(ml_dtypes.bfloat16)[~number].astype(np.float32)).all()


def test_unknown_orders_and_sanitizers_are_refused():
    for how in ({'order': 'sideways'}, {'sanitizer': 'memory'}):
        with pytest.raises(InvalidArgument, match='expected, got'), simulation(**how):
            pass


def test_a_kernel_that_does_not_compile_is_reported_with_its_line():
    broken = KernelFile('broken.cu', '\nextern "C" __global__ void k(int *x) { *x = y; }', {})
    with pytest.raises(DeviceError, match=r'broken.cu does not compile(.|\n)*broken.cu:2'):
        Kernel('k', broken)(np.zeros(1, np.int32), grid=1)


def test_what_was_compiled_may_be_run_from_the_moment_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, 'cache_folder', lambda kind: tmp_path)
    replace, modes = os.replace, []

    def look(source, target):
        modes.append(os.stat(source).st_mode & 0o777)
        replace(source, target)
    monkeypatch.setattr(os, 'replace', look)

    def make(folder):
        (folder / 'out').write_bytes(b'program')
        return folder / 'out'
    path = builder.cached('x', '1', make)
    assert modes == [0o700] and path.read_bytes() == b'program'


def test_a_damaged_file_in_the_cache_is_named(tmp_path):
    path = tmp_path / 'x.cu.0123'
    path.write_bytes(b'damaged')
    with pytest.raises(DeviceError, match=r'damaged(.|\n)*Remove .*x\.cu\.0123'):
        machine.load(path)


def test_without_a_compiler_the_reason_is_told(monkeypatch):
    monkeypatch.setenv('PATH', '')
    with pytest.raises(DeviceError, match=r'g\+\+, which is not on the PATH. Install it'):
        builder.compiler.__wrapped__()

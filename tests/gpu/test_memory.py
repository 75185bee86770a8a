"""What memory reports say, and what happens when memory runs out."""
import gc
import weakref

import numpy as np
import pytest

from minichain.errors import DeviceError
from minichain.gpu import memory
from tests.gpu import fake_cuda

MIB = 1 << 20


@pytest.fixture
def cupy():
    gc.collect()   # pools of tests before
    with fake_cuda.installed() as module:
        yield module


def test_a_report_tells_arrays_pools_and_driver_apart(cupy):
    kept = cupy.empty((MIB,), np.float32)
    pool = memory.PrivatePool('step')
    with pool.using():
        inside = cupy.empty((MIB // 4,), np.float32)
    after = cupy.empty((MIB // 2,), np.float32)
    assert memory.usage() == (7 * MIB, 7 * MIB, MIB, 6 << 30, 8 << 30)
    assert memory.report() == ('GPU memory in MiB: arrays 7.0, pools 7.0 (private 1.0: step 1.0), '
                               'driver 6,144.0 of 8,192.0')
    del pool, inside
    assert memory.report() == ('GPU memory in MiB: arrays 6.0, pools 6.0 (private 0.0), '
                               'driver 6,144.0 of 8,192.0')
    assert kept.nbytes + after.nbytes == 6 * MIB


def test_a_private_pool_is_left_also_by_an_error(cupy):
    pool = memory.PrivatePool('step')
    with pytest.raises(ZeroDivisionError), pool.using():
        raise ZeroDivisionError
    cupy.empty((4,), np.float32)
    assert pool.pool.total_bytes() == 0


def test_memory_that_ran_out_once_is_made_free_and_asked_for_again(cupy):
    cupy.default.fail = 1
    x = memory.with_one_retry(cupy.empty, (4,), np.float32)
    assert (x.shape, cupy.default.freed) == ((4,), 1)


def test_before_the_second_try_arrays_die_that_the_error_or_a_cycle_held(cupy):
    alive, seen = [], []

    def work():
        x = cupy.empty((4,), np.float32)
        cycle = [x]
        cycle.append(cycle)
        alive.append(weakref.ref(x))
        seen.append(alive[0]() is not None)
        return cupy.empty((4,), np.float32) if len(seen) == 2 else cupy.default.malloc(8)

    fail = iter((0, 1, 0, 0))
    malloc = cupy.default.malloc

    def failing(size):
        cupy.default.fail = next(fail)
        return malloc(size)
    fake_cuda._allocators[0] = cupy.default.malloc = failing
    memory.with_one_retry(work)
    assert seen == [True, False]


def test_memory_that_runs_out_twice_is_an_error_with_the_numbers(cupy):
    cupy.default.fail = 2
    with pytest.raises(DeviceError, match=r'allocating 4,000,000 bytes .*arrays 0\.0.*driver '
                                          r'6,144\.0 of 8,192\.0\. Use smaller'):
        memory.with_one_retry(cupy.empty, (1000000,), np.float32)
    assert cupy.default.freed == 1


def test_memory_of_no_pool_that_runs_out_is_seen_as_well_and_other_errors_pass(cupy):
    errors = [fake_cuda.CUDARuntimeError(2), None]

    def work():
        error = errors.pop(0)
        if error:
            raise error
        return 'done'
    assert memory.with_one_retry(work) == 'done'
    errors[:] = [fake_cuda.CUDARuntimeError(700)]
    with pytest.raises(fake_cuda.CUDARuntimeError):
        memory.with_one_retry(work)
    errors[:] = [fake_cuda.CUDARuntimeError(2), KeyError('x')]
    with pytest.raises(KeyError):
        memory.with_one_retry(work)
    assert cupy.default.freed == 2

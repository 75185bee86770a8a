"""Memory for results: nobody shares it, it comes back, it stays within bounds."""
import gc
import os
import threading

import numpy as np
import pytest

from minichain.cpu import results
from minichain.cpu.results import LEAST, Pool, empty

MEGABYTE = 1 << 20


@pytest.fixture
def pool(monkeypatch):
    pool = Pool()
    monkeypatch.setattr(results, '_pool', pool)
    monkeypatch.setattr(results, 'FLOOR', 0)
    return pool


def address(array):
    return array.__array_interface__['data'][0]


@pytest.mark.parametrize('shape, dtype', [
    ((300, 1000), 'float32'), ((2, 3, 400, 500), 'float64'), ((1 << 20,), 'int32'),
    ((700, 1000), np.float16), ((3, 2), 'float32'), ((0, 5), 'float32'), ((), 'float64')])
def test_an_array_is_as_one_of_numpy(pool, shape, dtype):
    array = empty(shape, dtype)
    assert type(array) is np.ndarray and array.shape == shape and array.dtype == dtype
    assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
    array[...] = 3
    assert np.all(array == 3)


def test_memory_comes_back_when_the_last_view_is_gone(pool):
    array = empty((1000, 1000))
    place = address(array)
    view = array[5:].T.reshape(-1)[::2]
    inner = array[7:]
    del array
    others = [empty((1000, 1000)) for _ in range(3)]
    assert place not in map(address, others)
    del view, inner
    assert address(empty((999, 1000))) == place   # of nearly its size


def test_two_results_never_share_memory(pool):
    source, held = np.random.default_rng(0), []
    for mark in range(300):
        if held and source.random() < .5:
            array, expected = held.pop(source.integers(len(held)))
            assert np.all(array == expected)
            del array
        array = empty((int(source.integers(70_000, 700_000)),))
        array[...] = mark
        held.append((array, mark))
    assert all(np.all(array == expected) for array, expected in held)
    assert pool.lent + pool.waiting <= pool.most


def test_what_waits_and_what_is_lent_are_no_more_than_once_was_lent(pool):
    first = [empty((MEGABYTE,)) for _ in range(4)]    # 4 MiB each
    most = pool.most
    del first
    kept = [empty((MEGABYTE // 3,)) for _ in range(9)]
    assert pool.lent + pool.waiting <= most and pool.most == most
    del kept
    large = empty((8 * MEGABYTE,))                     # no block is as large: others make room
    assert pool.lent + pool.waiting <= pool.most and pool.most == max(most, pool.lent)
    assert large.nbytes <= pool.lent < large.nbytes + large.nbytes // 8 + 1


def test_little_may_wait_whatever_was_lent(pool, monkeypatch):
    monkeypatch.setattr(results, 'FLOOR', 24 * MEGABYTE)
    for size in range(1, 6):
        empty((size * MEGABYTE,))    # gone at once
    pool._take_back()
    assert pool.waiting == 20 * MEGABYTE   # that of the last one: 4 + 16 MiB would be too much


def test_a_result_is_laid_out_as_its_operand(pool):
    for axes in (0, 1, 2), (0, 2, 1), (2, 0, 1):
        x = np.ones((70, 80, 90), 'float64').transpose(axes)
        assert results.empty_like(x).strides == np.empty_like(x).strides == x.strides
        assert results.empty_like(x, (2, 3, 4)).shape == (2, 3, 4)
    assert results.empty_like(np.ones((3, 4), 'float16')[:, ::2]).shape == (3, 2)


def test_no_more_than_the_limit_waits(pool, monkeypatch):
    monkeypatch.setattr(results, 'LIMIT', 10 * MEGABYTE)
    arrays = [empty((MEGABYTE,)) for _ in range(5)]
    assert pool.lent == 20 * MEGABYTE
    del arrays
    pool._take_back()
    assert pool.lent == 0 and pool.waiting == 8 * MEGABYTE
    assert empty((4 * MEGABYTE,)).base is None        # larger than the limit: not of the pool


def test_release_gives_back_what_waits_alone(pool):
    held, gone = empty((MEGABYTE,)), empty((MEGABYTE,))
    held[...] = 1
    del gone
    results.release()
    assert (pool.lent, pool.waiting, pool.most) == (4 * MEGABYTE, 0, 4 * MEGABYTE)
    assert np.all(held == 1)


def test_small_results_are_those_of_numpy(pool):
    assert empty((LEAST // 4 - 1,)).base is None and pool.lent == 0


def test_arrays_may_come_and_go_in_many_threads_and_in_the_garbage_collector(pool):
    failed = []

    def work(mark):
        for _ in range(50):
            array = empty((100_000,))
            array[...] = mark
            cycle = [array]
            cycle.append(cycle)
            if not np.all(array == mark):
                failed.append(mark)
            del array, cycle
            gc.collect(0)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    gc.collect()
    pool._take_back()
    assert not failed and pool.lent == 0


def test_a_result_is_there_while_another_thread_is_in_the_pool(pool):
    arrays = []
    with pool._lock:   # a signal's handler, too, finds it so, and must not wait for itself
        thread = threading.Thread(target=lambda: arrays.append(empty((MEGABYTE,))), daemon=True)
        thread.start()
        thread.join(10)
    assert arrays[0].shape == (MEGABYTE,) and pool.lent == 0


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs a system that forks')
def test_a_child_process_has_a_pool_that_no_thread_is_in(pool):
    with pool._lock:
        child = os.fork()
        if not child:
            array = empty((MEGABYTE,))
            os._exit(0 if results._pool.lent >= array.nbytes else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_waits_longest_goes_first(pool):
    arrays = [empty((size * MEGABYTE // 4,)) for size in (1, 2, 4)]
    while arrays:
        del arrays[0]
    pool._take_back()
    pool._drop(5 * MEGABYTE)
    assert pool.waiting == 4 * MEGABYTE   # 1 and 2 are gone, though only 2 was too much

"""Work shared by Python threads, each with a single-threaded BLAS.

BLAS shares out one matrix product; what lies between two products, copies above all, is left to
one processor. Threads that each take some images keep all of them busy. That needs the package
threadpoolctl, ``pip install 'minichain[fast]'``: without it BLAS uses its own threads.
"""
import contextlib
import contextvars
import functools
import importlib
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait

from minichain.cpu import blas_waiting

LEAST = 1 << 23   # multiplications below which a second thread does not pay


def processors():
    """Return how many processors this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _blas():
    """Return the controllers of the BLAS libraries that are loaded; none without the package."""
    try:
        threadpoolctl = importlib.import_module('threadpoolctl')
    except ImportError:
        return ()
    return tuple(threadpoolctl.ThreadpoolController().select(user_api='blas').lib_controllers)


@functools.cache
def _pool():
    blas_waiting.shorten(_blas())
    return ThreadPoolExecutor(max(1, processors() - 1), 'minichain')


_sharing = threading.Lock()   # held while work is shared: by one caller, and not from inside it


def _forget():
    """Make a child process begin anew: it has the lock and the pool, but not their threads."""
    global _sharing
    _sharing = threading.Lock()
    _pool.cache_clear()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_forget)


def count():
    """Return how many threads may compute: as many as BLAS may use, if there are processors."""
    allowed = [library.get_num_threads() for library in _blas()]
    return min(*allowed, processors()) if allowed else 1


@contextlib.contextmanager
def _one_thread_of_blas():
    before = [(library, library.get_num_threads()) for library in _blas()]
    try:
        for library, _ in before:
            library.set_num_threads(1)
        yield
    finally:
        for library, number in before:
            library.set_num_threads(number)


@contextlib.contextmanager
def alone():
    """Let BLAS use one thread inside: for products so small that no thread is to be woken up for
    them, which would then wait busily while work is shared.
    """
    held = _sharing
    if not held.acquire(blocking=False):   # somebody has work shared, and one thread set
        yield
        return
    try:
        with _one_thread_of_blas():
            yield
    finally:
        held.release()


def share(work, items, cost):
    """Call ``work`` with parts of a list, in several threads if that pays; return its results.

    Args:
        work: function of a list; it must not touch what another part writes.
        items: list, cut into parts of equal length.
        cost: number of multiplications in all.
    Raises:
        what ``work`` raises, after all parts have ended.
    """
    if cost < LEAST or len(items) < 2 or not _sharing.acquire(blocking=False):
        return [work(items)]
    held = _sharing
    try:
        parts = min(count(), len(items))
        if parts < 2:
            return [work(items)]
        cuts = [len(items) * i // parts for i in range(parts + 1)]
        with _one_thread_of_blas():
            return _in_threads(work, [items[a:b] for a, b in zip(cuts, cuts[1:])])
    finally:
        held.release()


def _in_threads(work, parts):
    """Return the list of ``work(part)``, each in a thread, those of the pool and this one."""
    results, left = [None] * len(parts), deque(enumerate(parts))

    def run(take):
        while left:
            try:
                number, part = take()
            except IndexError:   # another thread was quicker
                return
            results[number] = work(part)

    others = []
    try:
        for _ in parts[1:]:
            others.append(_pool().submit(contextvars.copy_context().run, run, left.pop))
    except RuntimeError:   # no thread begins once the main one has ended: this one does it all
        pass
    try:
        run(left.popleft)
    finally:
        wait(others)
    for other in others:
        other.result()
    return results

"""Work shared by threads, on a BLAS that only counts."""
import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

from minichain.cpu import threads
from minichain.cpu.threads import LEAST, count, share


class Library:
    """What threadpoolctl makes of a BLAS: a number that is read and set."""

    internal_api = 'one without threads that wait'

    def __init__(self, number):
        self.number, self.history = number, []

    def get_num_threads(self):
        return self.number

    def set_num_threads(self, number):
        self.number = number
        self.history.append(number)


@pytest.fixture
def blas(monkeypatch):
    library = Library(2)
    monkeypatch.setattr(threads, '_blas', lambda: (library,))
    monkeypatch.setattr(threads, 'processors', lambda: 2)
    return library


def test_parts_run_in_two_threads_with_a_single_threaded_blas_and_come_back_in_order(blas):
    both = threading.Barrier(2, timeout=30)

    def work(items):
        both.wait()   # nobody passes unless two threads are here at once
        return items, blas.number, threading.get_ident()

    (first, one, here), (second, other, there) = share(work, list(range(5)), LEAST)
    assert first + second == [0, 1, 2, 3, 4] and abs(len(first) - len(second)) == 1
    assert one == other == 1 and here == threading.get_ident() != there
    assert blas.number == 2 and blas.history == [1, 2]


@pytest.mark.parametrize('items, cost', [([1, 2, 3], LEAST - 1), ([1], 10 * LEAST), ([], LEAST)])
def test_little_work_stays_in_this_thread_and_leaves_blas_alone(blas, items, cost):
    assert share(lambda part: (part, threading.get_ident()), items, cost) == [
        (items, threading.get_ident())]
    assert blas.history == []


def test_no_more_threads_than_blas_was_allowed(blas):
    blas.number = 1
    assert count() == 1
    assert share(list, [1, 2], LEAST) == [[1, 2]] and blas.history == []


def test_no_more_threads_than_processors(blas, monkeypatch):
    monkeypatch.setattr(threads, 'processors', lambda: 1)
    assert share(list, [1, 2], LEAST) == [[1, 2]] and blas.history == []


def test_small_products_are_left_to_one_thread_of_blas_unless_work_is_shared(blas):
    with threads.alone():
        assert blas.number == 1 and share(list, [1, 2], LEAST) == [[1, 2]]
    assert blas.history == [1, 2]

    def work(items):
        with threads.alone():
            return blas.number
    assert share(work, [1, 2], LEAST) == [1, 1] and blas.history == [1, 2] * 2
    with pytest.raises(ZeroDivisionError), threads.alone():
        raise ZeroDivisionError
    assert blas.number == 2


def test_without_a_way_to_limit_blas_it_uses_its_own_threads(monkeypatch):
    monkeypatch.setattr(threads, '_blas', lambda: ())
    assert count() == 1 and share(list, [1, 2], LEAST) == [[1, 2]]


@pytest.mark.parametrize('bad', [0, 3])
def test_an_error_in_any_thread_arrives_and_the_number_is_restored(blas, bad):
    ended = []

    def work(items):
        if bad in items:
            raise ValueError('of the work')
        ended.append(items)

    with pytest.raises(ValueError, match='of the work'):
        share(work, [0, 1, 2, 3], LEAST)
    assert blas.number == 2 and len(ended) == 1
    assert len(share(list, [1, 2], LEAST)) == 2   # and the next call is shared again


def test_work_inside_work_is_not_shared_again(blas):
    results = share(lambda items: share(list, items, LEAST), [1, 2, 3, 4], LEAST)
    assert results == [[[1, 2]], [[3, 4]]] and blas.history == [1, 2]


def test_two_callers_at_once_each_get_their_results(blas):
    inside, go, results = threading.Event(), threading.Event(), []

    def work(items):
        inside.set()
        assert go.wait(30)
        return items

    thread = threading.Thread(target=lambda: results.extend(share(work, [1, 2], LEAST)))
    thread.start()
    assert inside.wait(30)
    assert share(list, [3, 4], LEAST) == [[3, 4]]
    go.set()
    thread.join()
    assert results == [[1], [2]] and blas.number == 2


def test_the_handling_of_floating_point_errors_is_that_of_the_caller(blas):
    def work(items):
        with warnings.catch_warnings():
            return np.geterr()['over']

    with np.errstate(over='raise'):
        assert share(work, [1, 2], LEAST) == ['raise', 'raise']


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs a system that forks')
def test_a_child_process_shares_work_among_threads_of_its_own(blas):
    assert len(share(list, [1, 2], LEAST)) == 2
    with threads._sharing:   # as if another thread were at it
        child = os.fork()
        if not child:
            os._exit(0 if len(share(list, [1, 2], LEAST)) == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_real_package_is_asked_if_it_is_there():
    pytest.importorskip('threadpoolctl', reason="not installed: pip install 'minichain[fast]'")
    assert threads._blas() and 1 <= count() <= threads.processors()


ENDING = """
import atexit, threading
from minichain.cpu import threads

def work():
    print(sum(threads.share(list, [[1], [2], [3]], threads.LEAST), []))

class Library:
    internal_api = 'one without threads'
    def get_num_threads(self):
        return 2
    def set_num_threads(self, number):
        pass

threads._blas, threads.processors = lambda: (Library(),), lambda: 2
{share}
main = threading.main_thread()
threading.Thread(target=lambda: (main.join(), work())).start()
atexit.register(work)
"""


@pytest.mark.parametrize('share', ['', 'work()'])
def test_work_is_done_when_the_main_thread_has_ended(share):
    run = subprocess.run([sys.executable, '-c', ENDING.format(share=share)], text=True,
                         capture_output=True, timeout=60)
    expected = '[[1], [2], [3]]\n' * (3 if share else 2)
    assert (run.stdout, run.stderr) == (expected, '')

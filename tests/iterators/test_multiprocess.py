"""What processes add: they can die, hang, send what cannot be sent, and be left behind."""
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from minichain.errors import InvalidArgument
from minichain.iterators import MultiprocessIterator, WorkerError


class Pids:
    """Examples are (index, process that read it)."""

    def __len__(self):
        return 8

    def __getitem__(self, i):
        return i, os.getpid()


class Deadly(Pids):
    def __getitem__(self, i):
        if i == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return i


class Quitting(Pids):
    def __getitem__(self, i):
        if i == 5:
            os._exit(3)
        return i


class Stuck(Pids):
    def __getitem__(self, i):
        if i == 5:
            time.sleep(60)
        return i


class Raising(Pids):
    def __init__(self, error):
        self.error = error

    def __getitem__(self, i):
        raise self.error


class Unportable(Exception):
    """Pickles, but does not unpickle."""

    def __init__(self, a, b):
        super().__init__(f'{a} and {b}')


class Unsendable(Pids):
    def __getitem__(self, i):
        return lambda: i


class Noisy(Pids):
    def __getitem__(self, i):
        return i, np.random.rand(), random.random()


class Large(Pids):
    def __getitem__(self, i):
        return np.full(300_000, i, np.float64)


def in_order(dataset, batch_size, **kwargs):
    return MultiprocessIterator(dataset, batch_size, shuffle=False,
                                **{'n_processes': 2, **kwargs})


def has_ended(pid):
    return pid not in [child.pid for child in multiprocessing.active_children()]


def test_examples_are_read_by_other_processes_at_once():
    with in_order(Pids(), 4) as iterator:
        indices, pids = zip(*(iterator.next() + iterator.next()))
    assert indices == tuple(range(8))
    assert os.getpid() not in pids
    assert len(set(pids)) == 2


def test_large_examples_are_read_ahead_without_blocking():
    with in_order(Large(), 4, n_prefetch=3) as iterator:
        for _ in range(4):
            first, second, third, fourth = iterator.next()
            assert (first[0], fourth[-1]) in [(0, 3), (4, 7)]
            assert first.shape == second.shape == third.shape == (300_000,)


@pytest.mark.parametrize('dataset, end', [(Deadly(), 'was killed by SIGKILL'),
                                          (Quitting(), 'ended with exit code 3')])
def test_a_worker_that_dies_raises_at_once_and_names_the_example(dataset, end):
    with in_order(dataset, 4) as iterator:
        assert iterator.next() == [0, 1, 2, 3]
        start = time.monotonic()
        for _ in range(2):      # the second time with new workers
            with pytest.raises(WorkerError, match=rf'worker process \d+ {end} while it read '
                                                  'example 5'):
                iterator.next()
        assert time.monotonic() - start < 60
        assert iterator.current_position == 4


def test_workers_killed_while_idle_are_noticed_and_replaced_by_the_next_call():
    with in_order(Pids(), 2, n_processes=1) as iterator:
        pid = iterator.next()[0][1]
        iterator.next()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match=f'worker process {pid} was killed by SIGKILL'):
            for _ in range(4):      # what was read ahead still comes
                place = iterator.current_position
                iterator.next()
        first = iterator.next()[0]
        assert first[0] == place
        assert first[1] != pid


def test_an_example_that_takes_too_long_raises_and_names_it():
    with in_order(Stuck(), 4, dataset_timeout=0.3) as iterator:
        iterator.next()
        with pytest.raises(WorkerError, match=r'no example arrived for 0\.3 seconds: process '
                                              r'\d+ reads example 5'):
            iterator.next()
        assert not multiprocessing.active_children()


def test_an_exception_carries_the_traceback_of_the_worker():
    with in_order(Raising(ZeroDivisionError('by hand')), 2) as iterator:
        with pytest.raises(ZeroDivisionError, match='by hand') as caught:
            iterator.next()
    text = str(caught.value.__cause__)
    assert 'example 0 in worker process' in text
    assert 'in __getitem__' in text
    assert 'raise self.error' in text


def test_a_timeout_of_the_data_set_is_not_taken_for_our_own():
    with in_order(Raising(TimeoutError('the disk is slow')), 2) as iterator:
        with pytest.raises(TimeoutError, match='the disk is slow'):
            iterator.next()


def test_an_exception_that_cannot_travel_becomes_a_worker_error():
    with in_order(Raising(Unportable(1, 2)), 2) as iterator:
        with pytest.raises(WorkerError, match='Unportable: 1 and 2'):
            iterator.next()


def test_an_example_that_cannot_travel_raises():
    with in_order(Unsendable(), 2) as iterator:
        with pytest.raises(Exception, match='object.*lambda'):
            iterator.next()


def test_augmentation_differs_between_examples_and_does_not_depend_on_the_workers():
    def run(n_processes):
        np.random.seed(3)
        with in_order(Noisy(), 4, n_processes=n_processes) as iterator:
            return [example for _ in range(4) for example in iterator.next()]

    once = run(1)
    assert once == run(3)
    assert len({numpy_number for _, numpy_number, _ in once}) == 16
    assert len({python_number for _, _, python_number in once}) == 16


def test_the_random_state_of_the_program_is_left_alone():
    np.random.seed(7)
    expected = np.random.rand()
    np.random.seed(7)
    with in_order(Noisy(), 4) as iterator:
        iterator.next()
    assert np.random.rand() == expected


def test_a_worker_is_replaced_after_maxtasksperchild_examples():
    with in_order(Pids(), 8, n_processes=1, maxtasksperchild=3) as iterator:
        pids = [pid for _, pid in iterator.next() + iterator.next()]
    assert all(pids.count(pid) <= 3 for pid in pids)
    assert len(set(pids)) >= 6


@pytest.mark.parametrize('end', ['finalize', 'forget'])
def test_the_processes_end_with_the_iterator(end):
    iterator = in_order(Stuck(), 4)
    iterator.next()
    pids = [child.pid for child in multiprocessing.active_children()]
    assert len(pids) == 2
    if end == 'finalize':
        iterator.finalize()
    del iterator
    assert all(has_ended(pid) for pid in pids)


@pytest.mark.parametrize('method, last_line', [
    ('fork', 'pass'), ('fork', 'raise SystemExit(0)'), ('fork', 'iterator.finalize()'),
    ('spawn', 'pass'), ('forkserver', 'pass')])
def test_a_program_ends_quietly_with_an_iterator_at_work(tmp_path, method, last_line):
    script = tmp_path / 'script.py'
    script.write_text(textwrap.dedent(f"""
        import multiprocessing, time
        from minichain.iterators import MultiprocessIterator

        class Slow:
            def __len__(self):
                return 8
            def __getitem__(self, i):
                if i > 3:
                    time.sleep(60)
                return i

        if __name__ == '__main__':
            multiprocessing.set_start_method('{method}')
            iterator = MultiprocessIterator(Slow(), 4, shuffle=False, n_processes=1)
            print(iterator.next())
            {last_line}
    """))
    folders = os.pathsep.join([os.getcwd(), *sys.path])
    done = subprocess.run([sys.executable, '-W', 'error', str(script)], capture_output=True,
                          text=True, timeout=30, env={**os.environ, 'PYTHONPATH': folders})
    assert (done.stdout, done.stderr, done.returncode) == ('[0, 1, 2, 3]\n', '', 0)


def test_workers_end_when_the_program_is_killed(tmp_path):
    script = tmp_path / 'script.py'
    script.write_text(textwrap.dedent("""
        import os, signal, sys
        from minichain.iterators import MultiprocessIterator

        class Pids:
            def __len__(self):
                return 8
            def __getitem__(self, i):
                return os.getpid()

        iterator = MultiprocessIterator(Pids(), 8, n_processes=3)
        print(*set(iterator.next() + iterator.next()), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """))
    folders = os.pathsep.join([os.getcwd(), *sys.path])
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True,
                          timeout=30, env={**os.environ, 'PYTHONPATH': folders})
    assert done.returncode == -signal.SIGKILL
    end = time.monotonic() + 60
    for pid in done.stdout.split():
        while _runs(int(pid)):
            assert time.monotonic() < end, f'worker {pid} lives on'
            time.sleep(0.01)


def _runs(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False


@pytest.mark.parametrize('arguments', [
    {'n_processes': 0}, {'n_prefetch': 0}, {'shared_mem': -1}, {'maxtasksperchild': 0},
    {'dataset_timeout': 0}, {'dataset_timeout': 'long'}])
def test_arguments_out_of_range_are_refused_by_name(arguments):
    with pytest.raises(InvalidArgument, match=f'{next(iter(arguments))} .*expected'):
        in_order(Pids(), 1, **arguments)

"""What threads add: reading ahead, and no more than that."""
import threading
import time

import numpy as np
import pytest

from minichain.errors import InvalidArgument
from minichain.iterators import MultithreadIterator


class Watched:
    """Notes which examples were read."""

    def __init__(self, size):
        self.size = size
        self.read = []

    def __len__(self):
        return self.size

    def __getitem__(self, i):
        self.read.append(int(i))
        return int(i)


def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, 'waited for a minute'
        time.sleep(0.001)


def test_exactly_one_batch_is_read_ahead():
    dataset = Watched(20)
    with MultithreadIterator(dataset, 4, shuffle=False) as iterator:
        iterator.next()
        wait_until(lambda: len(dataset.read) == 8)
        time.sleep(0.02)
        assert dataset.read == list(range(8))
        iterator.next()
        wait_until(lambda: len(dataset.read) == 12)
    assert sorted(dataset.read) == list(range(12))


def test_nothing_is_read_ahead_after_the_last_example_without_repeat():
    dataset = Watched(6)
    with MultithreadIterator(dataset, 4, repeat=False, shuffle=False) as iterator:
        assert list(iterator) == [[0, 1, 2, 3], [4, 5]]
        time.sleep(0.02)
    assert sorted(dataset.read) == list(range(6))


def test_reading_ahead_draws_no_random_numbers_before_the_epoch_begins():
    np.random.seed(0)
    with MultithreadIterator(list(range(8)), 4) as iterator:
        iterator.next()
        drawn_by_user = np.random.rand()
        iterator.next()
    np.random.seed(0)
    np.random.permutation(8)
    assert drawn_by_user == np.random.rand()


def test_threads_read_at_the_same_time():
    meeting = threading.Barrier(3, timeout=5)

    class Slow(Watched):
        def __getitem__(self, i):
            meeting.wait()
            return i

    with MultithreadIterator(Slow(3), 3, shuffle=False, n_threads=3, repeat=False) as iterator:
        assert iterator.next() == [0, 1, 2]


def test_the_threads_end_with_the_iterator():
    others = set(threading.enumerate())

    def workers():
        return set(threading.enumerate()) - others

    iterator = MultithreadIterator(list(range(9)), 2, n_threads=3)
    iterator.next()
    assert len(workers()) == 3
    iterator.finalize()
    wait_until(lambda: not workers())
    iterator.next()
    assert len(workers()) == 3
    del iterator
    wait_until(lambda: not workers())


def test_no_threads_are_refused():
    with pytest.raises(InvalidArgument, match='n_threads of at least 1 expected, got 0'):
        MultithreadIterator([1], 1, n_threads=0)

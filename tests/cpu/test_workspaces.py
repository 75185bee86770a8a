"""Scratch memory: used again, apart by name and by thread, bounded."""
import threading

import numpy as np
import pytest

from minichain.cpu import workspaces
from minichain.cpu.workspaces import release, workspace


@pytest.fixture(autouse=True)
def empty():
    release()
    yield
    release()


def kept():
    return sum(map(len, workspaces._memory.blocks.values()))


def test_the_same_name_gives_the_same_memory_in_another_shape_and_dtype():
    first = workspace('a', (4, 6), 'float32')
    second = workspace('a', (2, 5), 'float64')
    assert first.shape == (4, 6) and second.shape == (2, 5) and second.dtype == np.float64
    assert np.shares_memory(first, second)


def test_other_names_and_other_threads_have_other_memory():
    mine, others = workspace('a', (8,)), []
    thread = threading.Thread(target=lambda: others.append(workspace('a', (8,))))
    thread.start()
    thread.join()
    assert not np.shares_memory(mine, workspace('b', (8,)))
    assert not np.shares_memory(mine, others[0])


def test_a_workspace_grows_and_an_empty_one_is_allowed():
    workspace('a', (2,))
    assert workspace('a', (300,)).shape == (300,) and kept() == 1200
    assert workspace('none', (0, 3)).shape == (0, 3)


def test_a_thread_keeps_no_more_than_the_limit(monkeypatch):
    monkeypatch.setattr(workspaces, 'LIMIT', 1000)
    workspace('a', (150,))
    workspace('b', (150,))
    assert kept() == 600
    assert workspace('large', (500,)).shape == (500,) and kept() <= 1000
    for i in range(10):
        workspace(f'many {i}', (60,))
        assert kept() <= 1000


def test_release_gives_the_memory_back():
    workspace('a', (10,))
    release()
    assert kept() == 0

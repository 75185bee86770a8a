"""When oneDNN is used, and that nothing depends on it."""
import functools
import multiprocessing
import sys
import threading

import numpy as np
import pytest

import minichain.functions as F
from minichain import global_config, no_backprop_mode, using_config
from minichain.cpu import onednn
from minichain.cpu.onednn import Refused

needs_library = pytest.mark.skipif(
    not onednn.installed(), reason="oneDNN is not installed: pip install 'minichain[onednn]'")
X = np.random.RandomState(0).uniform(-1, 1, (2, 9, 9, 16)).astype(np.float32).transpose(0, 3, 1, 2)
W = np.random.RandomState(1).uniform(-1, 1, (16, 16, 3, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def use():
    """Have oneDNN taken in all threads."""
    with using_config('use_onednn', 'auto', config=global_config):
        yield


def convolved():
    with no_backprop_mode():
        return F.convolution_2d(X, W).array


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Have the library looked for in an empty folder; return the folder."""
    monkeypatch.setattr(sys, 'prefix', str(tmp_path))
    monkeypatch.setattr(onednn.site, 'getuserbase', lambda: str(tmp_path))
    monkeypatch.setattr(onednn, '_load', functools.cache(onednn._load.__wrapped__))
    return tmp_path


def test_without_the_library_the_plain_path_serves(elsewhere):
    with using_config('use_onednn', 'never'):
        expected = convolved()
    assert not onednn.installed() and not onednn.serves(X)
    np.testing.assert_array_equal(convolved(), expected)


def test_a_file_that_is_no_library_is_passed_over(elsewhere):
    (elsewhere / 'lib').mkdir()
    (elsewhere / 'lib' / 'libdnnl.so.3').write_bytes(b'not a library')
    assert not onednn.installed()


@needs_library
def test_the_switch_turns_it_off():
    assert onednn.serves(X)
    with using_config('use_onednn', 'never'):
        assert not onednn.serves(X)


@needs_library
@pytest.mark.parametrize('x', [X.astype('float64'), X.astype('float16'), X[:0], [1.], None],
                         ids=['float64', 'float16', 'empty', 'list', 'None'])
def test_other_operands_are_not_served(x):
    assert not onednn.serves(X, x)


@needs_library
def test_what_the_library_refuses_is_none():
    def refuse(x):
        raise Refused('not this one')
    assert onednn.attempt(refuse, (X,)) is None
    assert onednn.attempt(lambda x, factor: x * factor, (X,), 2) is not None


@needs_library
def test_layouts_are_equal_if_they_order_memory_equally():
    assert onednn.plain_layout((2, 3, 4, 5)) == onednn.Layout('clone', onednn.plain_layout(
        (2, 3, 4, 5)))
    assert onednn.plain_layout((2, 3, 4, 5)) != onednn.channels_last_layout((2, 3, 4, 5))


@needs_library
def test_memory_is_aligned_to_lines_of_the_cache():
    room = onednn.plain_layout((3, 5, 7, 11)).empty()
    assert room.size == 3 * 5 * 7 * 11 and room.ctypes.data % 64 == 0


@needs_library
def test_channels_are_brought_together_once():
    y = onednn.channels_last(X.copy())
    np.testing.assert_array_equal(y, X)
    assert np.moveaxis(y, 1, -1).flags.c_contiguous and onednn.channels_last(y) is y


@needs_library
def test_an_unknown_operation_is_refused():
    layout = onednn.plain_layout((2, 3))
    with pytest.raises(Refused):   # a copy into another shape
        onednn.reorder(layout, onednn.plain_layout((3, 2)))


@needs_library
def test_threads_may_compute_at_the_same_time():
    expected, results = convolved(), []
    threads = [threading.Thread(target=lambda: results.extend(convolved() for _ in range(20)))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 80
    for y in results:
        np.testing.assert_array_equal(y, expected)


@needs_library
@pytest.mark.skipif('fork' not in multiprocessing.get_all_start_methods(), reason='needs fork')
@pytest.mark.filterwarnings('ignore:.*fork.*:DeprecationWarning')
def test_a_forked_process_takes_the_plain_path():
    expected = convolved()
    context = multiprocessing.get_context('fork')
    queue = context.SimpleQueue()
    process = context.Process(target=lambda: queue.put((onednn.serves(X), convolved())))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    served, y = queue.get()
    assert not served
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)

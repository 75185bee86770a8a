"""What is fetched while a stream goes on; capture and replay are tested in test_capture.py."""
import gc
import weakref

import numpy as np
import pytest

from minichain.gpu.recorders import recorder_for
from tests.gpu import fake_cuda


@pytest.fixture
def cupy():
    with fake_cuda.installed() as module:
        yield module


def test_what_is_fetched_is_what_was_there_at_that_place_of_the_stream(cupy):
    x = cupy.asarray(np.arange(3, dtype=np.int32))
    recorder, seen = recorder_for([x]), []
    with recorder.using_stream():
        copies = recorder.host_array((2, 3), 'int32')
        for copy in copies:
            seen.append(recorder.fetch(copy, x))
            cupy.launch(lambda values: np.add(values, 10, out=values), x)
        assert not recorder.stream.done, 'nothing waits before somebody asks'
        seen[0]()
        assert copies[0].tolist() == [0, 1, 2]
        seen[1]()
        assert copies.tolist() == [[0, 1, 2], [10, 11, 12]]
    recorder.stream.synchronize()
    assert copies.tolist() == [[0, 1, 2], [10, 11, 12]]


def test_memory_of_the_host_is_kept_until_the_copy_that_nobody_waited_for_is_done(cupy):
    x = cupy.asarray(np.arange(3, dtype=np.int32))
    recorder = recorder_for([x])
    copy = recorder.host_array(3, 'int32')
    alive = weakref.ref(copy)
    with recorder.using_stream():
        recorder.fetch(copy, x)
        del copy
        gc.collect()
        assert alive() is not None
        recorder.stream.synchronize()
        recorder.fetch(recorder.host_array(3, 'int32'), x)
    gc.collect()
    assert alive() is None

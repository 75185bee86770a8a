import types

import numpy as np
import pytest

from benchmarks.gpu import clock
from benchmarks.gpu.clock import CudaClock, HostClock, Timed
from minichain.backend import cuda_available, get_device
from minichain.errors import DeviceError
from minichain.gpu.elementwise import relu_gradient
from minichain.gpu.simulator.builder import missing
from tests.benchmarks.gpu.fakes import Gpu


def test_a_gpu_s_time_is_read_from_events_around_the_calls():
    gpu = Gpu()
    cuda = CudaClock(None, gpu.cupy())

    def function():
        gpu.log.append('call')
        gpu.work(2.5)
    assert Timed(function, cuda).time(3) == (7.5e-3, 0.)
    assert gpu.log == ['record', 'call', 'call', 'call', 'record', 'synchronize']


def test_launches_are_what_the_profiler_saw_on_the_gpu(monkeypatch):
    gpu = Gpu()
    cuda = CudaClock(None, gpu.cupy())
    monkeypatch.setattr(clock, 'find_peer', lambda name: gpu.torch(5))
    assert cuda.launches(lambda: gpu.log.append('call')) == 5
    assert gpu.log == ['finish', 'call', 'finish']
    monkeypatch.setattr(clock, 'find_peer', lambda name: gpu.torch(0))
    assert cuda.launches(lambda: None) is None      # it saw nothing, which is no answer
    monkeypatch.setattr(clock, 'find_peer', lambda name: None)
    assert cuda.launches(lambda: None) is None


def test_memory_of_a_gpu_is_what_a_pool_of_its_own_took(monkeypatch):
    class Pool:
        def __init__(self, name):
            self.pool = types.SimpleNamespace(total_bytes=lambda: 4096)

        def using(self):
            return self

        def __enter__(self):
            gpu.log.append('pool')

        def __exit__(self, *_):
            gpu.log.append('back')
    gpu = Gpu()
    monkeypatch.setattr(clock, 'PrivatePool', Pool)
    assert CudaClock(None, gpu.cupy()).memory(lambda: gpu.log.append('call')) == 4096
    assert gpu.log == ['pool', 'call', 'back', 'finish']


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_simulated_kernels_are_counted_and_run_as_before_afterwards():
    device = get_device('sim')
    x, out = (device.send(np.ones(5, 'float32')) for _ in range(2))
    host = HostClock(device)

    def function():
        relu_gradient(x, x, out)
        relu_gradient(x, x, out)
    assert host.launches(function) == 2 and host.launches(lambda: None) == 0
    assert host.seconds(function, 2) > 0 and out.get().tolist() == [1] * 5


def test_memory_of_the_host_is_that_of_arrays_at_most():
    assert 8e6 < HostClock(None).memory(lambda: np.zeros(1_000_000)) < 9e6


@pytest.mark.skipif(cuda_available(), reason='there is a GPU here')
def test_a_gpu_that_is_not_there_is_an_error_that_says_what_is_missing():
    assert isinstance(clock.clock_of('sim'), HostClock)
    with pytest.raises(DeviceError, match='a GPU was asked for'):
        clock.clock_of('cuda')

"""How kernels are handed to CuPy, on a stand-in that records; a real GPU runs test_kernels.py."""
import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain.configuration import using_config
from minichain.errors import DeviceError
from minichain.gpu import launcher, nvrtc
from minichain.gpu.embedding import embedding_gradient
from minichain.gpu.launcher import Kernel
from minichain.gpu.sources import KernelFile
from tests import strict_cupy

SHARED = KernelFile('x.cu', 'extern "C" __global__ void k(float *x, float a) {}', {})


class RawModule:
    """Records as CuPy's would run."""

    loaded = []

    def __init__(self, path, enable_cooperative_groups):
        self.loaded.append((path, enable_cooperative_groups))

    def get_function(self, name):
        def function(grid, block, args, shared_mem):
            function.calls.append((name, grid, block, args, shared_mem))
        function.calls, function.max_dynamic_shared_size_bytes = self.calls, 0
        self.functions.append(function)
        return function


@pytest.fixture
def cupy(monkeypatch):
    RawModule.loaded, RawModule.calls, RawModule.functions = [], [], []
    monkeypatch.setattr(launcher, 'MACHINES', dict(launcher.MACHINES))
    monkeypatch.setattr(nvrtc, 'cubin_path', lambda file, chip: f'/cache/{file.name}.{chip}')
    monkeypatch.setattr(strict_cupy.Device, 'compute_capability', '90', raising=False)
    with strict_cupy.installed() as module:
        module.__dict__['RawModule'] = RawModule
        yield module


def test_a_kernel_is_loaded_once_and_given_arrays_and_numbers_of_its_own_types(cupy):
    gy, ids = cupy.asarray(np.ones((3, 40), np.float32)), cupy.asarray(np.zeros(3, np.int32))
    gW, error = cupy.zeros((5, 40), np.float32), cupy.zeros(1, np.int32)
    for _ in range(2):
        embedding_gradient(gy, ids, gW, error)
    assert RawModule.loaded == [('/cache/embedding.cu.90', False)]
    name, grid, block, arguments, shared = RawModule.calls[1]
    assert (name, grid, block, shared) == (
        'embedding_gradient_atomic_float32', (3, 1, 1), (64, 1, 1), 0)
    assert all(
        got is given for got, given in zip(arguments, (gy, ids, gW, error)))
    assert [type(value) for value in arguments[4:]] == [np.int64, np.int32, np.int32, np.int32]


def test_functions_launch_kernels_on_cupy_arrays_unless_told_not_to(cupy):
    W = minichain.Variable(cupy.ones((5, 4), np.float32))
    for switch in ('fused', 'generic'):
        with using_config('kernels', switch):
            F.sum(F.embed_id(cupy.asarray(np.array([1, 1], np.int32)), W)).backward()
        assert [call[0] for call in RawModule.calls] == ['embedding_gradient_atomic_float32']


def test_more_shared_memory_than_usual_is_asked_for_and_cooperation_loads_another(cupy):
    x = cupy.zeros(4, np.float32)
    kernel = Kernel('k', SHARED)
    kernel(x, 1, grid=1, shared=1000)
    kernel(x, 1, grid=1, shared=100000)
    kernel(x, 1, grid=1, cooperative=True)
    assert [function.max_dynamic_shared_size_bytes for function in RawModule.functions] == [
        100000, 0]
    assert [cooperative for _, cooperative in RawModule.loaded] == [False, True]
    assert [call[4] for call in RawModule.calls] == [1000, 100000, 0]


def test_arrays_of_the_host_and_of_a_gpu_do_not_meet_in_a_kernel(cupy):
    file = KernelFile('x.cu', 'extern "C" __global__ void k(float *x, const float *y) {}', {})
    with pytest.raises(DeviceError, match='y is on the simulator, one before it on GPU 0'):
        Kernel('k', file)(cupy.zeros(4, np.float32), np.zeros(4, np.float32), grid=1)

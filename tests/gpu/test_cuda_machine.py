"""How kernels are handed to CuPy, on a stand-in that records; a real GPU runs test_kernels.py."""
import types

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

TOO_MUCH = 48 * 1024 - 255   # dynamic bytes of shared memory beside 256 static ones
SHARED = KernelFile('x.cu', 'extern "C" __global__ void k(float *x, float a) {}', {})


class DriverError(RuntimeError):
    """As CuPy's CUDADriverError."""


class RawModule:
    """Records as CuPy's would run."""

    loaded = []

    def __init__(self, path, enable_cooperative_groups):
        self.loaded.append((path, enable_cooperative_groups))

    def get_function(self, name):
        def function(grid, block, args, shared_mem):
            function.calls.append((name, grid, block, args, shared_mem))
        function.calls, function.max_dynamic_shared_size_bytes = self.calls, 0
        function.shared_size_bytes = 256   # static
        self.functions.append(function)
        return function


@pytest.fixture
def cupy(monkeypatch):
    RawModule.loaded, RawModule.calls, RawModule.functions = [], [], []
    monkeypatch.setattr(launcher, 'MACHINES', dict(launcher.MACHINES))
    monkeypatch.setattr(nvrtc, 'cubin_path',
                        lambda file, chip, anew: f'/cache/{file.name}.{chip}{".anew" * anew}')
    monkeypatch.setattr(strict_cupy.Device, 'compute_capability', '90', raising=False)
    with strict_cupy.installed() as module:
        module.__dict__['RawModule'] = RawModule
        module.cuda.driver = types.SimpleNamespace(CUDADriverError=DriverError)
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
    kernel(x, 1, grid=1, shared=TOO_MUCH)   # more stays granted
    kernel(x, 1, grid=1, cooperative=True)
    assert [function.max_dynamic_shared_size_bytes for function in RawModule.functions] == [
        100000, 0]
    assert [cooperative for _, cooperative in RawModule.loaded] == [False, True]
    assert [call[4] for call in RawModule.calls] == [1000, 100000, TOO_MUCH, 0]


@pytest.mark.parametrize('shared, asked', [(TOO_MUCH - 1, 0), (TOO_MUCH, TOO_MUCH)])
def test_static_shared_memory_counts_with_what_a_launch_has_without_asking(cupy, shared, asked):
    Kernel('k', SHARED)(cupy.zeros(4, np.float32), 1, grid=1, shared=shared)
    assert RawModule.functions[0].max_dynamic_shared_size_bytes == asked


def test_a_damaged_file_in_the_cache_is_made_anew(cupy, monkeypatch):
    whole = RawModule.get_function

    def get_function(module, name):
        if not RawModule.loaded[-1][0].endswith('.anew'):
            raise DriverError('CUDA_ERROR_INVALID_IMAGE: device kernel image is invalid')
        return whole(module, name)
    monkeypatch.setattr(RawModule, 'get_function', get_function)
    Kernel('k', SHARED)(cupy.zeros(4, np.float32), 1, grid=1)
    assert [path for path, _ in RawModule.loaded] == ['/cache/x.cu.90', '/cache/x.cu.90.anew']
    assert len(RawModule.calls) == 1


def test_arrays_of_the_host_and_of_a_gpu_do_not_meet_in_a_kernel(cupy):
    file = KernelFile('x.cu', 'extern "C" __global__ void k(float *x, const float *y) {}', {})
    with pytest.raises(DeviceError, match='y is on the simulator, one before it on GPU 0'):
        Kernel('k', file)(cupy.zeros(4, np.float32), np.zeros(4, np.float32), grid=1)

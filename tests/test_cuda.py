"""Chainer's cuda module, with a GPU's stand-in and without."""
import numpy as np
import pytest

import minichain
from minichain import backend, cuda
from minichain.errors import DeviceError
from tests import strict_cupy


def test_without_a_gpu_it_says_so_and_everything_is_on_the_dummy_device():
    with strict_cupy.installed(available=False):
        assert cuda.available is False and cuda.cudnn_enabled is False
        assert not isinstance(np.zeros(2), cuda.ndarray)
        for device in (cuda.get_device(), cuda.get_device(-1), cuda.get_device(np.zeros(2)),
                       cuda.get_device_from_id(None), cuda.get_device_from_id(-1),
                       cuda.get_device_from_array(np.zeros(2))):
            assert device == cuda.DummyDevice and int(device) == -1 == device.id
            with device as entered:
                assert entered is device
            device.use()
        assert len({cuda.DummyDevice, cuda.DummyDeviceType()}) == 1
        with pytest.raises(DeviceError):
            cuda.check_cuda_available()
        with pytest.raises(DeviceError):
            cuda.get_device_from_id(0)


def test_with_a_gpu_its_devices_are_those_of_cupy():
    with strict_cupy.installed() as cupy:
        assert cuda.available and cuda.cupy is cupy and cuda.ndarray is cupy.ndarray
        there = cuda.to_gpu(np.arange(3.))
        for device in (cuda.get_device(0), cuda.get_device(there), cuda.get_device_from_id(0),
                       cuda.get_device(np.zeros(1), there),
                       cuda.get_device_from_array(np.zeros(1), minichain.Variable(there))):
            assert type(device) is strict_cupy.Device and device.id == 0
        assert cuda.get_array_module(there) is cupy
        assert type(cuda.to_cpu(there)) is np.ndarray
        cuda.check_cuda_available()


def test_copy_makes_a_new_array_where_it_is_told():
    with strict_cupy.installed() as cupy:
        there = cupy.arange(3.)
        same = cuda.copy(there)
        assert same is not there and same.tolist() == [0, 1, 2] and type(same) is cupy.ndarray
        out = cupy.zeros(3)
        assert cuda.copy(there, out=out) is out and out.tolist() == [0, 1, 2]
        assert type(cuda.copy(there, out_device=0)) is cupy.ndarray


def test_kernels_are_cupys_own_and_need_a_gpu():
    with strict_cupy.installed() as cupy:
        made = []
        cupy.ElementwiseKernel = lambda *args, **kwargs: made.append((args, kwargs)) or 'kernel'
        cupy.ReductionKernel = lambda *args, **kwargs: made.append((args, kwargs)) or 'sum'
        assert cuda.elementwise('T x', 'T y', 'y = x', 'same', no_return=True) == 'kernel'
        assert cuda.reduce('T x', 'T y', 'x', 'a + b', 'y = a', '0', 'sum') == 'sum'
        assert made == [(('T x', 'T y', 'y = x', 'same'), {'no_return': True}),
                        (('T x', 'T y', 'x', 'a + b', 'y = a', '0', 'sum'), {})]
    with strict_cupy.installed(available=False):
        for make in (lambda: cuda.elementwise('', '', '', ''),
                     lambda: cuda.reduce('', '', '', '', '', '', '')):
            with pytest.raises(DeviceError):
                make()


def test_a_name_that_is_not_there_is_named():
    with pytest.raises(AttributeError, match="minichain.cuda has no 'cudnn'"):
        cuda.cudnn  # noqa: B018


def test_the_names_of_backend_are_the_same_objects():
    for name in ('to_cpu', 'to_gpu', 'get_array_module', 'check_cuda_available'):
        assert getattr(cuda, name) is getattr(backend, name)

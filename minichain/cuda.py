"""Chainer's ``cuda`` module: devices and moves under the names that its users know.

``cupy`` is there as an attribute when CuPy is installed; nothing else needs it.
"""
import numpy as np

from minichain import backend
from minichain.backend import (  # noqa: F401  names of this module
    check_cuda_available,
    get_array_module,
    to_cpu,
    to_gpu,
)

cudnn_enabled = False   # CuPy 14 has no cuDNN


class DummyDeviceType:
    """The device of arrays that are on no GPU; a ``with`` block on it does nothing."""

    id = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def use(self):
        """Do nothing."""

    def __int__(self):
        return -1

    def __eq__(self, other):
        return isinstance(other, DummyDeviceType)

    def __hash__(self):
        return -1


DummyDevice = DummyDeviceType()


def __getattr__(name):
    if name == 'available':
        return backend.cuda_available()
    if name == 'cupy':
        return backend.import_cupy()
    if name == 'ndarray':
        return backend.import_cupy().ndarray if backend.cuda_available() else _NoArray
    raise AttributeError(f"minichain.cuda has no '{name}'")


class _NoArray:
    """Stands for ``cupy.ndarray`` where there is no GPU: nothing is an instance of it."""


def get_device_from_id(device_id):
    """Return the CuPy device of a number; of None or a negative one the DummyDevice."""
    if device_id is None or int(device_id) < 0:
        return DummyDevice
    return backend.GpuDevice(int(device_id)).device


def get_device_from_array(*arrays):
    """Return the CuPy device of the first array that is on a GPU, else the DummyDevice."""
    device = backend.get_device_from_array(*arrays)
    return getattr(device, 'device', DummyDevice)


def get_device(*arguments):
    """Return the CuPy device of a number or of arrays, or the DummyDevice (Chainer 1's name)."""
    for argument in arguments:
        if isinstance(argument, (int, np.integer)) and not isinstance(argument, bool):
            return get_device_from_id(argument)
        device = get_device_from_array(argument)
        if device != DummyDevice:
            return device
    return DummyDevice


def elementwise(in_params, out_params, operation, name, **kwargs):
    """Return CuPy's ElementwiseKernel for an elementwise operation in CUDA C."""
    check_cuda_available()
    return backend.import_cupy().ElementwiseKernel(
        in_params, out_params, operation, name, **kwargs)


def reduce(in_params, out_params, map_expr, reduce_expr, post_map_expr, identity, name, **kwargs):
    """Return CuPy's ReductionKernel for a reduction in CUDA C."""
    check_cuda_available()
    return backend.import_cupy().ReductionKernel(
        in_params, out_params, map_expr, reduce_expr, post_map_expr, identity, name, **kwargs)


def copy(array, out=None, out_device=None, stream=None):
    """Return a copy of a CuPy array, in ``out`` or on another GPU where given."""
    if out is not None:
        backend.copyto(out, array)
        return out
    device = backend.get_device_from_array(array) if out_device is None else out_device
    return backend.get_device(device).send(array.copy())

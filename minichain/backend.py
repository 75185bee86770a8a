"""Which library holds an array: NumPy on the CPU, CuPy on a GPU.

Every numerical line of minichain is written once against ``xp``, the module of the arrays it
was handed. Only this file knows that there are two, and a third: the device 'sim', on which code
for GPUs runs without one. Those are imported when they are first asked for: an array can be a CuPy
array only if somebody imported CuPy before.
"""
import contextlib
import functools
import importlib
import re
import sys

import numpy as np

from minichain.errors import DeviceError, InvalidArgument, InvalidType

SIMULATED = 'minichain.gpu.simulator.arrays'   # where the device 'sim' is, on a higher floor


def get_array_module(*arrays):
    """Return ``cupy`` if any argument (array or Variable) lives on a GPU, else ``numpy``.

    (Of arrays on the device 'sim', its array module.)
    """
    cupy, simulated = sys.modules.get('cupy'), sys.modules.get(SIMULATED)
    if cupy is None and simulated is None:
        return np
    for array in arrays:
        array = getattr(array, 'array', array)
        if cupy is not None and isinstance(array, cupy.ndarray):
            return cupy
        if simulated is not None and type(array) is simulated.ndarray:
            return simulated.xp
    return np


def is_array(x):
    """Return whether ``x`` is a NumPy or CuPy array, or one on the device 'sim'."""
    return isinstance(x, np.ndarray) or get_array_module(x) is not np


@functools.cache
def import_cupy():
    """Return the module ``cupy``.

    Raises:
        DeviceError: CuPy is not installed, or does not import.
    """
    try:
        return importlib.import_module('cupy')
    except ImportError as error:
        raise DeviceError(
            f'a GPU was asked for, but CuPy does not import ({error}). Install it with '
            "pip install 'minichain[cuda12]' or 'minichain[cuda13]', or run on the CPU with "
            '--device cpu') from None


@functools.cache
def cuda_available():
    """Return whether CuPy is installed and sees a GPU with a working driver."""
    try:
        return bool(import_cupy().cuda.is_available())
    except DeviceError:
        return False


def check_cuda_available():
    """Raise DeviceError with the reason unless a GPU can be used."""
    cupy = import_cupy()
    if not cuda_available():
        raise DeviceError(
            f'a GPU was asked for, but CuPy {cupy.__version__} finds no GPU with a working CUDA '
            'driver (nvidia-smi shows what the driver sees). Run on the CPU with --device cpu')


class Device:
    """A place for arrays. There are two kinds, :class:`CpuDevice` and :class:`GpuDevice`.

    (And the device 'sim', a GPU that is not there: gpu/simulator/arrays.py.)

    Attributes:
        xp: the array module, ``numpy`` or ``cupy``.
        name: '@numpy' or '@cupy:<number>', which :func:`get_device` accepts again.
        supported_array_types: tuple of array classes that can live there.
    """

    def send(self, arrays):
        """Return ``arrays`` (array, scalar, None, or list, tuple, dict of these) moved here."""
        if isinstance(arrays, (list, tuple)):
            return type(arrays)(self.send(array) for array in arrays)
        if isinstance(arrays, dict):
            return {key: self.send(array) for key, array in arrays.items()}
        return None if arrays is None else self.send_array(arrays)

    def use(self):
        """Make this device the current one of the thread."""

    @contextlib.contextmanager
    def _scope(self):
        yield self

    def __eq__(self, other):
        return isinstance(other, Device) and self.name == other.name

    def __hash__(self):
        return hash(self.name)

    def __deepcopy__(self, memo):
        return self

    def __str__(self):
        return self.name

    def __repr__(self):
        return f'<{type(self).__name__} {self.name}>'


class CpuDevice(Device):
    """The CPU, through NumPy."""

    name = '@numpy'
    xp = np
    supported_array_types = (np.ndarray,)

    @staticmethod
    def from_array(array):
        """Return the CPU device if ``array`` is a NumPy array, else None."""
        return CpuDevice() if isinstance(array, np.ndarray) else None

    def send_array(self, array):
        """Return ``array`` as a NumPy array, copied only if it was on a GPU."""
        if isinstance(array, np.ndarray):
            return array
        return array.get() if is_array(array) else np.asarray(array)


class GpuDevice(Device):
    """One GPU, through CuPy.

    Args:
        device: number of the GPU, or a ``cupy.cuda.Device``.
    Raises:
        DeviceError: there is no such GPU.
    """

    def __init__(self, device=0):
        check_cuda_available()
        self.xp = import_cupy()
        number = int(getattr(device, 'id', device))
        count = self.xp.cuda.runtime.getDeviceCount()
        if not 0 <= number < count:
            raise DeviceError(f'GPU {number} was asked for, but there are {count}: '
                              f'cuda:0 to cuda:{count - 1}')
        self.device = self.xp.cuda.Device(number)

    @staticmethod
    def from_device_id(device_id):
        """Return the GPU with the number ``device_id``."""
        return GpuDevice(device_id)

    @staticmethod
    def from_array(array):
        """Return the GPU that holds ``array``, or None if it is no CuPy array."""
        cupy = sys.modules.get('cupy')
        on_gpu = cupy is not None and isinstance(array, cupy.ndarray)
        return GpuDevice(array.device) if on_gpu else None

    name = property(lambda self: f'@cupy:{self.device.id}')
    supported_array_types = property(lambda self: (self.xp.ndarray,))

    def send_array(self, array):
        """Return ``array`` as a CuPy array on this GPU, copied only if it was elsewhere."""
        with self.device:
            if isinstance(array, self.xp.ndarray) and array.device.id != self.device.id:
                return array.copy()
            return self.xp.asarray(array)

    def use(self):
        self.device.use()

    @contextlib.contextmanager
    def _scope(self):
        with self.device:
            yield self


def get_device(specifier):
    """Return the :class:`Device` that ``specifier`` names.

    Args:
        specifier: 'cpu', 'cuda', 'cuda:1'; Chainer's -1, 0, '-1', '0', '@numpy', '@cupy:0';
            a Device; a ``cupy.cuda.Device``. 'sim': simulated, for tests without a GPU.
    Raises:
        InvalidArgument: none of these.
        DeviceError: a GPU that is not there.
    """
    if isinstance(specifier, Device):
        return specifier
    if hasattr(specifier, 'id') and hasattr(specifier, 'use'):
        return GpuDevice(specifier)
    text = str(specifier).strip().lower()
    if text in ('cpu', '@numpy', '-1'):
        return CpuDevice()
    if text in ('sim', '@sim'):
        return importlib.import_module(SIMULATED).SimulatedDevice()
    gpu = re.fullmatch(r'(?:cuda:|@cupy:)?(\d+)|cuda|gpu|@cupy', text)
    if gpu is None:
        raise InvalidArgument(f'{specifier!r} is not a device; write cpu, cuda, cuda:1, or '
                              "Chainer's -1, 0, @numpy, @cupy:0")
    return GpuDevice(int(gpu.group(1) or 0))


def get_device_from_array(*arrays):
    """Return the Device of the first array (or Variable) that is on a GPU, else the CPU."""
    for array in arrays:
        array = getattr(array, 'array', array)
        if is_array(array) and not isinstance(array, np.ndarray):
            return get_device(array.device)
    return CpuDevice()


@contextlib.contextmanager
def using_device(specifier):
    """Make a device the current one inside a ``with`` block; yields the Device."""
    with get_device(specifier)._scope() as device:
        yield device


def to_cpu(array):
    """Return ``array`` as a NumPy array, copying from the GPU if it is there.

    Raises:
        InvalidType: ``array`` is not an array.
    """
    if array is not None and not is_array(array) and not np.isscalar(array):
        raise InvalidType(f'to_cpu: array expected, got {type(array).__name__}. Of a Variable, '
                          'give .array')
    return CpuDevice().send(array)


def to_gpu(array, device=None):
    """Return ``array`` as a CuPy array on GPU number ``device`` (None: the current one).

    Raises:
        DeviceError: there is no GPU.
    """
    if device is None:
        check_cuda_available()
        device = import_cupy().cuda.runtime.getDevice()
    return get_device(device).send(array)


def copyto(target, source):
    """Copy ``source`` into ``target`` in place, across devices where they differ."""
    device = get_device_from_array(target)
    with using_device(device):
        device.xp.copyto(target, device.send(source))

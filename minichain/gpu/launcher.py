"""Kernels as Python functions: arguments are checked and get the widths that the source declares.

CuPy arrays are worked on by the GPU that holds them, NumPy arrays by the simulator; the code that
launches is the same.
"""
import functools
import operator

import numpy as np

from minichain.backend import get_array_module
from minichain.errors import DeviceError, InvalidArgument, InvalidType
from minichain.gpu import sources
from minichain.gpu.cuda_machine import CudaMachine
from minichain.gpu.signature import DTYPES, SCALARS
from minichain.gpu.simulator import Simulator

# What runs kernels, by the class of the arrays. Another class of arrays gets its row here.
MACHINES = {np.ndarray: Simulator()}
BLOCK = 256          # threads of a block, where a kernel has no reason for another number
MOST_BLOCKS = 4096   # of a grid whose threads stride: several for each of the largest GPU's units


def machine_of(array):
    """Return what runs kernels on arrays of this class.

    Raises:
        InvalidType: it is no array on which kernels work.
    """
    machine = MACHINES.get(type(array))
    if machine is None and type(array) is getattr(get_array_module(array), 'ndarray', None):
        machine = MACHINES[type(array)] = CudaMachine()
    if machine is None:
        raise InvalidType(f'kernels work on CuPy arrays, and on NumPy arrays in the simulator, '
                          f'not on {type(array).__name__}')
    return machine


def blocks_for(count, block=BLOCK):
    """Return how many blocks give each of ``count`` elements a thread, MOST_BLOCKS at most."""
    return min(-(-count // block), MOST_BLOCKS)


def three(size, what, limits):
    """Return a size of a grid or block as three ints within limits."""
    size = size if isinstance(size, tuple) else (size,)
    full = (*size, 1, 1)[:3]
    if len(size) > 3 or not all(isinstance(n, (int, np.integer)) and 0 <= n <= limit
                                for n, limit in zip(full, limits)):
        raise InvalidArgument(f'{what}: up to three sizes within {limits} expected, got {size}')
    return tuple(map(int, full))


class Kernel:
    """One kernel, to be called with its arguments.

    Attributes:
        name: as in the source.
        file: :class:`~minichain.gpu.sources.KernelFile` where it stands.
        parameters: tuple of :class:`~minichain.gpu.signature.Parameter`.
    """

    def __init__(self, name, file):
        self.name, self.file = name, file
        self.parameters = file.entry_points()[name]

    def __call__(self, *arguments, grid, block=BLOCK, shared=0, cooperative=False, reached=()):
        """Launch the kernel; on a GPU return at once, while it runs on CuPy's current stream.

        Args:
            arguments: of the kernel, in order: arrays that are C-contiguous, on one device and of
                the dtypes of the pointers; numbers.
            grid: how many blocks, an int or a tuple of up to three; with a 0, nothing is done.
            block: how many threads each, likewise; their product is at most 1024.
            shared: bytes of dynamic shared memory of a block.
            cooperative: launch so that blocks can wait for each other (GRID_SYNC).
            reached: arrays to which addresses in the arguments lead; nobody checks them.
        Raises:
            InvalidType: number, dtypes, layout or devices of arguments do not fit.
            InvalidArgument: a number does not fit its C type; a size is out of range.
            DeviceError: the device cannot run it.
        """
        if len(arguments) != len(self.parameters):
            raise InvalidType(f'{self.name} takes {len(self.parameters)} arguments '
                              f'({", ".join(map(str, self.parameters))}), got {len(arguments)}')
        values, machine, device = [], None, None
        for parameter, value in zip(self.parameters, arguments):
            if not parameter.pointer:
                values.append(self.scalar(parameter, value))
                continue
            own = machine_of(value)
            contiguous, writeable, place = own.describe(value)
            machine, device = machine or own, device or place
            if own is not machine or place != device:
                raise DeviceError(f'{self.name}: arrays on one device expected; {parameter.name} '
                                  f'is on {place}, one before it on {device}')
            if value.dtype.name not in DTYPES[parameter.c_type]:
                raise InvalidType(f'{self.name}: {parameter} expects dtype '
                                  f'{" or ".join(DTYPES[parameter.c_type])}, got {value.dtype}')
            if not contiguous or not (writeable or parameter.constant):
                raise InvalidType(f'{self.name}: {parameter} expects a C-contiguous '
                                  f'{"" if parameter.constant else "writeable "}array, got one of '
                                  f'shape {value.shape} that is not')
            values.append(value)
        grid = three(grid, f'{self.name}: grid', (2 ** 31 - 1, 65535, 65535))
        block = three(block, f'{self.name}: block', (1024, 1024, 64))
        if not 0 < block[0] * block[1] * block[2] <= 1024:
            raise InvalidArgument(f'{self.name}: from 1 to 1024 threads in a block expected, got '
                                  f'{block}')
        if machine is None:
            raise InvalidType(f'{self.name} has no array among its arguments, so no device')
        if 0 not in grid:
            machine.launch(self, grid, block, values, int(shared), bool(cooperative), reached)

    def scalar(self, parameter, value):
        """Return a number as a NumPy scalar of the parameter's C type."""
        dtype = SCALARS[parameter.c_type]
        try:
            if np.issubdtype(dtype, np.integer):
                return dtype(operator.index(value))
            if isinstance(value, (str, bytes)) or hasattr(value, 'shape') and value.shape:
                raise TypeError('not a number')
            number = float(value) if isinstance(value, (int, float, np.generic)) else None
            if number is None:
                raise TypeError('not a number of the host')
            with np.errstate(over='raise'):
                return dtype(number)
        except (TypeError, ValueError, OverflowError, FloatingPointError) as error:
            raise InvalidArgument(f'{self.name}: {parameter} expects a number that fits its type, '
                                  f'got {value!r} ({error})') from None

    def __repr__(self):
        return f'<kernel {self.name}({", ".join(map(str, self.parameters))}) of {self.file.name}>'


@functools.cache
def kernel(name):
    """Return the :class:`Kernel` of a name; it is compiled when it is first launched.

    Raises:
        InvalidArgument: there is none.
    """
    files = sources.file_of_kernels()
    if name not in files:
        raise InvalidArgument(f'there is no kernel {name!r}; there are {", ".join(sorted(files))}')
    return Kernel(name, files[name])


def storage(array):
    """Return 'float32' or 'bfloat16', the end of the names of kernels that work on such arrays.

    Raises:
        InvalidType: another dtype.
    """
    for name, c_type in (('float32', 'float'), ('bfloat16', 'bfloat16')):
        if array.dtype.name in DTYPES[c_type]:
            return name
    raise InvalidType(f'an array of float32 or bfloat16 expected, got {array.dtype}')

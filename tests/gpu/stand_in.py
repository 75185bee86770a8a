"""Just enough of CuPy, on the CPU's memory, for what talks to a library by addresses."""
import contextlib
import types

import numpy as np

STREAM = 0x5eed


class Device(contextlib.nullcontext):
    id = 0


class Array:
    """An array as CuPy shows it; ``values`` is the NumPy array that it stands for."""

    device = Device()

    def __init__(self, values):
        self.values = np.asarray(values)
        self.data = types.SimpleNamespace(ptr=self.values.ctypes.data)

    def __getattr__(self, name):
        assert name in ('shape', 'strides', 'dtype', 'ndim', 'size', 'nbytes', 'flags'), name
        return getattr(self.values, name)

    def __len__(self):
        return len(self.values)


def cupy(capturing=False):
    """Return a module-like object that remembers the memory it gave out in ``allocated``."""
    allocated = []

    class Memory:
        def __init__(self, size):
            self.values, self.size = np.zeros(size, np.uint8), size
            self.ptr = self.values.ctypes.data
            allocated.append(self)

    stream = types.SimpleNamespace(ptr=STREAM)
    runtime = types.SimpleNamespace(streamIsCapturing=lambda pointer: capturing,
                                    getDeviceProperties=lambda number: {'name': b'Stand-in'})
    return types.SimpleNamespace(
        ndarray=Array, allocated=allocated,
        empty_like=lambda array: Array(np.empty_like(array.values)), cuda=types.SimpleNamespace(
            Memory=Memory, get_current_stream=lambda: stream, runtime=runtime))

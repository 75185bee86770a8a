"""Launches kernels on NVIDIA GPUs: machine code from the cache, loaded and started by CuPy."""
import numpy as np

from minichain.backend import import_cupy
from minichain.gpu import nvrtc

WITHOUT_ASKING = 48 * 1024   # bytes of shared memory, static and dynamic, of every launch


def architecture(device):
    """Return the compute capability of a ``cupy.cuda.Device``, as 90."""
    return int(device.compute_capability)


class CudaMachine:
    """Runs kernels on CuPy arrays, on the GPU that holds them and on CuPy's current stream."""

    def __init__(self):
        self.functions, self.granted = {}, {}

    def describe(self, array):
        """Return (contiguous, writeable, device) of an array."""
        return array.flags.c_contiguous, True, f'GPU {array.device.id}'

    def address(self, array):
        """Return where an array begins."""
        return array.data.ptr

    def launch(self, kernel, grid, block, arguments, shared, cooperative, reached=()):
        """Start a kernel; arguments are as of the simulator's ``launch``."""
        device = next(value.device for value in arguments if not isinstance(value, np.generic))
        with device:
            function = self.function(kernel, device, cooperative)
            if (shared and shared + function.shared_size_bytes > WITHOUT_ASKING
                    and shared > self.granted.get(function, 0)):
                function.max_dynamic_shared_size_bytes = self.granted[function] = shared
            function(grid, block, tuple(arguments), shared_mem=shared)

    def function(self, kernel, device, cooperative):
        """Return a kernel as CuPy starts it on a device, the current one."""
        key = kernel, device.id, cooperative
        if key not in self.functions:
            try:
                self.functions[key] = load(kernel, device, cooperative)
            except import_cupy().cuda.driver.CUDADriverError:   # the file in the cache is damaged
                self.functions[key] = load(kernel, device, cooperative, anew=True)
        return self.functions[key]


def load(kernel, device, cooperative, anew=False):
    """Return a kernel from the cache, or compiled ``anew``, as CuPy starts it on this device."""
    path = nvrtc.cubin_path(kernel.file, architecture(device), anew)
    module = import_cupy().RawModule(path=str(path), enable_cooperative_groups=cooperative)
    return module.get_function(kernel.name)

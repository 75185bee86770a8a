"""Launches kernels on NVIDIA GPUs: machine code from the cache, loaded and started by CuPy."""
import numpy as np

from minichain.backend import import_cupy
from minichain.gpu import nvrtc

WITHOUT_ASKING = 48 * 1024   # bytes of dynamic shared memory that every launch may have


def architecture(device):
    """Return the compute capability of a ``cupy.cuda.Device``, as 90."""
    return int(device.compute_capability)


class CudaMachine:
    """Runs kernels on CuPy arrays, on the GPU that holds them and on CuPy's current stream."""

    def __init__(self):
        self.functions = {}

    def describe(self, array):
        """Return (contiguous, writeable, device) of an array."""
        return array.flags.c_contiguous, True, f'GPU {array.device.id}'

    def launch(self, kernel, grid, block, arguments, shared, cooperative):
        """Start a kernel; arguments are as of the simulator's ``launch``."""
        device = next(value.device for value in arguments if not isinstance(value, np.generic))
        with device:
            function = self.function(kernel, device, cooperative)
            if shared > max(WITHOUT_ASKING, function.max_dynamic_shared_size_bytes):
                function.max_dynamic_shared_size_bytes = shared
            function(grid, block, tuple(arguments), shared_mem=shared)

    def function(self, kernel, device, cooperative):
        """Return a kernel as CuPy starts it on a device, the current one."""
        key = kernel, device.id, cooperative
        if key not in self.functions:
            path = nvrtc.cubin_path(kernel.file, architecture(device))
            module = import_cupy().RawModule(path=str(path),
                                             enable_cooperative_groups=cooperative)
            self.functions[key] = module.get_function(kernel.name)
        return self.functions[key]

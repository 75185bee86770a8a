"""A strict stand-in for CuPy, so that every function's GPU path runs without a GPU.

Its arrays are those of the device 'sim' under another name, so what CuPy refuses is refused. No
kernels run on them: that is what the device 'sim' is for.
"""
import contextlib
import sys
import types

from minichain import backend
from minichain.configuration import global_config, using_config
from minichain.gpu.simulator import arrays


class ndarray(arrays.ndarray):
    device = property(lambda self: Device(0))


class Device:
    """GPU number 0, the only one."""

    def __init__(self, device=0):
        self.id = int(device or 0)

    def use(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *args):
        pass

    def __eq__(self, other):
        return self.id == other.id

    def __hash__(self):
        return self.id


def _module(available=True):
    module = arrays.Module('cupy', ndarray)
    runtime = types.SimpleNamespace(getDeviceCount=lambda: 1, getDevice=lambda: 0,
                                    memGetInfo=lambda: (1 << 30, 1 << 31))
    pool = types.SimpleNamespace(used_bytes=lambda: 0, total_bytes=lambda: 0)
    vars(module).update(
        __version__='14.0 (strict stand-in)', get_default_memory_pool=lambda: pool,
        cuda=types.SimpleNamespace(is_available=lambda: available, runtime=runtime, Device=Device))
    return module


@contextlib.contextmanager
def installed(available=True):
    """Make ``import cupy`` give the stand-in; with ``available`` False it finds no driver."""
    before = sys.modules.get('cupy')
    sys.modules['cupy'] = module = _module(available)
    backend.import_cupy.cache_clear()
    backend.cuda_available.cache_clear()
    try:
        with using_config('kernels', 'generic', global_config):
            yield module
    finally:
        del sys.modules['cupy']
        if before is not None:
            sys.modules['cupy'] = before
        backend.import_cupy.cache_clear()
        backend.cuda_available.cache_clear()

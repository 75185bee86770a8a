"""NVIDIA's shared libraries by ctypes: found, opened when first used, called with checked types.

A library is looked for in its wheel (``nvidia/*/lib`` on the import path), in a CUDA toolkit
(``CUDA_PATH``, ``CUDA_HOME``, ``/usr/local/cuda``), then where the system's loader looks. One made
for CuPy's own major version of CUDA goes before others: a newer one may ask for a newer driver.
"""
import ctypes
import functools
import glob
import importlib.util
import os
import sys
import threading
from typing import NamedTuple

from minichain.backend import import_cupy
from minichain.errors import DeviceError

TOOLKIT = '/usr/local/cuda'     # where it stands if nothing else is said
WORKSPACE = 32 << 20   # bytes, for each stream of each device; what NVIDIA advises for Hopper


class Library(NamedTuple):
    """What there is to know about a shared library before it is opened.

    Attributes:
        versions: its major versions that will do, the best first.
        wheels: what to install, for the message to those who lack it.
    """

    versions: tuple
    wheels: str


LIBRARIES = {
    'cublasLt': Library((13, 12), 'nvidia-cublas (CUDA 13) or nvidia-cublas-cu12 (CUDA 12)'),
    'cudnn': Library((9,), "'minichain[cudnn13]' (CUDA 13) or 'minichain[cudnn12]' (CUDA 12)"),
    'nvrtc': Library((13, 12), "'minichain[cuda13]' (or cuda12), or nvidia-cuda-nvrtc"),
}


def candidates(name):
    """Return where the library may be, best first: paths that exist, then names for the loader."""
    major = _cuda_major()
    versions = sorted(LIBRARIES[name].versions, key=lambda version: version != major)
    folders = []
    nvidia = importlib.util.find_spec('nvidia')
    for place in (nvidia.submodule_search_locations or () if nvidia else ()):
        folders += sorted(glob.glob(os.path.join(glob.escape(place), '*', 'lib')))
    toolkits = [os.environ.get('CUDA_PATH'), os.environ.get('CUDA_HOME'), TOOLKIT]
    folders += [os.path.join(toolkit, part) for toolkit in dict.fromkeys(toolkits) if toolkit
                for part in ('lib64', 'lib')]
    files = [f'lib{name}.so.{version}' for version in versions]
    paths = [os.path.join(folder, file) for file in files for folder in folders]
    return [path for path in paths if os.path.exists(path)] + files


def _cuda_major():
    """Return the major version of the CUDA that CuPy was built for, None before it is loaded."""
    cupy = sys.modules.get('cupy')
    return cupy.cuda.runtime.runtimeGetVersion() // 1000 if cupy is not None else None


@functools.cache
def open_library(name):
    """Return the ``ctypes.CDLL`` of a library.

    Args:
        name: a key of LIBRARIES.
    Raises:
        DeviceError: none is there, or none of those there can be opened.
    """
    reasons = []
    for path in candidates(name):
        try:
            return ctypes.CDLL(path)
        except OSError as error:
            reasons.append(str(error))
    raise DeviceError(f'{name}: no shared library that can be opened ({"; ".join(reasons)}). '
                      f'Install it with pip install {LIBRARIES[name].wheels}')


def available(name):
    """Return whether a library can be opened."""
    try:
        return bool(open_library(name))
    except DeviceError:
        return False


def declare(library, name, prototypes, reason):
    """Give functions the types of their arguments, and let a failed status raise.

    ctypes passes what is undeclared as a 32-bit int, silently; a declared function refuses what
    does not fit.

    Args:
        library: ctypes.CDLL.
        name: of the library, for messages.
        prototypes: dict, name of a function that returns a status -> tuple of ctypes types.
        reason: callable that says in words what a status that is not 0 means.
    Returns:
        library.
    Raises:
        DeviceError: a function is missing. Later, from any declared function: it failed.
    """
    for function_name, types in prototypes.items():
        try:
            function = getattr(library, function_name)
        except AttributeError:
            raise DeviceError(f'{name}: {library} has no function {function_name}; it is of '
                              'another version than this binding. Install '
                              f'{LIBRARIES[name].wheels}') from None
        function.argtypes, function.restype = types, ctypes.c_int
        function.errcheck = functools.partial(_check, f'{name}: {function_name}', reason)
    return library


def _check(what, reason, status, function, arguments):
    if status:
        raise DeviceError(f'{what} failed: {reason(status)}')


class Handle:
    """Something that a library made, and destroys when this object dies; functions take it.

    Args:
        create: function whose first argument is where to write the handle.
        destroy: function that takes the handle; None for what lasts as long as the process, since
            at its end the driver may be gone before the handle.
        arguments: further arguments of ``create``.
    """

    def __init__(self, create, destroy, *arguments):
        self._destroy = None
        self._as_parameter_ = ctypes.c_void_p()
        create(ctypes.byref(self._as_parameter_), *arguments)
        self._destroy = destroy

    def __del__(self):
        if self._destroy is not None:
            self._destroy(self._as_parameter_)


def stream_address(stream):
    """Return the address of a CuPy stream, of what is one already, of the current one for None."""
    stream = import_cupy().cuda.get_current_stream() if stream is None else stream
    return getattr(stream, 'ptr', stream)


def is_capturing():
    """Return whether a graph is being captured on CuPy's current stream."""
    return bool(import_cupy().cuda.runtime.streamIsCapturing(stream_address(None)))


_workspaces = {}
_lock = threading.Lock()


def workspace_of(device, stream, workspace=None):
    """Return (address, bytes) of memory that libraries may overwrite on a stream.

    Args:
        device: CuPy's Device, the current one.
        stream: address.
        workspace: CuPy array; None: the 32 MiB that the stream has, made when first asked for.
    """
    if workspace is not None:
        return workspace.data.ptr, workspace.nbytes
    with _lock:
        if (device.id, stream) not in _workspaces:
            # Not of a pool: a graph that is captured in a private pool must not own it.
            _workspaces[device.id, stream] = import_cupy().cuda.Memory(WORKSPACE)
        return _workspaces[device.id, stream].ptr, WORKSPACE

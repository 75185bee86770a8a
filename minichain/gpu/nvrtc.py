"""NVRTC, the CUDA compiler that is a library, through ctypes: from source text to machine code.

It needs neither a driver nor a GPU, and comes with ``cupy-cuda13x[ctk]``, with the wheel
``nvidia-cuda-nvrtc`` or with a CUDA toolkit.
"""
import ctypes
import functools
import re
from typing import NamedTuple

from minichain._atomic import write_atomically
from minichain.errors import DeviceError
from minichain.gpu.libraries import open_library
from minichain.gpu.sources import cache_folder

OPTIONS = ('--std=c++17', '--generate-line-info', '--ptxas-options=-v')


class Compiled(NamedTuple):
    """What NVRTC made of a file: ``cubin`` (bytes), ``ptx`` and ``log`` (str)."""

    cubin: bytes
    ptx: str
    log: str


class Resources(NamedTuple):
    """What one kernel needs: registers a thread, static shared and spilled bytes."""

    registers: int
    shared: int
    spilled: int


@functools.cache
def library():
    """Return NVRTC, loaded.

    Raises:
        DeviceError: it is not installed, or cannot be opened.
    """
    nvrtc = open_library('nvrtc')
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
    return nvrtc


def check(status):
    if status:
        raise DeviceError(f'NVRTC: {library().nvrtcGetErrorString(status).decode()}')


@functools.cache
def version():
    """Return the version of NVRTC, (major, minor)."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    check(library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return major.value, minor.value


@functools.cache
def architectures():
    """Return what NVRTC compiles for, as (75, 80, ..., 120)."""
    count = ctypes.c_int()
    check(library().nvrtcGetNumSupportedArchs(ctypes.byref(count)))
    numbers = (ctypes.c_int * count.value)()
    check(library().nvrtcGetSupportedArchs(numbers))
    return tuple(numbers)


def output(program, what):
    """Return the log, PTX or cubin of a compiled program, bytes."""
    size = ctypes.c_size_t()
    check(getattr(library(), f'nvrtcGet{what}Size')(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(max(1, size.value))
    check(getattr(library(), f'nvrtcGet{what}')(program, buffer))
    return buffer.raw[:size.value]


def compile_file(file, architecture):
    """Compile a :class:`~minichain.gpu.sources.KernelFile`.

    Args:
        file: what to compile.
        architecture: compute capability without a point, as 90; of :func:`architectures`.
    Returns:
        :class:`Compiled`.
    Raises:
        DeviceError: NVRTC is missing, does not know the architecture, or finds an error.
    """
    if architecture not in architectures():
        raise DeviceError(f'NVRTC {version()[0]}.{version()[1]} compiles for '
                          f'{", ".join(f"sm_{number}" for number in architectures())}, not for '
                          f'sm_{architecture}. Another version of nvidia-cuda-nvrtc may')
    nvrtc, program = library(), ctypes.c_void_p()
    names = [name.encode() for name in file.headers]
    texts = [text.encode() for text in file.headers.values()]
    strings = ctypes.c_char_p * len(names)
    check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), file.text.encode(), file.name.encode(),
                                   len(names), strings(*texts), strings(*names)))
    try:
        options = [f'--gpu-architecture=sm_{architecture}'.encode(), *map(str.encode, OPTIONS)]
        status = nvrtc.nvrtcCompileProgram(program, len(options),
                                           (ctypes.c_char_p * len(options))(*options))
        log = output(program, 'ProgramLog').rstrip(b'\0').decode(errors='replace')
        if status:
            raise DeviceError(f'{file.name} does not compile for sm_{architecture}:\n{log}')
        ptx = output(program, 'PTX').rstrip(b'\0').decode()
        return Compiled(output(program, 'CUBIN'), ptx, log)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def cubin_path(file, architecture, anew=False):
    """Return the path of the machine code of a file, compiled if the cache does not have it.

    Or compiled in any case, ``anew``: whoever could not load what is there asks for that.

    Its name holds a digest of the source, its headers, the architecture, the compiler's version
    and the options, so that what is found there never is of another source.

    Raises:
        DeviceError: as of :func:`compile_file`.
        FileError: the cache cannot be written.
    """
    digest = file.digest(str(architecture), str(version()), *OPTIONS)
    path = cache_folder('cubins') / f'{file.name}.sm_{architecture}.{digest}.cubin'
    if anew or not path.exists():
        write_atomically(path, compile_file(file, architecture).cubin)
    return path


def resources(log):
    """Return dict from kernel to :class:`Resources`, read from the log of a compilation."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        name = part[:part.index("'")]
        registers, = re.findall(r'Used (\d+) registers', part)
        stores, loads = re.findall(r'(\d+) bytes spill stores, (\d+) bytes spill loads', part)[0]
        shared = re.findall(r'(\d+) bytes smem', part)
        found[name] = Resources(int(registers), int(shared[0]) if shared else 0,
                                int(stores) + int(loads))
    return found


def parameter_sizes(ptx):
    """Return dict from kernel to the bytes that each of its parameters takes, read from PTX."""
    return {name: tuple(int(bits) // 8 for bits in re.findall(r'\.param\s+\.[a-z](\d+)', body))
            for name, body in re.findall(r'\.entry\s+(\w+)\s*\(([^)]*)\)', ptx)}

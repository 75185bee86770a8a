"""Launches kernels in the simulator: within this process, or apart under a sanitizer."""
import contextlib
import ctypes
import functools
import struct
import subprocess
import threading

import numpy as np

from minichain.errors import DeviceError, InvalidArgument
from minichain.gpu.simulator.builder import VARIANTS, build, prefix
from minichain.gpu.simulator.tape import perform

ORDERS = ('forward', 'reverse', 'random')
SECONDS = 300   # that a launch under a sanitizer may take
# What a report of a sanitizer does to the program; symbols are found without another program.
ENVIRONMENT = {
    'ASAN_OPTIONS': 'exitcode=66:detect_leaks=0',
    'UBSAN_OPTIONS': 'exitcode=66:print_stacktrace=1',
    'TSAN_OPTIONS': 'exitcode=66:halt_on_error=1:report_signal_unsafe=0',
}


class Launch(ctypes.Structure):
    """How a kernel is launched: Launch of scheduler.h."""

    _fields_ = [('grid', ctypes.c_uint * 3), ('block', ctypes.c_uint * 3),
                ('shared', ctypes.c_ulonglong), ('cooperative', ctypes.c_int),
                ('order', ctypes.c_int), ('seed', ctypes.c_uint)]


class Settings(threading.local):
    """How launches of this thread are simulated, as :func:`simulation` set it."""

    order, seed, sanitizer = 'forward', 0, None


settings = Settings()
lock = threading.Lock()   # one launch at a time: the scheduler has but one current thread


@contextlib.contextmanager
def simulation(order='forward', seed=0, sanitizer=None):
    """Choose, within a ``with`` block, how kernels are simulated.

    Args:
        order: in which threads and blocks take turns, 'forward', 'reverse' or 'random'. A kernel
            whose result depends on it has a race.
        seed: of the random order.
        sanitizer: None; 'address' looks for accesses outside of arrays and for undefined
            behaviour, 'thread' for races, by line. Much slower.
    Raises:
        InvalidArgument: none of these.
    """
    if order not in ORDERS or sanitizer not in VARIANTS:
        raise InvalidArgument(f'an order of {ORDERS} and a sanitizer of {tuple(VARIANTS)} '
                              f'expected, got {order!r} and {sanitizer!r}')
    before = settings.order, settings.seed, settings.sanitizer
    settings.order, settings.seed, settings.sanitizer = order, seed, sanitizer
    try:
        yield
    finally:
        settings.order, settings.seed, settings.sanitizer = before


@functools.cache
def load(path):
    try:
        return ctypes.CDLL(str(path)).cusim_launch
    except OSError as error:
        raise DeviceError(f'simulator: what was compiled before is damaged ({error}). Remove '
                          f'{path}, and it is compiled again') from None


class Simulator:
    """Runs kernels on arrays in the memory of this process.

    Args:
        memory: gives the NumPy array that an array is or holds; None: it is one.
    """

    def __init__(self, memory=None):
        self.memory = memory or (lambda array: array)

    def describe(self, array):
        """Return (contiguous, writeable, device) of an array."""
        flags = self.memory(array).flags
        return flags.c_contiguous, flags.writeable, 'the simulator'

    def address(self, array):
        """Return where an array begins."""
        return self.memory(array).ctypes.data

    def launch(self, kernel, grid, block, arguments, shared, cooperative, reached=()):
        """Run a kernel to its end.

        Args:
            kernel: :class:`~minichain.gpu.launcher.Kernel`.
            grid, block: three ints each.
            arguments: arrays, and numbers as NumPy scalars of the C types.
            shared: bytes of dynamic shared memory.
            cooperative: whether blocks may wait for each other.
            reached: arrays to which addresses in the arguments lead.
        Raises:
            DeviceError: threads wait for what cannot come, arguments do not fit what was
                compiled, or a sanitizer has a report.
        """
        how = Launch(grid, block, shared, cooperative, ORDERS.index(settings.order), settings.seed)
        arguments = [value if isinstance(value, np.generic) else self.memory(value)
                     for value in arguments]
        program = build(kernel.file, settings.sanitizer)
        run = self.launch_here if settings.sanitizer is None else launch_apart
        tables = [position for position, parameter in enumerate(kernel.parameters)
                  if parameter.c_type == 'address']
        perform(run, program, kernel.name, how, arguments, tables,
                [self.memory(array) for array in reached])

    def launch_here(self, program, name, how, arguments, tables, reached):
        data = [value.tobytes() if isinstance(value, np.generic)
                else struct.pack('=Q', value.ctypes.data) for value in arguments]
        pointers = (ctypes.c_char_p * len(data))(*data)
        sizes = (ctypes.c_int * len(data))(*map(len, data))
        message = ctypes.create_string_buffer(1024)
        with lock:
            failed = load(program)(name.encode(), ctypes.byref(how), pointers, sizes, len(data),
                                   message, len(message))
        if failed:
            raise DeviceError(f'simulator: {message.value.decode()}')


def spans(arrays):
    """Return the stretches of memory that arrays cover, as sorted lists [start, end].

    Arrays that overlap share a stretch, so that they do in another process too.
    """
    merged = []
    for start, end in sorted({(array.ctypes.data, array.ctypes.data + array.nbytes)
                              for array in arrays}):
        if merged and start < merged[-1][1]:
            merged[-1][1] = max(end, merged[-1][1])
        elif end > start:
            merged.append([start, end])
    return merged


def launch_apart(program, name, how, arguments, tables, reached):
    """Run one launch in a process of its own, and copy the arrays there and back.

    Args:
        tables: positions of the arguments that hold addresses, which are others there.
        reached: arrays to which these lead.
    """
    arrays = [value for value in arguments if not isinstance(value, np.generic)]
    memory = spans([*arrays, *reached])
    buffers = [(ctypes.c_char * (end - start)).from_address(start) for start, end in memory]

    def place(address):
        """Return (number of the stretch, offset in it) of an address; (-1, 0): nowhere."""
        return next(((i, address - start) for i, (start, end) in enumerate(memory)
                     if start <= address < end), (-1, 0))
    words = []
    for value in arguments:
        if isinstance(value, np.generic):
            bits = int.from_bytes(value.tobytes(), 'little')
            words.append(f'{value.itemsize} -1 {bits}')
        else:
            words.append('8 {} {}'.format(*place(value.ctypes.data)))
    moved = [(*place(arguments[position].ctypes.data + 8 * k), *place(address))
             for position in tables
             for k, address in enumerate(arguments[position].ravel().tolist())]
    moved = [' '.join(map(str, each)) for each in moved if each[2] >= 0]
    head = ' '.join(map(str, [name, *how.grid, *how.block, how.shared, how.cooperative, how.order,
                              how.seed, len(buffers), len(words), len(moved)]))
    lengths = ' '.join(str(end - start) for start, end in memory)
    text = ' '.join(part for part in (head, lengths, *words, *moved) if part)
    stdin = b'\n'.join([text.encode(), b''.join(buffers)])
    try:
        done = subprocess.run([*prefix(), str(program)], capture_output=True, timeout=SECONDS,
                              env=ENVIRONMENT, input=stdin)
    except subprocess.TimeoutExpired:
        raise DeviceError(f'simulator: {name} was not done after {SECONDS} seconds') from None
    if done.returncode or len(done.stdout) != sum(map(len, buffers)):
        raise DeviceError(f'simulator: {name} failed (exit code {done.returncode}):\n'
                          f'{done.stderr.decode(errors="replace")}')
    position = 0
    for buffer in buffers:
        buffer[:] = done.stdout[position:position + len(buffer)]
        position += len(buffer)

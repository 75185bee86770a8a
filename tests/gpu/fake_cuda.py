"""CuPy's streams, events, pools and graphs on the CPU, as lazy as CUDA may be.

What is put on a stream is done only when somebody waits for it, and then no more than he waits
for. So whoever forgot to wait reads NaN, or what was overwritten. ``log`` holds the calls.
"""
import contextlib
import ctypes
import sys
import types
import weakref

import numpy as np

from minichain import backend


class CUDARuntimeError(RuntimeError):
    def __init__(self, status, words='cudaError'):
        super().__init__(words)
        self.status = status


class OutOfMemoryError(MemoryError):
    def __init__(self, size, total, limit=0):
        super().__init__(f'Out of memory allocating {size:,} bytes (allocated so far: {total:,} '
                         'bytes).')


class Event:
    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.stream, self.mark = None, 0

    def record(self, stream=None):
        stream = stream or Stream.current[-1]
        assert not stream.capturing, 'an event was recorded on a stream that is captured'
        self.stream, self.mark = stream, stream.given
        Stream.log.append(('record', stream.name))

    @property
    def done(self):
        return self.stream is None or self.stream.done >= self.mark

    def synchronize(self):
        Stream.log.append(('synchronize', self.stream.name if self.stream else None))
        if self.stream is not None:
            self.stream.run_to(self.mark)


class Stream:
    """A queue; ``given`` counts what was put in, ``done`` what was worked off."""

    log, current, number = [], [], 0

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.non_blocking = non_blocking
        Stream.number += 1
        self.name, self.ptr = f'stream {Stream.number}' if not null else 'null', Stream.number
        self.queue, self.given, self.done, self.capturing = [], 0, 0, None

    def __enter__(self):
        Stream.current.append(self)
        return self

    def __exit__(self, *_):
        assert Stream.current.pop() is self

    def put(self, operation):
        if self.capturing is not None:
            self.capturing.append(operation)
            return
        self.queue.append(operation)
        self.given += 1

    def run_to(self, mark):
        while self.done < mark:
            operation = self.queue[self.done]
            self.queue[self.done] = None
            self.done += 1
            operation()

    def synchronize(self):
        if self.capturing is not None:
            raise CUDARuntimeError(900, 'cudaErrorStreamCaptureUnsupported: operation not '
                                        'permitted when stream is capturing')
        Stream.log.append(('synchronize', self.name))
        self.run_to(self.given)

    def record(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event):
        Stream.log.append(('wait', self.name, event.stream.name if event.stream else None))
        if event.stream is not None:
            self.put(lambda stream=event.stream, mark=event.mark: stream.run_to(mark))

    def begin_capture(self, mode=None):
        assert self.non_blocking and self.capturing is None
        Stream.log.append(('begin_capture', self.name))
        self.capturing = []

    def end_capture(self):
        assert self.capturing is not None
        Stream.log.append(('end_capture', self.name))
        operations, self.capturing = self.capturing, None
        return Graph(operations)

    def is_capturing(self):
        return self.capturing is not None


class Graph:
    def __init__(self, operations):
        self.operations = operations

    def launch(self, stream=None):
        stream = stream or Stream.current[-1]
        Stream.log.append(('launch', stream.name))
        for operation in self.operations:
            stream.put(operation)


class UnownedMemory:
    def __init__(self, ptr, size, owner, device_id=-1):
        self.ptr, self.size, self.owner = ptr, size, owner


class Chunk:
    """Memory of a pool, NaN when it is given out; it stays readable, as freed memory does."""

    kept = []

    def __init__(self, size):
        memory = np.full(-(-size // 4) + 64, np.nan, np.float32)
        self.kept.append(memory)
        self.size, self.ptr = size, -(-memory.ctypes.data // 256) * 256


class MemoryPointer:
    def __init__(self, mem, offset):
        self.mem, self.ptr = mem, mem.ptr + offset

    def __add__(self, offset):
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)

    def copy_from_host_async(self, mem, size, stream=None):
        self._copy('from_host', mem, size, stream)

    def copy_from_device_async(self, src, size, stream=None):
        self._copy('from_device', src.ptr, size, stream)

    def copy_to_host_async(self, mem, size, stream=None):
        self._copy('to_host', self.ptr, size, stream, mem)

    def _copy(self, what, source, size, stream, target=None):
        stream, target = stream or Stream.current[-1], target or self.ptr
        Stream.log.append((what, stream.name, source, size))
        stream.put(lambda: ctypes.memmove(target, source, size))


class MemoryPool:
    def __init__(self, allocator=None):
        self.chunks, self.freed, self.fail = weakref.WeakSet(), 0, 0

    def malloc(self, size):
        if self.fail:
            self.fail -= 1
            raise OutOfMemoryError(size, self.used_bytes())
        chunk = Chunk(size)
        self.chunks.add(chunk)
        return MemoryPointer(chunk, 0)

    def free_all_blocks(self, stream=None):
        self.freed += 1

    def used_bytes(self):
        return sum(chunk.size for chunk in self.chunks)

    total_bytes = used_bytes


class ndarray:
    """An array whose operations go to the current stream; ``values`` is what is there by now."""

    def __init__(self, shape, dtype=float, memptr=None):
        self.shape = shape if isinstance(shape, tuple) else (shape,)
        self.dtype, self.device = np.dtype(dtype), Device(0)
        self.size = int(np.prod(self.shape))
        self.nbytes = self.size * self.dtype.itemsize
        self.data = memptr or _allocators[-1](max(self.nbytes, 1))
        self.flags = types.SimpleNamespace(c_contiguous=True)

    @property
    def values(self):
        return self.reader()()

    def reader(self):
        """Return a function that reads the memory; as a kernel, it does not keep the array."""
        pointer, shape, dtype, size = self.data.ptr, self.shape, self.dtype, self.size

        def read():
            memory = (ctypes.c_char * (size * dtype.itemsize)).from_address(pointer)
            return np.frombuffer(memory, dtype, size).reshape(shape)
        return read

    def get(self):
        Stream.current[-1].synchronize()
        return self.values.copy()

    def copy(self):
        result = ndarray(self.shape, self.dtype)
        launch(np.copyto, result, self)
        return result

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, index):
        start, stop, step = index.indices(len(self))
        assert step == 1 and len(self.shape) == 1
        return ndarray(stop - start, self.dtype, self.data + start * self.dtype.itemsize)

    def __setitem__(self, index, value):
        if index is Ellipsis:
            launch(np.copyto, self, value)
        else:
            launch(lambda values: values.__setitem__(index, value), self)


def launch(function, *arrays):
    """Put ``function`` of the arrays' values on the current stream."""
    readers = [x.reader() if isinstance(x, ndarray) else (lambda x=x: x) for x in arrays]
    Stream.current[-1].put(lambda: function(*(read() for read in readers)))


class Device:
    def __init__(self, device=0):
        self.id = int(device)

    def __eq__(self, other):
        return self.id == other.id

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


_allocators = []


@contextlib.contextmanager
def using_allocator(allocator=None):
    _allocators.append(allocator)
    try:
        yield
    finally:
        _allocators.pop()


def asarray(values, dtype=None):
    """Copy from the host as CuPy does, through pinned memory."""
    if isinstance(values, ndarray):
        return values
    values = np.ascontiguousarray(values, dtype)
    _pinned[-1](values.nbytes)
    result = ndarray(values.shape, values.dtype)
    launch(np.copyto, result, values.copy())
    return result


def _pinned_memory(size):
    return np.full(size, 255, np.uint8)


_pinned = []


@contextlib.contextmanager
def installed(total=8 << 30):
    """Make ``import cupy`` give this stand-in, with one GPU of ``total`` bytes."""
    module, default = types.ModuleType('cupy'), MemoryPool()
    Stream.log, Stream.current, Stream.number = [], [Stream(null=True)], 0
    _allocators[:], _pinned[:] = [default.malloc], [_pinned_memory]
    runtime = types.SimpleNamespace(
        getDevice=lambda: 0, getDeviceCount=lambda: 1, memGetInfo=lambda: (total // 4, total),
        CUDARuntimeError=CUDARuntimeError)
    module.__dict__.update(
        __version__='14 (lazy stand-in)', ndarray=ndarray, asarray=asarray, log=Stream.log,
        empty=ndarray, empty_like=lambda x: ndarray(x.shape, x.dtype), launch=launch,
        default=default, get_default_memory_pool=lambda: default,
        get_default_pinned_memory_pool=lambda: types.SimpleNamespace(malloc=_pinned_memory),
        cuda=types.SimpleNamespace(
            is_available=lambda: True, runtime=runtime, Device=Device, Stream=Stream, Event=Event,
            MemoryPool=MemoryPool, MemoryPointer=MemoryPointer, UnownedMemory=UnownedMemory,
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            using_allocator=using_allocator, get_current_stream=lambda: Stream.current[-1],
            alloc_pinned_memory=lambda size: _pinned[-1](size),
            set_pinned_memory_allocator=lambda allocator: _pinned.__setitem__(-1, allocator)))
    before = sys.modules.get('cupy')
    sys.modules['cupy'] = module
    backend.import_cupy.cache_clear()
    backend.cuda_available.cache_clear()
    try:
        yield module
        assert len(Stream.current) == len(_allocators) == 1
    finally:
        Chunk.kept.clear()
        del sys.modules['cupy']
        if before is not None:
            sys.modules['cupy'] = before
        backend.import_cupy.cache_clear()
        backend.cuda_available.cache_clear()

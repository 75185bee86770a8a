"""How steps are recorded and replayed: as CUDA graphs, and on the device 'sim'.

Read ``capture.py`` first. Both recorders have the same methods, so what captures steps is tested
without a GPU.
"""
import contextlib
import gc
import sys
import threading
import types

import numpy as np

from minichain.backend import import_cupy
from minichain.errors import DeviceError
from minichain.gpu.memory import PrivatePool, with_one_retry
from minichain.gpu.simulator import arrays as simulated
from minichain.gpu.simulator.tape import recording
from minichain.gpu.transfer import Transfer


def recorder_for(things):
    """Return a recorder for the device of the first array on one, or None."""
    cupy = sys.modules.get('cupy')
    for thing in things:
        if type(thing) is simulated.ndarray:
            return SimulatedRecorder(thing.device)
        if cupy is not None and isinstance(thing, cupy.ndarray):
            return CudaRecorder(thing.device)
    return None


class CudaRecorder:
    """Graphs of a GPU, recorded and launched on a stream of its own.

    Args:
        device: ``cupy.cuda.Device``.
    """

    def __init__(self, device):
        self._device, self._transfer, self._fetched = device, None, []
        cuda = import_cupy().cuda
        with device:
            # Not the null stream, which cannot be captured and waits for all others.
            self.stream = cuda.Stream(non_blocking=True)
            self._given, self._done = (cuda.Event(disable_timing=True) for _ in range(2))

    def using_device(self):
        """Return a context in which the GPU is the current one."""
        return self._device

    @contextlib.contextmanager
    def using_stream(self):
        """Work on the stream; what was given to the current one is done before, later after."""
        current = import_cupy().cuda.get_current_stream()
        self._given.record(current)
        self.stream.wait_event(self._given)
        try:
            with self.stream:
                yield
        finally:
            self._done.record(self.stream)
            current.wait_event(self._done)

    def send(self, arrays):
        """Return arrays, at any depth of tuples, lists and dicts, with those of the host sent."""
        if self._transfer is None:
            self._transfer = Transfer()
        return self._transfer.send(arrays)

    def pool(self, name):
        """Return memory for one recorded step; it has the method ``using``."""
        return PrivatePool(name)

    def empty(self, shape, dtype):
        """Return a new array."""
        return import_cupy().empty(shape, dtype)

    def copy(self, target, source):
        """Copy between arrays of one shape on the GPU."""
        if source.flags.c_contiguous:
            target.data.copy_from_device_async(source.data, source.nbytes, self.stream)
        else:
            target[...] = source

    def host_array(self, shape, dtype):
        """Return a new array of the host, in pinned memory, for :meth:`fetch`."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        pinned = import_cupy().cuda.alloc_pinned_memory(size)
        return np.frombuffer(pinned, np.uint8, size).view(dtype).reshape(shape)

    def fetch(self, target, source):
        """Begin to copy an array, as it is at this place of the stream, to one of
        :meth:`host_array`; return a function that waits until it is there."""
        source.data.copy_to_host_async(target.ctypes.data, source.nbytes, self.stream)
        copied = import_cupy().cuda.Event(disable_timing=True)
        copied.record(self.stream)
        # Memory that nobody waited for may not be given to others before.
        self._fetched = [pair for pair in self._fetched if not pair[0].done]
        self._fetched.append((copied, target))
        return copied.synchronize

    def record(self, pool, prepare, run):
        """Record what ``run()`` puts on the stream; it is not done.

        Args:
            prepare: called before, and once more before a second attempt.
        Returns:
            (graph, result of ``run``).
        """
        return with_one_retry(self._record, pool, prepare, run)

    def _record(self, pool, prepare, run):
        prepare()
        gc.collect()
        collects = gc.isenabled()
        gc.disable()   # a destructor might use the stream
        try:
            with pool.using(), _no_host_memory():
                self.stream.begin_capture()
                try:
                    results = run()
                except BaseException:
                    # It has to end in any case; CUDA may say again that it failed.
                    with contextlib.suppress(Exception):
                        self.stream.end_capture()
                    raise
                return self.stream.end_capture(), results
        finally:
            if collects:
                gc.enable()

    def replay(self, graph):
        """Put all of a graph on the stream."""
        graph.launch(self.stream)


class SimulatedRecorder:
    """Recorded steps of the device 'sim'; the methods are those of :class:`CudaRecorder`."""

    def __init__(self, device):
        self._device = device

    def using_device(self):
        return contextlib.nullcontext()

    using_stream = using_device

    def send(self, arrays):
        if isinstance(arrays, (tuple, list)):
            return type(arrays)([self.send(value) for value in arrays])
        if isinstance(arrays, dict):
            return {key: self.send(value) for key, value in arrays.items()}
        return self._device.send(arrays) if isinstance(arrays, np.ndarray) else arrays

    def pool(self, name):
        return types.SimpleNamespace(using=contextlib.nullcontext)

    def empty(self, shape, dtype):
        return self._device.xp.empty(shape, dtype)

    def copy(self, target, source):
        target[...] = source

    def host_array(self, shape, dtype):
        return np.empty(shape, dtype)

    def fetch(self, target, source):
        target[...] = source.get()
        return lambda: None

    def record(self, pool, prepare, run):
        prepare()
        # Values are not to be looked at: rates are brought there before the replay only.
        with simulated.no_waiting(), np.errstate(all='ignore'), recording() as tape:
            results = run()
        return tape, results

    def replay(self, graph):
        graph.replay()


@contextlib.contextmanager
def _no_host_memory():
    """Refuse copies from the host, which a replay would make from memory that is gone.

    CuPy makes them through pinned memory; another thread may go on. Afterwards pinned memory comes
    from CuPy's default pool.
    """
    cupy = import_cupy()
    thread, malloc = threading.get_ident(), cupy.get_default_pinned_memory_pool().malloc

    def refuse(size):
        if threading.get_ident() == thread:
            raise DeviceError('an array of the host is copied to the GPU within the step; make it '
                              'part of the batch, or send it once before')
        return malloc(size)
    cupy.cuda.set_pinned_memory_allocator(refuse)
    try:
        yield
    finally:
        cupy.cuda.set_pinned_memory_allocator(malloc)

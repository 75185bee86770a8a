"""From the host to a GPU beside the computation: pinned memory, a stream that copies, events.

Three things may not happen, and CUDA reports none of them: that the host writes where a copy still
reads, that a kernel reads what is not there yet, and that a copy overwrites what a kernel still
reads. An event stands before each.
"""
import weakref

import numpy as np

from minichain.backend import import_cupy
from minichain.errors import InvalidArgument, InvalidType
from minichain.gpu.memory import PrivatePool, with_one_retry

SLOTS = 3         # one is filled, one is copied, one waits for its turn
ALIGNMENT = 256   # bytes; as cudaMalloc aligns


class Transfer:
    """Sends arrays to a GPU; for use by one thread.

    ::

        transfer = Transfer()
        images, tokens = transfer.send((images, tokens))

    Each call uses the next of three slots of pinned memory and waits for the copy that was made
    from it three calls before. What is given is copied there at once and may be changed after the
    call. Dtypes stay: send images as uint8, a quarter of the bytes, and let the GPU convert them.

    Args:
        stream: CuPy stream that copies; None: one of its own. It must not be the one that
            computes, or nothing overlaps.
    Raises:
        DeviceError: there is no CuPy.
    """

    def __init__(self, stream=None):
        cupy = import_cupy()
        self.device = cupy.cuda.Device(cupy.cuda.runtime.getDevice())
        self.stream = cupy.cuda.Stream(non_blocking=True) if stream is None else stream
        self._pool = PrivatePool('transfer')
        self._slots = [_Slot() for _ in range(SLOTS)]
        self._turn = 0
        self._free = []   # device buffers that no array lies in

    def send(self, arrays, compute_stream=None):
        """Return arrays on the GPU with the values of ``arrays``; the copy may still run.

        Args:
            arrays: NumPy array, or tuple, list or dict of these, at any depth; whatever else is
                in there stays as it is.
            compute_stream: the CuPy stream that will read the result; None: the current one. Let
                another stream that reads it wait for this one, and this one for the other.
        Returns:
            ``arrays`` with CuPy arrays in place of NumPy's. They lie in memory that is used again
            once they and all views of them are gone.
        Raises:
            InvalidType: an array is of objects or texts.
            DeviceError: the GPU has too little memory.
        """
        sources = []
        _replace(arrays, lambda array: sources.append(array) or array)
        if not sources:
            return arrays
        staged = self.reserve([(array.shape, array.dtype) for array in sources])
        for target, source in zip(staged.arrays, sources):
            np.copyto(target, source)
        results = iter(staged.send(compute_stream))
        return _replace(arrays, lambda array: next(results))

    def reserve(self, layout):
        """Return a :class:`Staged`: pinned arrays to be filled, as by a decoder, and sent.

        Args:
            layout: list of (shape, dtype).
        Raises:
            InvalidType: a dtype is of objects or texts.
            InvalidArgument: all slots are reserved and not sent.
        """
        layout = [(shape, np.dtype(dtype)) for shape, dtype in layout]
        for shape, dtype in layout:
            if dtype.kind not in 'biufcV' or dtype.hasobject:
                raise InvalidType(f'Transfer: an array of numbers expected, got {dtype} {shape}')
        with self.device:
            slot = self._slots[self._turn]
            if slot.reserved() is not None:
                raise InvalidArgument(f'Transfer: {SLOTS} slots are reserved and not sent; send '
                                      'one first')
            staged = Staged(self, slot, layout)
            self._turn = (self._turn + 1) % SLOTS
        return staged

    def buffer(self, size):
        """Return device memory into which the copying stream may write; the stream is current."""
        fitting = [each for each in self._free if each.size >= size]
        if fitting:
            buffer = min(fitting, key=lambda each: each.size)
            self._free.remove(buffer)
            # What read this memory before does so on its own stream, perhaps still.
            self.stream.wait_event(buffer.consumed)
            return buffer
        for each in self._free:   # batches have grown
            each.consumed.synchronize()
        self._free.clear()
        self._pool.pool.free_all_blocks()
        return _Buffer(with_one_retry(self._pool.pool.malloc, _room(size)), _room(size))

    def give_back(self, buffer, compute_stream):
        """Take note that no array lies in a buffer any more; kernels may still read it."""
        with self.device:
            buffer.consumed.record(compute_stream)
        self._free.append(buffer)


class Staged:
    """Arrays in pinned memory that wait to be filled and sent.

    Attributes:
        arrays: list of NumPy arrays, writeable until :meth:`send`; not to be kept after it.
    """

    def __init__(self, transfer, slot, layout):
        self.offsets, self.size = [], 0
        for shape, dtype in layout:
            self.offsets.append(self.size)
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            self.size += -(-size // ALIGNMENT) * ALIGNMENT
        memory = slot.memory_for(self.size)
        self.arrays = [np.ndarray(shape, dtype, memory, offset)
                       for (shape, dtype), offset in zip(layout, self.offsets)]
        self._transfer, self._slot = transfer, slot
        slot.reserved = weakref.ref(self)

    def send(self, compute_stream=None):
        """Start the copy, one for all arrays, and return CuPy arrays; once. See Transfer.send."""
        if self._slot is None:
            raise InvalidArgument('Staged.send: these arrays were sent; reserve others')
        cupy, transfer, slot, stream = (
            import_cupy(), self._transfer, self._slot, self._transfer.stream)
        with transfer.device:
            compute_stream = compute_stream or cupy.cuda.get_current_stream()
            with stream:
                buffer = transfer.buffer(self.size)
            lease = _Lease()
            weakref.finalize(lease, transfer.give_back, buffer, compute_stream).atexit = False
            pointer = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(
                buffer.pointer.ptr, buffer.size, lease, transfer.device.id), 0)
            try:
                pointer.copy_from_host_async(slot.address, self.size, stream)
            finally:
                slot.event.record(stream)
                slot.reserved, self._slot = _nobody, None
            compute_stream.wait_event(slot.event)
            return [cupy.ndarray(array.shape, array.dtype, pointer + offset)
                    for array, offset in zip(self.arrays, self.offsets)]


class _Slot:
    """Pinned memory; ``event`` happens when the last copy from it is done."""

    def __init__(self):
        self.event = import_cupy().cuda.Event(block=True, disable_timing=True)
        self.memory = np.zeros(0, np.uint8)
        self.reserved = _nobody

    address = property(lambda self: self.memory.ctypes.data)

    def memory_for(self, size):
        """Return at least ``size`` bytes, once no copy reads them; of an event never recorded
        CUDA says that it is done."""
        self.event.synchronize()
        if self.memory.size < max(size, 1):
            room = _room(size)
            pinned = import_cupy().cuda.alloc_pinned_memory(room)
            self.memory = np.frombuffer(pinned, np.uint8, room)
        return self.memory


class _Buffer:
    """Device memory; ``consumed`` happens when all that read the arrays in it is done."""

    def __init__(self, pointer, size):
        self.pointer, self.size = pointer, size
        self.consumed = import_cupy().cuda.Event(disable_timing=True)


class _Lease:
    """Kept by the memory of arrays that lie in one buffer, so that it dies with the last."""


def _nobody():
    return None


def _room(size):
    """Return a size with reserve, so that batches that differ a little fit."""
    return 1 << max(size - 1, ALIGNMENT - 1).bit_length()


def _replace(tree, function):
    """Return tuples, lists and dicts with ``function`` applied to the NumPy arrays in them."""
    if isinstance(tree, np.ndarray):
        return function(tree)
    if isinstance(tree, (tuple, list)):
        return type(tree)([_replace(value, function) for value in tree])
    if isinstance(tree, dict):
        return {key: _replace(value, function) for key, value in tree.items()}
    return tree

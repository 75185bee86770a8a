"""Memory for results, used again when the arrays that lay in it are gone.

The system clears memory page by page as it is first touched, which takes longer than the
arithmetic of most functions. Blocks that are free again wait here for the next results. What is
lent and what waits are together no more than what was once lent at the same time, or FLOOR.
"""
import collections
import itertools
import math
import os
import threading
import weakref

import numpy as np

LEAST = 1 << 17    # bytes below which the C library has memory at hand
LIMIT = 1 << 30    # bytes that may wait
FLOOR = 64 << 20   # bytes lent and waiting that nobody minds
_CLASSES = 8       # capacities between a power of two and the next
_ALIGNMENT = 64    # bytes


class _Lease(weakref.ref):
    """Learns that an array, and with it all views of it, is gone.

    Attributes:
        block: the memory that it lay in, a memoryview.
    """

    __slots__ = ('block',)


class Pool:
    """Blocks of memory.

    Attributes:
        lent: bytes of blocks in which arrays lie.
        waiting: bytes of blocks that are free.
        most: the most bytes that were lent at once.
    """

    def __init__(self):
        self.lent = self.waiting = self.most = 0
        self._free = {}                           # capacity: [(age, block)], the oldest first
        self._ages = itertools.count()
        self._leases = {}                         # id: lease, which keeps it alive
        self._returned = collections.deque()      # an array may go at any moment, in any thread
        self._lock = threading.Lock()

    def lend(self, size):
        """Return an array of bytes that no other array shares.

        It is an ordinary one while another thread, or what a signal interrupted, is in here.
        """
        capacity = _capacity(size)
        if not self._lock.acquire(blocking=False):
            return np.empty(size, np.uint8)
        try:
            self._take_back()
            block = self._choose(capacity)
            if block is None:
                self._drop(self._room() - capacity)
                block = _allocate(capacity)
            self.lent += len(block)
            self.most = max(self.most, self.lent)
            array = np.frombuffer(block, np.uint8, size)   # no array, so that views keep this one
            lease = _Lease(array, self._returned.append)
            lease.block = block
            self._leases[id(lease)] = lease
        finally:
            self._lock.release()
        return array

    def release(self):
        """Give back to the system what waits."""
        with self._lock:
            self._take_back()
            self._drop(0)
            self.most = self.lent

    def _take_back(self):
        while self._returned:
            lease = self._returned.popleft()
            del self._leases[id(lease)]
            self._free.setdefault(len(lease.block), []).append((next(self._ages), lease.block))
            self.lent -= len(lease.block)
            self.waiting += len(lease.block)
        self._drop(LIMIT)

    def _room(self):
        """Return how many bytes may wait."""
        return max(FLOOR, self.most) - self.lent

    def _choose(self, capacity):
        """Take a free block of this capacity, or a larger one where there is no room for more."""
        size = min((size for size in self._free if capacity <= size <= 2 * capacity), default=0)
        if size == capacity or (size and self.waiting + capacity > self._room()):
            return self._remove(size, -1)
        return None

    def _drop(self, most):
        """Let blocks go until no more than some bytes wait."""
        while self.waiting > max(0, most):
            self._remove(min(self._free, key=lambda size: self._free[size][0]), 0)

    def _remove(self, size, place):
        blocks = self._free[size]
        _, block = blocks.pop(place)
        if not blocks:
            del self._free[size]
        self.waiting -= size
        return block


def _allocate(capacity):
    block = np.empty(capacity + _ALIGNMENT, np.uint8)
    start = -block.ctypes.data % _ALIGNMENT
    return memoryview(block)[start:start + capacity]


def _capacity(size):
    """Round up, so that results of nearly one size can lie in one block."""
    step = 1 << max(0, (size - 1).bit_length() - 1 - int(math.log2(_CLASSES)))
    return -(-size // step) * step


_pool = Pool()


def _forget():
    """Make a child process begin anew: the thread that was in the pool is not there to leave."""
    global _pool
    _pool = Pool()


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(after_in_child=_forget)


def in_memory_order(x):
    """Return the view of an array whose axes are in the order of its strides, and these axes."""
    axes = sorted(range(x.ndim), key=lambda axis: -x.strides[axis])
    return x.transpose(axes), axes


def empty(shape, dtype='float32'):
    """Return an array with any values, as ``numpy.empty`` does, for a function's result."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if not LEAST <= size <= LIMIT:
        return np.empty(shape, dtype)
    return _pool.lend(size).view(dtype).reshape(shape)


def empty_like(x, shape=None):
    """Return an array as x is, of its dtype and order of axes, or with another shape."""
    _, axes = in_memory_order(x)
    shape = x.shape if shape is None else shape
    return empty([shape[axis] for axis in axes], x.dtype).transpose(np.argsort(axes))


def release():
    """Give back the memory in which no result lies."""
    _pool.release()

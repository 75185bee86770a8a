"""Scratch memory that a thread uses again and again.

Fresh pages of memory cost more than the arithmetic of a small convolution. A thread keeps at most
LIMIT bytes, until it ends or calls :func:`release`.
"""
import math
import threading

import numpy as np

LIMIT = 64 << 20


class _Memory(threading.local):
    def __init__(self):
        self.blocks = {}


_memory = _Memory()


def workspace(name, shape, dtype='float32'):
    """Return an array with any values, for the use of one function until it returns.

    Args:
        name: arrays of one name share their memory, so give two that live together two names.
        shape, dtype: of the array. One larger than LIMIT is not kept.
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    blocks = _memory.blocks
    block = blocks.get(name)
    if block is None or len(block) < size:
        block = np.empty(size, np.uint8)
        blocks.pop(name, None)
        if size + sum(map(len, blocks.values())) > LIMIT:
            blocks.clear()
        if size <= LIMIT:
            blocks[name] = block
    return block[:size].view(dtype).reshape(shape)


def release():
    """Give back the memory that this thread keeps."""
    _memory.blocks.clear()

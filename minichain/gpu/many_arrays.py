"""One launch for many arrays: tables that tell kernels where arrays lie and how work is divided.

Parameters stay arrays of their own. A network has hundreds, most of them small, and a launch for
each would take longer than the work.
"""
from typing import Any, NamedTuple

import numpy as np

from minichain.backend import get_array_module
from minichain.gpu.host_numbers import HostTable
from minichain.gpu.launcher import BLOCK, MOST_BLOCKS, kernel, machine_of

PART = 8192   # numbers that a block works on before it turns to others


def parts_of(sizes, part=PART):
    """Return how work on arrays is divided.

    Args:
        sizes: of the arrays.
        part: numbers in a part, a multiple of 4.
    Returns:
        rows (which array, begin, end), (parts, 3), int64.
    """
    sizes = np.array(sizes, np.int64)
    counts = -(-sizes // part)
    which = np.repeat(np.arange(len(sizes)), counts)
    begin = (np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)) * part
    return np.stack([which, begin, np.minimum(begin + part, sizes[which])], axis=1)


def share_memory(addresses, sizes, written):
    """Return whether an array that is written lies where another one does.

    Args:
        addresses: of arrays, (tensors, arrays of each); nothing is said of arrays without numbers.
        sizes: bytes of each, (tensors,).
        written: which columns are written, a list of bools.
    """
    begin = addresses.astype(np.int64).ravel()
    end = begin + np.repeat(np.asarray(sizes, np.int64), addresses.shape[1])
    written = np.tile(written, len(addresses))
    some = np.flatnonzero(end > begin)
    some = some[np.argsort(begin[some], kind='stable')]
    begin, end, written = begin[some], end[some], written[some]
    before = np.maximum.accumulate(end)[:-1]                             # the last end so far
    written_before = np.maximum.accumulate(np.where(written, end, 0))[:-1]
    return bool((written_before > begin[1:]).any() or (written[1:] & (before > begin[1:])).any())


class Work(NamedTuple):
    """Arrays that one launch works on.

    Attributes:
        tensors: addresses, (tensors * arrays of each,), uint64, on the device.
        parts: rows of :func:`parts_of`, (3 * count,), int64, on the device.
        count: how many parts.
        arrays: all of the arrays.
    """

    tensors: Any
    parts: Any
    count: int
    arrays: list

    def launch(self, name, *arguments):
        """Launch a kernel with its ``arguments`` between the tables and the number of parts."""
        kernel(name)(self.tensors, self.parts, *arguments, self.count,
                     grid=min(self.count, MOST_BLOCKS), block=BLOCK, reached=self.arrays)

    def empty(self, dtype=np.float32):
        """Return a new array with a place for each part."""
        return get_array_module(self.tensors).empty(self.count, dtype)


class ArrayTables:
    """The tables of one launch, kept on the device; they are sent when arrays lie elsewhere.

    Args:
        part: as of :func:`parts_of`.
    """

    def __init__(self, part=PART):
        self._part, self._sizes, self._divided = part, None, None
        self._tensors, self._parts = HostTable(), HostTable()

    def of(self, rows, written):
        """Return :class:`Work`, or None where it has to be done array by array.

        Args:
            rows: for each tensor a list of arrays of one size, float32, C-contiguous, all on one
                device.
            written: which arrays of a row the kernel writes, a list of bools. If memory of one
                belongs to another array too, their order matters, and the result is None.
        """
        like, sizes = rows[0][0], [row[0].size for row in rows]
        address = machine_of(like).address
        arrays = [array for row in rows for array in row]
        addresses = np.array([address(array) for array in arrays], np.uint64)
        if share_memory(addresses.reshape(len(rows), -1),
                        [4 * size for size in sizes], written):
            return None
        if sizes != self._sizes:
            self._sizes, self._divided = sizes, parts_of(sizes, self._part).ravel()
        return Work(self._tensors.on_device(addresses, like),
                    self._parts.on_device(self._divided, like), len(self._divided) // 3, arrays)

"""Numbers of the host that steps read and that change from step to step: rates of optimizers.

A captured step has the arguments of its kernels written down, numbers among them. What follows a
schedule or a count of steps is read from device memory instead, and brought there before each
replay, all of it in one copy.
"""
import contextlib
import threading

import numpy as np

from minichain.backend import get_array_module
from minichain.errors import DeviceError

ROOM = 4096   # numbers in a table


class _Current(threading.local):
    tables = None


_current = _Current()


class HostNumbers:
    """A few numbers of the host as an array on a device."""

    def __init__(self):
        self._array, self._values = None, ()

    def on_device(self, compute, like):
        """Return the numbers that ``compute()`` returns, a tuple of floats, as an array.

        Within :func:`gathering` that is a part of a table, whose contents come later.

        Args:
            like: array; the result is on its device, of its dtype, float32 at least.
        """
        dtype = np.promote_types(like.dtype, np.float32)
        if _current.tables is not None:
            return _current.tables.part(compute, dtype, get_array_module(like))
        values = compute()
        kept = self._array
        if (kept is None or len(kept) != len(values) or kept.dtype != dtype
                or kept.device != like.device):
            self._array = get_array_module(like).empty(len(values), dtype)
            self._values = (None,) * len(values)
        for place, (value, before) in enumerate(zip(values, self._values)):
            if value != before:
                self._array[place] = value
        self._values = values
        return self._array


@contextlib.contextmanager
def gathering():
    """Gather, within a ``with`` block, the numbers that a captured step reads, as :class:`Tables`.

    One computation may not be asked for twice: its two results would be one.
    """
    _current.tables = tables = Tables()
    try:
        yield tables
    finally:
        _current.tables = None


class Tables:
    """Device memory in which all numbers of one captured step lie."""

    def __init__(self):
        self._parts, self._tables = [], []

    def part(self, compute, dtype, xp):
        """Return room for the numbers of ``compute``, (n,), without them."""
        if any(compute == other for other, *_ in self._parts):
            raise DeviceError('an optimizer updates the same parameter twice within the step; '
                              'make it two steps')
        count = len(compute())
        fitting = [table for table in self._tables
                   if table.array.dtype == dtype and table.used + count <= ROOM]
        if not fitting:
            fitting = [_Table(xp.empty(ROOM, dtype))]
            self._tables += fitting
        table, = fitting[:1]
        self._parts.append((compute, table, slice(table.used, table.used + count)))
        table.used += count
        return table.array[self._parts[-1][2]]

    def refresh(self, write):
        """Compute all numbers; call ``write(table, contents)`` for each table that has changed."""
        for table in self._tables:
            table.before[:] = table.contents
        for compute, table, place in self._parts:
            table.contents[place] = compute()
        for table in self._tables:
            if table.is_new or not np.array_equal(table.before, table.contents):
                table.is_new = False
                write(table.array, table.contents)


class _Table:
    """``contents`` is what the array on the device is to hold; ``used``: so many from the left."""

    def __init__(self, array):
        self.array, self.used, self.is_new = array, 0, True
        self.contents = np.zeros(ROOM, array.dtype)
        self.before = self.contents.copy()

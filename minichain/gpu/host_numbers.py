"""Numbers of the host that steps read and that change from step to step: rates of optimizers.

A captured step has the arguments of its kernels written down, numbers among them. What follows a
schedule or a count of steps is read from device memory instead, and brought there before each
replay, all of it in one copy. So are tables of the host, as of addresses, before the first replay.
"""
import contextlib
import threading

import numpy as np

from minichain.backend import get_array_module
from minichain.errors import DeviceError
from minichain.gpu.memory import outside_of_private_pools
from minichain.gpu.simulator import arrays as simulated

ROOM = 4096   # numbers in a table
FEW = 4       # numbers that are cheaper to set one by one than to copy


class _Current(threading.local):
    tables = None


_current = _Current()


class HostNumbers:
    """A few numbers of the host as an array on a device."""

    def __init__(self):
        self._array = self._values = None

    def on_device(self, compute, like):
        """Return the numbers that ``compute()`` returns, a tuple of floats, as an array.

        Within :func:`gathering` that is a part of a table, whose contents come later.

        Args:
            like: array; the result is on its device, of its dtype, float32 at least.
        """
        return self.all_on_device(compute, (compute,), like)

    def all_on_device(self, compute, owners, like):
        """Return the numbers of several things, which ``compute()`` returns together, as an array.

        Args:
            owners: of each thing its own ``compute``.
        """
        dtype, xp = np.promote_types(like.dtype, np.float32), get_array_module(like)
        if _current.tables is not None:
            return _current.tables.part(compute, owners, dtype, xp)
        values = np.array(compute(), dtype)
        if not fits(self._array, values, like):
            self._array, self._values = xp.empty(len(values), dtype), np.full_like(values, np.nan)
        changed = np.flatnonzero(values != self._values)
        if len(changed) > FEW:
            self._array = send(values, xp)
        else:
            for place in changed.tolist():   # by arguments of kernels: nothing is sent
                self._array[place] = float(values[place])
        self._values = values
        return self._array


class HostTable:
    """An array of the host, of which a device has a copy that follows its contents."""

    def __init__(self):
        self._array = self._values = None

    def on_device(self, values, like):
        """Return the contents of a NumPy array, (n,), on the device of another array.

        Within :func:`gathering` they come later, once.
        """
        xp = get_array_module(like)
        if _current.tables is not None:
            return _current.tables.constant(values, xp)
        if not fits(self._array, values, like) or not np.array_equal(values, self._values):
            self._array, self._values = send(values, xp), values
        return self._array


def fits(array, values, like):
    """Return whether an array, or None, is of the size and dtype of one, the device of another."""
    return (array is not None and array.size == values.size and array.dtype == values.dtype
            and array.device == like.device)


def send(values, xp):
    """Return a new array with the contents of one of the host. Nobody waits: CuPy copies them to
    pinned memory, which it keeps until they are there. In a captured step there is no such copy;
    what comes here then was gathered before."""
    with simulated.sending():
        return xp.asarray(values)


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
        self._parts, self._tables, self._constants, self._known = [], [], [], set()

    def part(self, compute, owners, dtype, xp):
        """Return room for the numbers of ``compute``, (n,), without them."""
        if not self._known.isdisjoint(owners):
            raise DeviceError('an optimizer updates the same parameter twice within the step; '
                              'make it two steps')
        self._known.update(owners)
        count = len(compute())
        fitting = [table for table in self._tables
                   if table.array.dtype == dtype and table.used + count <= len(table.array)]
        if not fitting:
            fitting = [_Table(np.zeros(max(ROOM, count), dtype), xp)]
            self._tables += fitting
        table, = fitting[:1]
        self._parts.append((compute, table, slice(table.used, table.used + count)))
        table.used += count
        return table.array[self._parts[-1][2]]

    def constant(self, values, xp):
        """Return room for the contents of an array, (n,), which are brought there once."""
        self._constants.append(_Table(values, xp))
        return self._constants[-1].array

    def refresh(self, write):
        """Compute all numbers; call ``write(table, contents)`` for each table that has changed."""
        for table in self._constants:
            if table.is_new and table.array.size:
                table.is_new = False
                write(table.array, table.contents)
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

    def __init__(self, contents, xp):
        self.contents, self.used, self.is_new = contents, 0, True
        self.before = contents.copy()
        if xp is simulated.xp:      # it computes while it records: with true addresses
            self.array = simulated.ndarray(contents.copy())
        else:
            with outside_of_private_pools():
                self.array = xp.empty(contents.size, contents.dtype)

"""Steps on the device 'sim', recorded and replayed as a GPU captures and replays them.

What is done to arrays goes through :func:`perform`, which notes it down while a step is recorded.
A replay does the same operations again, on the memory that they had.
"""
import contextlib
import threading

import numpy as np

ALLOCATIONS = (np.empty, np.empty_like)   # which do nothing to arrays


class _Current(threading.local):
    tape = None


_current = _Current()


def perform(function, *args, **kwargs):
    """Return ``function(*args, **kwargs)``; a step that is being recorded will do it again."""
    if _current.tape is None:
        return function(*args, **kwargs)
    return _current.tape.add(function, args, kwargs)


def is_recorded():
    """Return whether a step of this thread is being recorded."""
    return _current.tape is not None


@contextlib.contextmanager
def recording():
    """Record, within a ``with`` block, a :class:`Tape`. At its end nothing has been done yet: the
    arrays that were there before are as they were."""
    _current.tape = tape = Tape()
    try:
        yield tape
    finally:
        _current.tape = None
        tape.undo()


class Tape:
    """Operations in their order.

    The memory of all operands is kept, so none of it serves other arrays.
    """

    def __init__(self):
        self._operations, self._before = [], {}

    def __len__(self):
        return len(self._operations)

    def add(self, function, args, kwargs):
        """Do an operation and note it down; numbers among its results become arrays."""
        if function in ALLOCATIONS:
            return function(*args, **kwargs)
        for operand in _arrays((args, kwargs, getattr(function, '__self__', None))):
            memory = operand
            while isinstance(memory.base, np.ndarray):
                memory = memory.base
            if id(memory) not in self._before:
                self._before[id(memory)] = memory, memory.copy()
        result = _as_arrays(function(*args, **kwargs))
        self._operations.append((function, args, kwargs, _arrays(result)))
        return result

    def undo(self):
        """Give all memory the contents that it had when an operation first saw it."""
        for memory, contents in self._before.values():
            if memory.flags.writeable:
                memory[...] = contents
        self._before = {}

    def replay(self):
        """Do everything again; new arrays lie where those of the recording lay."""
        for function, args, kwargs, results in self._operations:
            for target, value in zip(results, _arrays(_as_arrays(function(*args, **kwargs)))):
                if not np.may_share_memory(target, value):   # neither a view nor in place
                    target[...] = value


def _as_arrays(result):
    if isinstance(result, np.generic):
        return np.asarray(result)
    if isinstance(result, (tuple, list)):
        parts = [_as_arrays(part) for part in result]
        return type(result)(*parts) if hasattr(result, '_fields') else type(result)(parts)
    return result


def _arrays(tree):
    """Return the arrays in tuples, lists and dicts, at any depth."""
    if isinstance(tree, np.ndarray):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, (tuple, list)):
        return []
    return [array for part in tree for array in _arrays(part)]

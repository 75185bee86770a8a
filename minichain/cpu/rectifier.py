"""The rectifier and its gradient on large arrays.

NumPy compares two arrays four times as fast as an array and a number, so rows of zeros stand in
for the number; and a part of the array at a time stays in the cache from one pass to the next.
"""
import functools

import numpy as np

from minichain.backend import get_array_module
from minichain.cpu import results
from minichain.cpu.threads import share
from minichain.cpu.workspaces import workspace

_ROW = 4096         # elements
_PART = 16 * _ROW
_COST = 8           # multiplications of a matrix product that take as long as an element


def serves(*arrays):
    """Return whether the arrays are such that it pays."""
    first = arrays[0]
    return first.size >= _PART and all(
        type(x) is np.ndarray and x.dtype == first.dtype and x.dtype in (np.float32, np.float64)
        and x.strides == first.strides for x in arrays) and (
            results.in_memory_order(first)[0].flags.c_contiguous)


@functools.cache
def _zeros(dtype):
    return np.zeros(_ROW, dtype)


def rectify(x, out=None):
    """Return max(x, 0) of any array, of a GPU too; NaN stays NaN.

    Args:
        out: where to write it, an array in the same order of memory, x itself for one.
    """
    if not serves(x):
        return get_array_module(x).maximum(x, 0, out=out)

    def work(y, x):
        np.maximum(x, _zeros(x.dtype)[:x.shape[1]], out=y)
    return _in_parts(work, x, out=out)


def gradient(gy, y):
    """Return gy where y > 0, else 0, of arrays that :func:`serves` has accepted.

    As a product: what is infinite in gy gives NaN where y is 0, like in ``gy * (y > 0)``.
    """
    def work(gx, gy, y):
        positive = np.greater(y, _zeros(y.dtype)[:y.shape[1]], out=workspace(
            'positive', y.shape, bool))
        np.multiply(gy, positive, out=gx)
    return _in_parts(work, gy, y)


def _in_parts(work, *arrays, out=None):
    """Call ``work(y, *arrays)`` with rows (n, _ROW) of all arrays and of y, which is returned."""
    x = arrays[0]
    y = results.empty_like(x) if out is None else out
    flat = [results.in_memory_order(each)[0].reshape(-1) for each in (y, *arrays)]
    whole = x.size // _ROW * _ROW

    def run(parts):
        for begin in parts:
            end = min(begin + _PART, whole)
            work(*(each[begin:end].reshape(-1, _ROW) for each in flat))

    share(run, range(0, whole, _PART), _COST * x.size)
    if whole < x.size:
        work(*(each[whole:].reshape(1, -1) for each in flat))
    return y

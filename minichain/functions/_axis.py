"""Axis arguments, checked and counted from the front, and the way back from a reduced array."""
import operator

import numpy as np

from minichain.errors import InvalidType
from minichain.functions.broadcast import BroadcastTo
from minichain.functions.reshape import reshape
from minichain.type_check import expect_float, expect_same_dtype


def expect_axis(label, axis, ndim, name='axis'):
    """Return ``axis`` counted from the front.

    Raises:
        InvalidType: it is no int, or an array of ``ndim`` axes does not have it.
    """
    try:
        number = operator.index(axis)
    except TypeError:
        raise InvalidType(f'{label}: an int for {name} expected, got {axis!r}') from None
    if not -ndim <= number < ndim:
        raise InvalidType(f'{label}: {name} from {-ndim} to {ndim - 1} expected for an array of '
                          f'{ndim} axes, got {number}')
    return number % ndim


def expect_axes(label, axis, ndim):
    """Return ``axis`` (None for all, an int or a tuple of ints) as a tuple counted from the front.

    Raises:
        InvalidType: an axis does not exist or is given twice.
    """
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, tuple):
        return expect_axis(label, axis, ndim),
    axes = tuple(expect_axis(label, i, ndim) for i in axis)
    if len(set(axes)) < len(axes):
        raise InvalidType(f'{label}: each axis once expected, got {axis} for an array of {ndim} '
                          'axes')
    return axes


def kept_shape(shape, axes):
    """Return ``shape`` with length 1 along ``axes``."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def spread(y, shape, axes):
    """Repeat ``y``, an array of ``shape`` reduced over ``axes``, over these axes again."""
    if not shape:
        return y
    return BroadcastTo(shape).apply((y.reshape(kept_shape(shape, axes)),))[0]


def sum_dtype(dtype):
    """Return the dtype in which numbers of ``dtype`` are added up: float32 for float16."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def after_first_axis(label, x, W):
    """Return ``W``, whose axes are those of ``x`` after the first, so that it broadcasts to ``x``.

    Raises:
        InvalidType: the shapes or dtypes do not fit.
    """
    expect_float(label, x=x)
    expect_same_dtype(label, x=x, W=W)
    if W.shape != x.shape[1:1 + W.ndim]:
        raise InvalidType(f'{label}: one number for each of {x.shape[1:1 + W.ndim]} expected, the '
                          f'axes after the first of {x.shape}, got shape {W.shape}')
    return reshape(W, W.shape + (1,) * (x.ndim - 1 - W.ndim))

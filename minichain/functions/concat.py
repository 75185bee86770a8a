"""Joining arrays along an axis: concat, stack and the vstack family."""
import numpy as np

from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.cpu import results
from minichain.errors import InvalidType
from minichain.functions._axis import expect_axis
from minichain.functions.reshape import reshape
from minichain.type_check import expect_same_dtype

AT_ONCE = 8   # arrays; CuPy joins more by a list of their addresses, which it copies to the GPU


def _expect_joinable(label, arrays, axis=None):
    """Raise unless all arrays are of one dtype and of one shape, except along ``axis``."""
    first = arrays[0]
    for x in arrays[1:]:
        fits = x.shape == first.shape if axis is None else (
            x.ndim == first.ndim and x.shape[:axis] == first.shape[:axis]
            and x.shape[axis + 1:] == first.shape[axis + 1:])
        if not fits:
            where = '' if axis is None else f' except along axis {axis}'
            raise InvalidType(f'{label}: one shape{where} expected, got {first.shape} and '
                              f'{x.shape}')
        if x.dtype != first.dtype:
            expect_same_dtype(label, first=first, another=x)


def _expect_some(label, xs):
    xs = tuple(xs)
    if not xs:
        raise InvalidType(f'{label}: a sequence of at least one array expected, got none')
    return xs


def _join_on_gpu(xp, arrays, axis):
    """Concatenate, without sending anything from the host: a captured step could not."""
    if len(arrays) <= AT_ONCE:
        return xp.concatenate(arrays, axis)
    shape, before, start = list(arrays[0].shape), (slice(None),) * axis, 0
    shape[axis] = sum(x.shape[axis] for x in arrays)
    y = xp.empty(shape, arrays[0].dtype)
    for x in arrays:
        stop = start + x.shape[axis]
        y[(*before, slice(start, stop))] = x
        start = stop
    return y


class Concat(Primitive):
    def __init__(self, axis):
        self.axis = axis

    def check_type_forward(self, in_types):
        _expect_joinable('concat', in_types, self.axis)

    def forward(self, arrays):
        xp, shape = get_array_module(*arrays), list(arrays[0].shape)
        if xp is not np:
            return _join_on_gpu(xp, arrays, self.axis),
        shape[self.axis] = sum(x.shape[self.axis] for x in arrays)
        return np.concatenate(arrays, self.axis, out=results.empty_like(arrays[0], shape)),

    def backward(self, indexes, grads):
        gy, = grads
        if len(self.inputs) == 1:
            return grads
        before, gxs, start = (slice(None),) * self.axis, [], 0
        for i, node in enumerate(self.inputs):
            stop = start + node.shape[self.axis]
            gxs.append(gy[(*before, slice(start, stop))] if i in indexes else None)
            start = stop
        return gxs


class Stack(Primitive):
    def __init__(self, axis):
        self.axis = axis

    def check_type_forward(self, in_types):
        _expect_joinable('stack', in_types)

    def forward(self, arrays):
        xp = get_array_module(*arrays)
        if xp is np:
            return np.stack(arrays, self.axis),
        return _join_on_gpu(xp, [xp.expand_dims(x, self.axis) for x in arrays], self.axis),

    def backward(self, indexes, grads):
        before = (slice(None),) * self.axis
        return [grads[0][(*before, i)] for i in indexes]


def concat(xs, axis=1):
    """Join arrays along an existing axis.

    Args:
        xs: sequence of Variables and arrays of one dtype, and of one shape except along ``axis``.
        axis: along which to join.
    Raises:
        InvalidType: dtypes or shapes differ, or there is no such axis.
    """
    xs = _expect_some('concat', xs)
    return Concat(expect_axis('concat', axis, xs[0].ndim)).apply(xs)[0]


def stack(xs, axis=0):
    """Join arrays of one shape along a new axis.

    Args:
        xs: sequence of Variables and arrays of one shape and dtype.
        axis: position of the new axis in the result.
    Raises:
        InvalidType: shapes or dtypes differ, or there is no such position.
    """
    xs = _expect_some('stack', xs)
    return Stack(expect_axis('stack', axis, xs[0].ndim + 1)).apply(xs)[0]


def vstack(xs):
    """Join along axis 0; vectors count as rows.

    Args:
        xs: sequence of Variables and arrays as of :func:`concat`.
    """
    return concat([x if x.ndim > 1 else reshape(x, (1, x.size))
                   for x in _expect_some('vstack', xs)], 0)


def hstack(xs):
    """Join along axis 1; vectors along their only axis, numbers into a vector.

    Args:
        xs: sequence of Variables and arrays as of :func:`concat`.
    """
    xs = [x if x.ndim else reshape(x, (1,)) for x in _expect_some('hstack', xs)]
    return concat(xs, 0 if xs[0].ndim == 1 else 1)


def dstack(xs):
    """Join along axis 2; vectors count as (1, n, 1), matrices as (m, n, 1).

    Args:
        xs: sequence of Variables and arrays as of :func:`concat`.
    """
    return concat([x if x.ndim > 2 else reshape(x, (*(1,) * (2 - x.ndim), *x.shape, 1))
                   for x in _expect_some('dstack', xs)], 2)

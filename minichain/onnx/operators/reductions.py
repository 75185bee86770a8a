"""Sums and other results over axes, running sums, and where the largest elements are."""
import math

import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.budget import RESULT, current
from minichain.onnx.operators.arithmetic import divide_integers
from minichain.onnx.operators.values import (
    axes_of,
    is_float,
    keep_dtype,
    normalize_axis,
    root,
    to_scalar,
)

SORT = 2_000    # work for each element that is sorted, as `budget` counts it


def reduction(on_floats, on_integers):
    """An operator over axes from a function of floats and one of integer arrays.

    Both are called with (x, axes, keepdims).
    """
    def reduce(node, x, axes=None):
        axes = axes_of(node, x, axes)
        if not axes and not (node.get('noop_with_empty_axes') and node.opset >= 13):
            axes = tuple(range(x.ndim))
        function = on_floats if is_float(x) else on_integers
        current().work(RESULT * x.size)
        return keep_dtype(function(x, axes or (), bool(node.get('keepdims', 1))), x)
    return reduce


def sum_integers(x, axes, keepdims):
    return as_array(x).sum(axis=axes, dtype=x.dtype, keepdims=keepdims)


def after(function):
    """A function of integers that is taken in float64 and cut."""
    def compute(x, axes, keepdims):
        return as_array(function(as_array(x).astype(np.float64), axes, keepdims))
    return compute


def count(x, axes):
    return math.prod(x.shape[axis] for axis in axes)


def fill(x, axes, keepdims, value):
    """The result over no elements at all."""
    shape = tuple(1 if axis in axes else length for axis, length in enumerate(x.shape)
                  if keepdims or axis not in axes)
    return get_array_module(x).full(shape, value, x.dtype)


def mean(x, axes, keepdims):
    if not count(x, axes):
        return fill(x, axes, keepdims, np.nan)
    return F.mean(x, axes, keepdims=keepdims)


def mean_of_integers(x, axes, keepdims):
    total = as_array(x).sum(axis=axes, keepdims=keepdims)
    return divide_integers(total, total.dtype.type(count(x, axes)))


def extremum(method, floats, sign):
    """max or min; of no elements the value that no element could be worse than."""
    def on_floats(x, axes, keepdims):
        if not count(x, axes):
            return fill(x, axes, keepdims, -sign * np.inf)
        return floats(x, axes, keepdims)

    def on_others(x, axes, keepdims):
        if count(x, axes):
            return getattr(as_array(x), method)(axis=axes, keepdims=keepdims)
        if x.dtype.kind == 'b':
            return fill(x, axes, keepdims, sign < 0)
        limits = np.iinfo(x.dtype)
        return fill(x, axes, keepdims, limits.min if sign > 0 else limits.max)
    return reduction(on_floats, on_others)


def log_sum_exp(x, axes, keepdims):
    """log sum exp(x), also where numbers are infinite."""
    if not count(x, axes):
        return fill(x, axes, keepdims, -np.inf)
    array, xp = as_array(x), get_array_module(x)
    largest = array.max(axis=axes, keepdims=True)
    largest = xp.where(xp.isfinite(largest), largest, x.dtype.type(0))
    y = F.log(F.sum(F.exp(x - largest), axes, keepdims=keepdims))
    return y + largest.reshape(y.shape)


def norm(x, axes, keepdims):
    wide = F.cast(x, np.float32) if x.dtype == np.float16 else x    # squares soon leave float16
    return F.cast(root(F.sum(wide * wide, axes, keepdims=keepdims)), x.dtype)


def index_of(method):
    """ArgMax and ArgMin: the first of equal elements, or the last of them."""
    def operator(node, x):
        x, axis = as_array(x), normalize_axis(node.get('axis', 0), x.ndim)
        xp, length = get_array_module(x), x.shape[axis]
        if not length:
            raise DataError(f'at least one element along axis {axis} expected, got the shape '
                            f'{x.shape}')
        if node.get('select_last_index', 0):
            places = length - 1 - getattr(xp.flip(x, axis), method)(axis)
        else:
            places = getattr(x, method)(axis)
        places = xp.asarray(places).astype(np.int64)
        return xp.expand_dims(places, axis) if node.get('keepdims', 1) else places
    return operator


def top_k(node, x, k=None):
    """The k largest or smallest elements, sorted, and where they are; of equal ones the first."""
    axis = normalize_axis(node.get('axis', -1), x.ndim)
    k = node.require('k') if k is None else to_scalar(k)
    array, xp, length = as_array(x), get_array_module(x), x.shape[axis]
    if not 0 <= k <= length:
        raise DataError(f'k from 0 to {length} expected, as long as axis {axis} of {x.shape}, '
                        f'got {k}')
    current().work(SORT * x.size)
    head = (slice(None),) * axis + (slice(k),)
    if node.get('largest', 1):   # what is sorted backwards has its equal elements backwards, too
        backwards = xp.flip(xp.argsort(xp.flip(array, axis), axis=axis, kind='stable'), axis)
        places = length - 1 - backwards[head]
    else:
        places = xp.argsort(array, axis=axis, kind='stable')[head]
    return take_along(x, places, axis), places.astype(np.int64)


def take_along(x, places, axis):
    """Elements at places along an axis, which are different in each row; with gradients."""
    xp = get_array_module(x)
    index = tuple(places if i == axis else xp.arange(places.shape[i]).reshape(
        (-1,) + (1,) * (x.ndim - 1 - i)) for i in range(x.ndim))
    return F.get_item(x, index) if is_float(x) else as_array(x)[index]


def running(on_floats, method, neutral):
    """CumSum and CumProd: `exclusive` leaves out the element itself, `reverse` starts behind."""
    def operator(node, x, axis):
        axis = normalize_axis(int(to_scalar(axis)), x.ndim)
        xp = get_array_module(x)
        flip, join = (F.flip, F.concat) if is_float(x) else (xp.flip, xp.concatenate)
        y = flip(x, axis) if node.get('reverse', 0) else x
        if node.get('exclusive', 0) and x.shape[axis]:
            first = xp.full((*x.shape[:axis], 1, *x.shape[axis + 1:]), neutral, x.dtype)
            y = join((first, y[(slice(None),) * axis + (slice(-1),)]), axis)
        if is_float(x):
            y = on_floats(y, axis)
        else:
            y = getattr(xp, method)(y, axis=axis, dtype=x.dtype)
        return flip(y, axis) if node.get('reverse', 0) else y
    return operator


def unique(node, x):
    """Different elements, or slices along an axis: sorted, or as they first come."""
    axis, array, xp = node.get('axis'), as_array(x), get_array_module(x)
    if axis is None:
        x, array, axis = F.reshape(x, (-1,)) if is_float(x) else x.reshape(-1), array.ravel(), 0
    axis = normalize_axis(axis, x.ndim)
    rows = {} if array.ndim == 1 else {'axis': axis}
    current().work(SORT * x.size)
    _, first, inverse, counts = xp.unique(
        array, return_index=True, return_inverse=True, return_counts=True, **rows)
    inverse = inverse.ravel()
    if not node.get('sorted', 1):
        order = xp.argsort(first)
        first, counts, inverse = first[order], counts[order], xp.argsort(order)[inverse]
    index = (slice(None),) * axis + (first,)
    y = F.get_item(x, index) if is_float(x) else array[index]
    return y, *(value.astype(np.int64) for value in (first, inverse, counts))


OPERATORS = {
    'ArgMax': index_of('argmax'),
    'ArgMin': index_of('argmin'),
    'CumProd': running(F.cumprod, 'cumprod', 1),
    'CumSum': running(F.cumsum, 'cumsum', 0),
    'ReduceL1': reduction(lambda x, *axes: F.sum(abs(x), *axes),
                          lambda x, *axes: sum_integers(abs(x), *axes)),
    'ReduceL2': reduction(norm, after(norm)),
    'ReduceLogSum': reduction(lambda x, *axes: F.log(F.sum(x, *axes)),
                              after(lambda x, *axes: F.log(F.sum(x, *axes)))),
    'ReduceLogSumExp': reduction(log_sum_exp, after(log_sum_exp)),
    'ReduceMax': extremum('max', F.max, 1),
    'ReduceMean': reduction(mean, mean_of_integers),
    'ReduceMin': extremum('min', F.min, -1),
    'ReduceProd': reduction(F.prod, lambda x, axes, keepdims: as_array(x).prod(
        axis=axes, dtype=x.dtype, keepdims=keepdims)),
    'ReduceSum': reduction(F.sum, sum_integers),
    'ReduceSumSquare': reduction(lambda x, *axes: F.sum(x * x, *axes),
                                 lambda x, *axes: sum_integers(x * x, *axes)),
    'TopK': top_k,
    'Unique': unique,
}

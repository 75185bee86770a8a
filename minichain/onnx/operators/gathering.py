"""Values picked by index, and values put at indices.

Scattering works on cells: the leading axes of an array as one, and the number of each cell.
"""
import math

import numpy as np

import minichain.functions as F
from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module, to_cpu
from minichain.errors import DataError
from minichain.onnx.operators.values import (
    check_growth,
    is_float,
    normalize_axis,
    send_like,
    to_ints,
)


class PutItem(Primitive):
    """A copy of x with y at an index; of what is picked twice the last value stays."""

    def __init__(self, index):
        self.index = index

    def forward(self, arrays):
        x, y = arrays
        result = x.copy()
        result[self.index] = y
        return result,

    def backward(self, indexes, grads):
        gz, = grads
        gy = gz[self.index]
        zeros = get_array_module(gz).zeros(gy.shape, gy.dtype)
        return PutItem(self.index).apply((gz, zeros))[0], gy


def put_item(x, index, y):
    """x with y at an index: Variables for floats, else arrays."""
    index = tuple(send_like(part, x) if hasattr(part, 'shape') else part for part in index)
    if is_float(x):
        return PutItem(index).apply((x, y))[0]
    return PutItem(index).forward((as_array(x), send_like(y, x)))[0]


def gather(node, x, indices):
    axis = normalize_axis(node.get('axis', 0), x.ndim)
    indices = expect_integers(indices)
    check_growth((*x.shape[:axis], *indices.shape, *x.shape[axis + 1:]), x, indices)
    return x[(*(slice(None),) * axis, send_like(indices, x))]


def gather_elements(node, x, indices):
    indices = expect_integers(indices)
    return x[tuple(send_like(part, x)
                   for part in element_index(x, indices, node.get('axis', 0)))]


def gather_nd(node, x, indices):
    indices, batch_axes = expect_integers(indices), node.get('batch_dims', 0)
    if not 0 <= batch_axes < min(x.ndim, indices.ndim) or (
            x.shape[:batch_axes] != indices.shape[:batch_axes]):
        raise DataError(f'{batch_axes} batch axes of the same lengths expected, got {x.shape} and '
                        f'indices {indices.shape}')
    depth = indices.shape[-1]
    if not 0 < depth <= x.ndim - batch_axes:
        raise DataError(f'indices with 1 to {x.ndim - batch_axes} numbers expected, got '
                        f'{indices.shape}')
    check_growth(indices.shape[:-1] + x.shape[batch_axes + depth:], x, indices)
    batch = [np.arange(n).reshape((1,) * axis + (n,) + (1,) * (indices.ndim - 2 - axis))
             for axis, n in enumerate(x.shape[:batch_axes])]
    index = (*batch, *(indices[..., place] for place in range(depth)))
    return x[tuple(send_like(part, x) for part in index)]


def scatter_elements(node, x, indices, updates):
    indices = to_cpu(expect_integers(indices))
    if indices.shape != updates.shape:
        raise DataError(f'as many updates as indices expected, got {updates.shape} and '
                        f'{indices.shape}')
    index = element_index(x, indices, node.get('axis', 0))
    return scatter(node, x, np.broadcast_arrays(*index), updates)


def scatter_nd(node, x, indices, updates):
    indices = to_cpu(expect_integers(indices))
    depth = indices.shape[-1] if indices.ndim else 0
    if not 0 < depth <= x.ndim or updates.shape != indices.shape[:-1] + x.shape[depth:]:
        raise DataError(f'indices with 1 to {x.ndim} numbers and updates of the shape indices.'
                        f'shape[:-1] + data.shape[depth:] expected, got {indices.shape} and '
                        f'{updates.shape}')
    return scatter(node, x, [indices[..., place] for place in range(depth)], updates)


REDUCTIONS = {
    'add': (F.add, np.add), 'mul': (lambda x, y: x * y, np.multiply),
    'max': (F.maximum, np.maximum), 'min': (F.minimum, np.minimum),
}


def scatter(node, x, index, updates):
    """x with updates at an index of its leading axes, put there or combined with what is there."""
    reduction = node.get('reduction', 'none')
    if reduction != 'none' and reduction not in REDUCTIONS:
        raise DataError(f'a reduction of none, {", ".join(REDUCTIONS)} expected, got '
                        f'{reduction!r}')
    if x.dtype != updates.dtype:
        raise DataError(f'updates of the type {x.dtype} expected, got {updates.dtype}')
    if not index[0].size or not updates.size:
        return x
    lengths, rest = x.shape[:len(index)], x.shape[len(index):]
    index = [np.where(part < 0, part + n, part) for part, n in zip(index, lengths)]
    cells = np.ravel_multi_index([part.ravel() for part in index], lengths)
    flat = x.reshape((math.prod(lengths), *rest))
    updates = updates.reshape((cells.size, *rest))
    if reduction != 'none':
        combine = REDUCTIONS[reduction][0 if is_float(x) else 1]
        cells, updates = combined(cells, updates, combine)
        updates = combine(flat[send_like(cells, x),], updates)
    return put_item(flat, (cells,), updates).reshape(x.shape)


def combined(cells, updates, combine):
    """One update a cell: those of the same cell are combined in pairs until one is left."""
    while True:
        order = np.argsort(cells, kind='stable')
        ordered = cells[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        if len(starts) == len(cells):
            return cells, updates
        counts = np.diff(np.r_[starts, len(cells)])
        rank = np.arange(len(cells)) - np.repeat(starts, counts)
        right = np.flatnonzero(rank % 2)
        single = np.flatnonzero((rank % 2 == 0) & (rank + 1 == np.repeat(counts, counts)))
        left, right, single = order[right - 1], order[right], order[single]
        pairs = combine(take(updates, left), take(updates, right))
        cells = np.concatenate([cells[left], cells[single]])
        if len(single):
            rest = take(updates, single)
            updates = F.concat([pairs, rest], 0) if is_float(updates) else (
                get_array_module(updates).concatenate([pairs, rest]))
        else:
            updates = pairs


def take(x, index):
    return x[send_like(index, x),]


def tensor_scatter(node, cache, update, starts=None):
    """The updates of each sample at its own position of the axis of time."""
    axis = normalize_axis(node.get('axis', -2), cache.ndim)
    length, steps = cache.shape[axis], update.shape[axis]
    starts = np.zeros(len(cache), np.int64) if starts is None else np.array(to_ints(starts))
    positions = starts[:, None] + np.arange(steps)
    if node.get('mode', 'linear') == 'circular':
        positions %= length
    if axis == 0 or steps > length or (positions < 0).any() or (positions >= length).any():
        raise DataError(f'positions within the length {length} of axis {axis}, not the first, '
                        f'expected, got {steps} steps from {starts.tolist()!s:.200}')
    order = (0, axis, *(i for i in range(1, cache.ndim) if i != axis))
    result = put_item(cache.transpose(order), (np.arange(len(cache))[:, None], positions),
                      update.transpose(order))
    return result.transpose(tuple(np.argsort(order).tolist()))


def nonzero(node, x):
    """Indices of what is not zero, one row an axis."""
    x = as_array(x)
    xp = get_array_module(x)
    return xp.stack(xp.nonzero(xp.atleast_1d(x))).astype(np.int64, copy=False)


def unique(node, x):
    """Different values, or slices along an axis: sorted, or in the order in which they come."""
    axis = node.get('axis')
    if axis is None:
        x, axis = x.reshape((x.size,)), 0
    axis = normalize_axis(axis, x.ndim)
    _, first, inverse, counts = np.unique(to_cpu(as_array(x)), return_index=True,
                                          return_inverse=True, return_counts=True, axis=axis)
    inverse = inverse.ravel()
    if not node.get('sorted', 1):
        order = np.argsort(first)
        first, counts, inverse = first[order], counts[order], np.argsort(order)[inverse]
    return (x[(*(slice(None),) * axis, send_like(first, x))], first, inverse, counts)


def element_index(x, indices, axis):
    """The index that picks one element for each of the indices along an axis."""
    axis = normalize_axis(axis, x.ndim)
    if indices.ndim != x.ndim:
        raise DataError(f'indices of {x.ndim} axes expected, got {indices.shape}')
    return tuple(indices if i == axis else
                 np.arange(n).reshape((n,) + (1,) * (x.ndim - 1 - i))
                 for i, n in enumerate(indices.shape))


def expect_integers(indices):
    indices = as_array(indices)
    if indices.dtype.kind not in 'iu':
        raise DataError(f'integers as indices expected, got {indices.dtype}')
    return indices


OPERATORS = {
    'Gather': gather,
    'GatherElements': gather_elements,
    'GatherND': gather_nd,
    'NonZero': nonzero,
    'Scatter': scatter_elements,
    'ScatterElements': scatter_elements,
    'ScatterND': scatter_nd,
    'TensorScatter': tensor_scatter,
    'Unique': unique,
}

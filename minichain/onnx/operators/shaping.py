"""Other shapes, orders and cuts of the same values, and what is put around them.

Variables and arrays have reshape, transpose and indexing in common, so one body serves floats,
with their gradients, and all other types.
"""
import math

import numpy as np

import minichain.functions as F
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.operators.values import (
    arrays,
    axes_of,
    check_size,
    is_float,
    normalize_axes,
    normalize_axis,
    send_like,
    to_ints,
    to_scalar,
)

MAX_AXES = 64     # of NumPy and CuPy
PAD_MODES = ('constant', 'edge', 'reflect', 'wrap')


def identity(node, x):
    return x


def reshape(node, x, shape=None):
    """0 keeps a length, unless `allowzero`; -1 is what the others leave."""
    shape = list(node.require('shape') if shape is None else to_ints(shape))
    if not node.get('allowzero'):
        if any(n == 0 for n in shape[x.ndim:]):
            raise DataError(f'a length 0 in the shape {tuple(shape)} stands for that of the same '
                            f'axis of the input, which has {x.ndim} axes')
        shape = [x.shape[axis] if n == 0 else n for axis, n in enumerate(shape)]
    return x.reshape(tuple(shape))


def flatten(node, x):
    axis = node.get('axis', 1)
    if not -x.ndim <= axis <= x.ndim:
        raise DataError(f'axis {axis} is none of a tensor of {x.ndim} axes')
    axis += x.ndim if axis < 0 else 0
    return x.reshape((math.prod(x.shape[:axis]), math.prod(x.shape[axis:])))


def transpose(node, x):
    axes = normalize_axes(node.get('perm', range(x.ndim)[::-1]), x.ndim)
    if len(axes) != x.ndim:
        raise DataError(f'perm = {axes} names {len(axes)} of {x.ndim} axes')
    return x.transpose(axes)


def squeeze(node, x, axes=None):
    axes = axes_of(node, x, axes)
    if axes is None:
        axes = [axis for axis, n in enumerate(x.shape) if n == 1]
    if any(x.shape[axis] != 1 for axis in axes):
        raise DataError(f'length 1 along the axes {tuple(axes)} expected, got {x.shape}')
    return x.reshape(tuple(n for axis, n in enumerate(x.shape) if axis not in axes))


def unsqueeze(node, x, axes=None):
    axes = node.require('axes') if axes is None else to_ints(axes)
    ndim = x.ndim + len(axes)
    if ndim > MAX_AXES:
        raise DataError(f'at most {MAX_AXES} axes expected, got {ndim}')
    axes = normalize_axes(axes, ndim)
    lengths = iter(x.shape)
    return x.reshape(tuple(1 if axis in axes else next(lengths) for axis in range(ndim)))


def expand(node, x, shape):
    shape = check_size(np.broadcast_shapes(x.shape, to_ints(shape)), x.dtype.itemsize)
    return F.broadcast_to(x, shape) if is_float(x) else get_array_module(x).broadcast_to(x, shape)


def tile(node, x, repeats, axis=None):
    """Since operator set 6 the repeats of all axes; before a number and the axis it is for."""
    if axis is not None:
        counts = [1] * x.ndim
        counts[normalize_axis(int(to_scalar(axis)), x.ndim)] = int(to_scalar(repeats))
    else:
        counts = to_ints(repeats)
    if len(counts) != x.ndim:
        raise DataError(f'{x.ndim} repeats, one for each axis, expected, got {counts}')
    check_size(counts)
    check_size((count * n for count, n in zip(counts, x.shape)), x.dtype.itemsize)
    return F.tile(x, counts) if is_float(x) else get_array_module(x).tile(x, counts)


def concat(node, *values):
    return join(values, node.get('axis', 1) if node.opset < 4 else node.require('axis'))


def join(values, axis, new_axis=False):
    """Values along an axis, or along a new one.

    Raises:
        DataError: their types differ, or the axis does not exist.
    """
    if not values:
        raise DataError('at least one tensor expected, got none')
    first = values[0]
    if any(value.dtype != first.dtype for value in values):
        raise DataError('tensors of one type expected, got '
                        f'{", ".join(sorted({str(value.dtype) for value in values}))}')
    axis = normalize_axis(axis, first.ndim + bool(new_axis))
    check_size([sum(value.size for value in values)], first.dtype.itemsize)
    on_device = next((value for value in values if get_array_module(value) is not np), first)
    if is_float(first):
        values = [value if get_array_module(value) is get_array_module(on_device)
                  else send_like(value, on_device) for value in values]
        return F.stack(values, axis) if new_axis else F.concat(values, axis)
    values = [send_like(value, on_device) for value in values]
    xp = get_array_module(on_device)
    return xp.stack(values, axis) if new_axis else xp.concatenate(values, axis)


def split(node, x, sizes=None):
    axis = normalize_axis(node.get('axis', 0), x.ndim)
    length, count = x.shape[axis], len(node.outputs)
    sizes = node.get('split') if sizes is None else to_ints(sizes)
    if sizes is None:
        if node.get('num_outputs', count) != count:
            raise DataError(f'num_outputs is {node.get("num_outputs")}, but there are {count}')
        if length % count and node.opset < 18:
            raise DataError(f'the length {length} is not divided by {count} outputs')
        step = -(-length // count)      # the last parts are smaller
        sizes = [max(0, min(step, length - i * step)) for i in range(count)]
    if len(sizes) != count or sum(sizes) != length or min(sizes) < 0:
        raise DataError(f'{count} sizes that add up to {length} expected, got {tuple(sizes)}')
    return cut(x, sizes, axis)


def cut(x, sizes, axis):
    """Parts of these sizes, which add up to the length, as a tuple."""
    ends = np.cumsum(np.array(sizes, np.int64)).tolist()
    if is_float(x):
        return F.split_axis(x, ends[:-1], axis)
    before = (slice(None),) * axis
    return tuple(x[(*before, slice(end - size, end))] for size, end in zip(sizes, ends))


def slices(node, x, starts=None, ends=None, axes=None, steps=None):
    """Python's slices count from behind, and clip, as ONNX's do."""
    if node.opset < 10 and starts is None:
        starts, ends, axes = node.require('starts'), node.require('ends'), node.get('axes')
    else:
        starts, ends = to_ints(starts), to_ints(ends)
        axes = None if axes is None else to_ints(axes)
    steps = (1,) * len(starts) if steps is None else to_ints(steps)
    axes = normalize_axes(range(len(starts)) if axes is None else axes, x.ndim)
    index = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


def pad(node, x, pads=None, value=None, axes=None):
    if pads is None:
        pads = node.get('pads', node.get('paddings'))
        value = node.get('value', 0.)
    else:
        pads = to_ints(pads)
        value = 0 if value is None else to_scalar(value)
    axes = tuple(range(x.ndim)) if axes is None else normalize_axes(to_ints(axes), x.ndim)
    mode = node.get('mode', 'constant')
    if pads is None or len(pads) != 2 * len(axes) or mode not in PAD_MODES:
        raise DataError(f'{2 * len(axes)} pads, two for each axis, and a mode of '
                        f'{", ".join(PAD_MODES)} expected, got {pads} and {mode!r}')
    widths = [(0, 0)] * x.ndim
    for axis, before, behind in zip(axes, pads, pads[len(axes):]):
        widths[axis] = before, behind
    check_size((n + sum(width) for n, width in zip(x.shape, widths)), x.dtype.itemsize)
    crop = [slice(max(0, -before), n - max(0, -behind))
            for n, (before, behind) in zip(x.shape, widths)]
    if any(part.start > part.stop for part in crop):
        raise DataError(f'the negative pads {tuple(pads)} cut off more than there is')
    widths = [(max(0, before), max(0, behind)) for before, behind in widths]
    if any(part != slice(0, n) for part, n in zip(crop, x.shape)):
        x = x[tuple(crop)]
    if mode == 'constant':
        return pad_constant(x, widths, value)
    return pad_repeating(x, widths, mode)


def pad_constant(x, widths, value):
    if is_float(x):
        return F.pad(x, widths, 'constant', constant_values=value) if x.ndim else x
    shape = [before + n + behind for n, (before, behind) in zip(x.shape, widths)]
    y = get_array_module(x).full(shape, value, x.dtype)
    y[tuple(slice(before, before + n) for n, (before, _) in zip(x.shape, widths))] = x
    return y


def pad_repeating(x, widths, mode):
    for axis, width in enumerate(widths):
        if any(width):
            if not x.shape[axis]:
                raise DataError(f'something to repeat along axis {axis} expected, got {x.shape}')
            index = np.pad(np.arange(x.shape[axis]), width, mode)
            x = x[(*(slice(None),) * axis, send_like(index, x))]
    return x


def reverse_sequence(node, x, lengths):
    batch_axis, time_axis = node.get('batch_axis', 1), node.get('time_axis', 0)
    if {batch_axis, time_axis} != {0, 1} or x.ndim < 2:
        raise DataError(f'batch_axis and time_axis as 0 and 1 expected, got {batch_axis} and '
                        f'{time_axis} for a tensor of {x.ndim} axes')
    lengths = np.array(to_ints(lengths), np.int64)
    if len(lengths) != x.shape[batch_axis] or (lengths < 0).any() or (
            lengths > x.shape[time_axis]).any():
        raise DataError(f'{x.shape[batch_axis]} lengths from 0 to {x.shape[time_axis]} expected, '
                        f'got {lengths.tolist()!s:.200}')
    times, rows = np.arange(x.shape[time_axis])[:, None], np.arange(len(lengths))
    times = np.where(times < lengths, lengths - 1 - times, times)
    index = (times, rows[None]) if time_axis == 0 else (rows[:, None], times.T)
    return x[tuple(send_like(part, x) for part in index)]


def compress(node, x, condition):
    axis = node.get('axis')
    if axis is None:
        x, axis = x.reshape((x.size,)), 0
    condition, = arrays(condition)
    if condition.dtype.kind != 'b' or condition.ndim != 1:
        raise DataError(f'a condition of one axis of bool expected, got {condition.dtype} '
                        f'{condition.shape}')
    axis = normalize_axis(axis, x.ndim)
    chosen, = get_array_module(condition).nonzero(condition[:x.shape[axis]])
    return x[(*(slice(None),) * axis, send_like(chosen, x))]


OPERATORS = {
    'Compress': compress,
    'Concat': concat,
    'Expand': expand,
    'Flatten': flatten,
    'Identity': identity,
    'Pad': pad,
    'Reshape': reshape,
    'ReverseSequence': reverse_sequence,
    'Slice': slices,
    'Split': split,
    'Squeeze': squeeze,
    'Tile': tile,
    'Transpose': transpose,
    'Unsqueeze': unsqueeze,
}

"""``x[index]``: slices, numbers, new axes, and arrays of integers."""
import numpy as np

from minichain.backend import is_array, to_cpu
from minichain.functions.get_item import GetItem
from minichain.onnx.exporting.batch import fitted
from minichain.onnx.exporting.refusal import CannotExport

FIRST, LAST = -2**63, 2**63 - 1   # ends of a slice, as far as ONNX's integers go


def get_item(graph, node):
    indexes = [_whole(function.index, trace.arrays[node.operands[0]].ndim)
               for function, trace in zip(node.functions, graph.traces)]
    x, = node.inputs
    if any(is_array(i) and i.dtype.kind == 'b' for i in indexes[0]):
        raise CannotExport('a mask picks as many elements as it has True, which only the '
                           'values tell; where() keeps the shape')
    places = [place for place, i in enumerate(indexes[0]) if i is not None]
    arrays = any(is_array(i) for i in indexes[0])
    cuts, picks = [], []   # of each axis of x, in order
    for axis, place in enumerate(places):
        both = [index[place] for index in indexes]
        if isinstance(both[0], slice):
            cuts.append((axis, _bounds(graph, node, both, axis)))
        elif arrays:
            picks.append((axis, place))
        else:
            at = _number(both)
            cuts.append((axis, (graph.ints([at]), graph.ints([at + 1 if at != -1 else LAST]),
                                graph.ints([1]))))
    cuts = [(axis, bounds) for axis, bounds in cuts if bounds]
    if cuts:
        parts = [_joined(graph, [bounds[k] for _, bounds in cuts]) for k in range(3)]
        x = graph.add('Slice', [x, *parts[:2], graph.ints([axis for axis, _ in cuts]), parts[2]])
    if arrays:
        if any(i is None for i in indexes[0]):
            raise CannotExport('a new axis next to arrays in one index; use two')
        return _gathered(graph, node, x, indexes, picks)
    numbers = [axis for axis, place in enumerate(places)
               if not isinstance(indexes[0][place], slice)]
    if numbers:
        x = graph.add('Squeeze', [x, graph.ints(numbers)])
    kept = [i for i in indexes[0] if i is None or isinstance(i, slice)]
    new = [axis for axis, i in enumerate(kept) if i is None]
    return graph.add('Unsqueeze', [x, graph.ints(new)]) if new else x


def _whole(index, ndim):
    """Return an index with an item for every axis, the Ellipsis written out."""
    used = sum(i is not None and i is not Ellipsis for i in index)
    index = list(index)
    at = next((k for k, i in enumerate(index) if i is Ellipsis), None)
    if at is None:
        at = len(index)
        index.append(Ellipsis)
    return [*index[:at], *[slice(None)] * (ndim - used), *index[at + 1:]]


def _number(values):
    if len({int(v) for v in values}) > 1:
        raise CannotExport(f'an index that depends on the batch size: {values}')
    return int(values[0])


def _bounds(graph, node, slices, axis):
    """Return tensors (start, stop, step) of a slice; None if it takes all."""
    lengths = [trace.arrays[node.operands[0]].shape[axis] for trace in graph.traces]
    exact = [each.indices(length) for each, length in zip(slices, lengths)]
    if all(each == (0, length, 1) for each, length in zip(exact, lengths)):
        return None
    if all(each == slices[0] for each in slices):
        one = slices[0]
        step = one.step or 1
        start, stop = (0, LAST) if step > 0 else (LAST, FIRST)
        return (graph.ints([start if one.start is None else one.start]),
                graph.ints([stop if one.stop is None else one.stop]), graph.ints([step]))
    if any(step != 1 for _, _, step in exact):
        raise CannotExport(f'a slice with a step that depends on the batch size: {slices}')
    start, stop = (fitted([each[k] for each in exact], graph.rows) for k in (0, 1))
    return graph.shape((start,)), graph.shape((stop,)), graph.ints([1])


def _joined(graph, tensors):
    return tensors[0] if len(tensors) == 1 else graph.add('Concat', tensors, axis=0)


def _gathered(graph, node, x, indexes, picks):
    """Pick with arrays of integers (and numbers among them) along the axes of ``picks``."""
    axes = [axis for axis, _ in picks]
    if len(picks) == 1:
        return graph.add('Gather', [x, _index_tensor(graph, node, picks[0][1])], axis=axes[0])
    ndim = len(node.input_shapes[0])
    rest = [axis for axis in range(ndim) if axis not in axes]
    if axes != list(range(len(axes))):
        x = graph.transpose(x, [*axes, *rest])
    shape = [np.broadcast_shapes(*(np.shape(index[place]) for _, place in picks))
             for index in indexes]
    rows = node.output_shapes[0]
    adjacent = axes == list(range(axes[0], axes[0] + len(axes)))
    count, first = len(shape[0]), axes[0] if adjacent else 0
    common = rows[first:first + count]
    batched = count == 1 and _counts_up(node, indexes, picks[0])
    parts = []
    for _, place in picks[batched:]:
        part = _index_tensor(graph, node, place)
        if any(np.shape(index[place]) != each for index, each in zip(indexes, shape)):
            part = graph.add('Expand', [part, graph.shape(common)])
        parts.append(graph.add('Unsqueeze', [part, graph.ints([-1])]))
    indices = parts[0] if len(parts) == 1 else graph.add('Concat', parts, axis=-1)
    y = graph.add('GatherND', [x, indices], batch_dims=int(batched) or None)
    if first:   # the axes of the arrays come back to where the first of them stood
        order = [*range(count, count + first), *range(count), *range(count + first, len(rows))]
        y = graph.transpose(y, order)
    return y


def _counts_up(node, indexes, pick):
    """Return whether an index is 0, 1, 2, ... along the whole axis: one for each row."""
    axis, place = pick
    lengths = [trace.arrays[node.operands[0]].shape[axis] for trace in node.graph.traces]
    return all(np.ndim(index[place]) == 1 and np.array_equal(
        to_cpu(index[place]), np.arange(length))
        for index, length in zip(indexes, lengths))


def _index_tensor(graph, node, place):
    given = [function.index for function in node.functions]
    # Places count the written-out index; behind an Ellipsis they are the same from the end.
    ndim = len(node.input_shapes[0])
    at = next((k for k, i in enumerate(given[0]) if i is Ellipsis), len(given[0]))
    if place > at:
        place -= len(_whole(given[0], ndim)) - len(given[0])
    if not is_array(given[0][place]):
        return graph.constant(_number([index[place] for index in given]), dtype='int64')
    tensor = node.tensor('index', place)
    return graph.add('Cast', [tensor], to=7)   # int64


CONVERTERS = {GetItem: get_item}

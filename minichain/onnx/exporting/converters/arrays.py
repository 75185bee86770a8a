"""Shapes: reshape, transpose, broadcast, join, cut."""
from minichain.functions.broadcast import BroadcastTo
from minichain.functions.concat import Concat, Stack
from minichain.functions.embed_id import EmbedID
from minichain.functions.identity import Copy, Identity
from minichain.functions.permutate import Permutate
from minichain.functions.reshape import Reshape, Transpose
from minichain.functions.split import Separate, SplitAxis


def identity(graph, node):
    return node.inputs


def reshape(graph, node):
    return graph.reshape(node.inputs[0], node.output_shapes[0])


def transpose(graph, node):
    axes, ndim = node.attribute('axes'), len(node.input_shapes[0])
    axes = range(ndim)[::-1] if axes is None else [axis % ndim for axis in axes]
    return graph.transpose(node.inputs[0], axes)


def broadcast_to(graph, node):
    return graph.add('Expand', [node.inputs[0], graph.shape(node.output_shapes[0])])


def concat(graph, node):
    return graph.add('Concat', node.inputs, axis=node.attribute('axis'))


def stack(graph, node):
    axis = node.attribute('axis')
    parts = [graph.add('Unsqueeze', [x, graph.ints([axis])]) for x in node.inputs]
    return graph.add('Concat', parts, axis=axis)


def split(graph, node, axis):
    """Add a Split into parts as long as the results, or as 1 if those have not the axis."""
    x, = node.inputs
    shapes = node.output_shapes
    whole = len(shapes[0]) == len(node.input_shapes[0])
    lengths = tuple(shape[axis] if whole else 1 for shape in shapes)
    if len(lengths) == 1:
        return [x]
    return graph.add('Split', [x, graph.shape(lengths)], len(lengths), axis=axis)


def split_axis(graph, node):
    return split(graph, node, node.attribute('axis'))


def separate(graph, node):
    axis = node.attribute('axis')
    return [graph.add('Squeeze', [part, graph.ints([axis])])
            for part in split(graph, node, axis)]


def permutate(graph, node):
    return graph.add('Gather', [*node.inputs, node.tensor('indices')],
                     axis=node.attribute('axis'))


def embed_id(graph, node):
    W, = node.inputs
    ids, ignored = node.tensor('ids'), node.attribute('ignore_label')
    if node.function.ids.dtype not in ('int32', 'int64'):
        ids = graph.add('Cast', [ids], to=7)   # int64
        dtype = 'int64'
    else:
        dtype = node.function.ids.dtype
    if ignored is None:
        return graph.add('Gather', [W, ids], axis=0)
    skipped = graph.add('Equal', [ids, graph.constant(ignored, dtype=dtype)])
    ids = graph.add('Where', [skipped, graph.constant(0, dtype=dtype), ids])
    rows = graph.add('Gather', [W, ids], axis=0)
    skipped = graph.add('Unsqueeze', [skipped, graph.ints([-1])])
    return graph.add('Where', [skipped, graph.constant(0, dtype=node.dtype), rows])


CONVERTERS = {
    Identity: identity, Copy: identity, Reshape: reshape, Transpose: transpose,
    BroadcastTo: broadcast_to, Concat: concat, Stack: stack, SplitAxis: split_axis,
    Separate: separate, Permutate: permutate, EmbedID: embed_id,
}

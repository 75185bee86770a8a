"""Sums, means and extremes over axes."""
from minichain.functions.broadcast import SumTo
from minichain.functions.extremum import Extremum, IndexOfExtremum
from minichain.functions.mean import Mean
from minichain.functions.prod import Cumsum, Prod
from minichain.functions.sum import Sum


def over_axes(op_type):
    """Return the converter of a reduction with attributes ``axes`` and ``keepdims``."""
    def convert(graph, node):
        return graph.reduce(op_type, node.inputs[0], node.attribute('axes'),
                            node.attribute('keepdims'))
    return convert


def extremum(graph, node):
    kind = {'max': 'ReduceMax', 'min': 'ReduceMin'}[node.attribute('method')]
    return over_axes(kind)(graph, node)


def index_of_extremum(graph, node):
    kind = {'argmax': 'ArgMax', 'argmin': 'ArgMin'}[node.attribute('method')]
    x, axis = node.inputs[0], node.attribute('axis')
    if axis is None:
        x, axis = graph.reshape(x, (-1,)), 0
    return graph.add('Cast', [graph.add(kind, [x], axis=axis, keepdims=0)], to=6)   # int32


def sum_to(graph, node):
    x, y = node.input_shapes[0], node.output_shapes[0]
    lead = len(x) - len(y)
    axes = [*range(lead), *(lead + i for i, n in enumerate(y) if n == 1 != x[lead + i])]
    return graph.reshape(graph.reduce('ReduceSum', node.inputs[0], axes, keepdims=True), y)


def cumsum(graph, node):
    return graph.add('CumSum', [*node.inputs, graph.constant(node.attribute('axis'),
                                                             dtype='int64')])


CONVERTERS = {
    Sum: over_axes('ReduceSum'), Mean: over_axes('ReduceMean'), Prod: over_axes('ReduceProd'),
    Extremum: extremum, IndexOfExtremum: index_of_extremum, SumTo: sum_to, Cumsum: cumsum,
}

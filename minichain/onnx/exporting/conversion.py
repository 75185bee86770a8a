"""From traces to the nodes of a graph: what is constant is folded, the rest goes to converters."""
from minichain.onnx.exporting.batch import OUTSIDE
from minichain.onnx.exporting.converters import (
    COMPUTED_INSIDE,
    CONVERTERS,
    REFUSALS,
    WINNERS,
    WITH_INDICES,
)
from minichain.onnx.exporting.node import Node, kept_arrays
from minichain.onnx.exporting.refusal import CannotExport, report


def convert(graph):
    """Fill a Graph from its traces.

    Raises:
        CannotExport: one report of all functions that have no ONNX form.
    """
    first = graph.traces[0]
    for name, number in first.inputs:
        graph.bind(number, graph.fresh(name))
    computed, producers, refused = set(graph.input_numbers), {}, []
    for place, applications in enumerate(zip(*(one.applications for one in graph.traces))):
        node = Node(graph, applications, producers)
        kept = [first.find(array) for array in kept_arrays(node.function)]
        if not computed.intersection(node.operands) and not computed.intersection(kept):
            for number in node.results:
                graph.follow(number, (*node.operands, *filter(None, kept)))
            continue   # computed from constants: it is one
        computed.update(node.results)
        graph.scope = node.path
        try:
            tensors = _converter(node.function)(graph, node)
            for number, tensor in zip(
                    node.results, [tensors] if isinstance(tensors, str) else tensors):
                graph.bind(number, tensor)
        except CannotExport as error:
            where = f'step {place}' + (f' in {node.path}' if node.path else '')
            reason = _explained(str(error), graph, node.operands)
            if reason.startswith((OUTSIDE, WINNERS)):
                reason = COMPUTED_INSIDE.get(node.caller, reason)
            refused.append((node.caller or node.function.label, where, reason))
            for number in node.results:
                graph.bind(number, '')
        producers.update(dict.fromkeys(node.results, node))
    graph.scope, outputs = '', []
    for name, number in first.outputs:
        try:
            graph.tensor(number)
            outputs.append(number)
        except CannotExport as error:
            refused.append(('the output', name, _explained(str(error), graph, [number])))
    if refused:
        raise CannotExport(report(refused))


def _explained(reason, graph, numbers):
    """Return a reason, where an array that a function computed with NumPy is among the values."""
    if not reason.startswith(OUTSIDE):
        return reason
    shapes = {graph.traces[0].arrays[number].shape for number in numbers
              if graph.traces[0].arrays[number].dtype.kind == 'i'}
    for one in graph.traces[0].applications:
        if one.caller in WITH_INDICES and graph.traces[0].arrays[one.results[0]].shape in shapes:
            return (f'the indices that {one.caller} returns with return_indices=True are looked '
                    'for with NumPy inside of it: they have no form in ONNX here. Export what '
                    'needs the maxima only')
    return reason


def _converter(function):
    for kind in type(function).__mro__:
        if kind in CONVERTERS:
            return CONVERTERS[kind]
        if kind in REFUSALS:
            raise CannotExport(REFUSALS[kind])
    raise CannotExport('no converter is known for it')

"""From traces to the nodes of a graph: what is constant is folded, the rest goes to converters."""
from minichain.onnx.exporting.converters import CONVERTERS, REFUSALS
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
            refused.append((node.function.label, where, str(error)))
            for number in node.results:
                graph.bind(number, '')
        producers.update(dict.fromkeys(node.results, node))
    graph.scope, outputs = '', []
    for name, number in first.outputs:
        try:
            graph.tensor(number)
            outputs.append(number)
        except CannotExport as error:
            refused.append(('the output', name, str(error)))
    if refused:
        raise CannotExport(report(refused))


def _converter(function):
    for kind in type(function).__mro__:
        if kind in CONVERTERS:
            return CONVERTERS[kind]
        if kind in REFUSALS:
            raise CannotExport(REFUSALS[kind])
    raise CannotExport('no converter is known for it')

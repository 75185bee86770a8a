"""A Graph as a ModelProto: only what leads to the outputs, under the names asked for, checked."""
from minichain._version import __version__
from minichain.errors import InvalidArgument
from minichain.onnx.exporting.batch import fitted
from minichain.onnx.exporting.refusal import CannotExport

LIMIT = 2**31 - 1   # bytes in a protocol buffer message
ROOM = 2**24        # for all but the weights


def build(graph, title):
    """Return the onnx.ModelProto of a converted Graph.

    Raises:
        InvalidArgument: the weights do not fit in one file.
    """
    from onnx import helper, numpy_helper
    nodes, outputs = _with_outputs(graph)
    nodes = _needed(nodes, outputs)
    names = _final_names(graph, nodes, outputs)
    weights = {names[name]: graph.initializers[name] for _, inputs, _, _ in nodes
               for name in inputs if name in graph.initializers}
    nodes = [(kind, [names[x] for x in inputs], [names[y] for y in outputs], attributes)
             for kind, inputs, outputs, attributes in nodes]
    expect_room(sum(array.nbytes for array in weights.values()))
    first = graph.traces[0]
    proto = helper.make_graph(
        [helper.make_node(kind, inputs, results, name=results[0], **attributes)
         for kind, inputs, results, attributes in nodes],
        title,
        [_value_info(graph, name, number) for name, number in first.inputs],
        [_value_info(graph, name, number) for name, number in first.outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()])
    opset = helper.make_opsetid('', graph.opset)
    return helper.make_model(
        proto, opset_imports=[opset], ir_version=helper.find_min_ir_version_for([opset]),
        producer_name='minichain', producer_version=__version__)


def expect_room(size):
    """Raise InvalidArgument unless weights of so many bytes fit in one file."""
    if size > LIMIT - ROOM:
        raise InvalidArgument(f'export: {size / 2**30:.1f} GiB of weights do not fit in one ONNX '
                              'file, which holds 2 GiB. Export parts of the model, or convert '
                              'its parameters to float16 first')


def serialize(proto):
    """Return the bytes of a model after ONNX's own full check.

    Raises:
        InvalidArgument: the check found a fault.
    """
    import onnx
    data = proto.SerializeToString(deterministic=True)
    try:
        onnx.checker.check_model(data, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InvalidArgument(f'export: ONNX does not accept the model in opset '
                              f'{proto.opset_import[0].version}: {error}. Try another opset'
                              ) from error
    return data


def _with_outputs(graph):
    """Return the nodes, which end in tensors called as the outputs, and these tensors.

    A tensor that no node makes, or that is given twice, is copied.
    """
    made = {name for _, _, outputs, _ in graph.nodes for name in outputs}
    nodes, outputs = list(graph.nodes), []
    for name, number in graph.traces[0].outputs:
        tensor = graph.tensor(number)
        if tensor not in made or tensor in outputs:
            copy = graph.fresh(name)
            nodes.append(('Identity', [tensor], [copy], {}))
            tensor = copy
        outputs.append(tensor)
    return nodes, outputs


def _final_names(graph, nodes, outputs):
    """Return a dict from tensor to its name in the file; numbers only where names collide."""
    names = {'': ''}
    names.update((graph.tensor(number), name) for name, number in graph.traces[0].inputs)
    names.update((tensor, name) for (name, _), tensor in zip(graph.traces[0].outputs, outputs))
    taken = set(names.values())
    for _, inputs, outputs, _ in nodes:
        for tensor in (*inputs, *outputs):
            if tensor not in names:
                wanted, count = graph.wanted[tensor], 1
                name = wanted
                while name in taken:
                    count += 1
                    name = f'{wanted}_{count}'
                names[tensor] = name
                taken.add(name)
    return names


def _needed(nodes, outputs):
    """Return the nodes that lead to the outputs, in the same order."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node[2]):
            needed.update(node[1])
            kept.append(node)
    return kept[::-1]


def _value_info(graph, name, number):
    from onnx import helper
    arrays = [trace.arrays[number] for trace in graph.traces]
    shape = [_length(lengths, graph.rows) for lengths in zip(*(a.shape for a in arrays))]
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(arrays[0].dtype), shape)


def _length(lengths, rows):
    """Return an int, a text such as 'N', or None for what follows the batch in another way."""
    try:
        length = fitted(lengths, rows)
    except CannotExport:
        return None
    return length if isinstance(length, int) else str(length)

"""A Graph as a ModelProto: only what leads to the outputs, under the names asked for, checked."""
from minichain._version import __version__
from minichain.errors import InvalidArgument
from minichain.onnx.export.batch import fitted_shape

LIMIT = 2**31 - 1   # bytes in a protocol buffer message


def build(graph, title):
    """Return the onnx.ModelProto of a converted Graph.

    Raises:
        InvalidArgument: the weights do not fit in one file.
    """
    from onnx import helper, numpy_helper
    nodes, outputs = _renamed_outputs(graph)
    nodes = _needed(nodes, outputs)
    used = {name for _, inputs, _, _ in nodes for name in inputs}
    weights = {name: array for name, array in graph.initializers.items() if name in used}
    size = sum(array.nbytes for array in weights.values())
    if size > LIMIT:
        raise InvalidArgument(f'export: {size / 2**30:.1f} GiB of weights do not fit in one ONNX '
                              'file, which holds 2 GiB. Export parts of the model, or convert '
                              'its parameters to float16 first')
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


def serialize(proto):
    """Return the bytes of a model after ONNX's own full check.

    Raises:
        InvalidArgument: the model is too large, or the check found a fault.
    """
    import onnx
    if proto.ByteSize() > LIMIT:
        raise InvalidArgument('export: the model does not fit in one ONNX file, which holds 2 GiB')
    try:
        onnx.checker.check_model(proto, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InvalidArgument(f'export: ONNX does not accept the model in opset '
                              f'{proto.opset_import[0].version}: {error}. Try another opset'
                              ) from error
    return proto.SerializeToString(deterministic=True)


def _renamed_outputs(graph):
    """Return the nodes with the outputs under their own names, and these names."""
    made = {name for _, _, outputs, _ in graph.nodes for name in outputs}
    renamed, copies = {}, []
    for name, number in graph.traces[0].outputs:
        tensor = graph.tensor(number)
        if tensor in made and tensor not in renamed:
            renamed[tensor] = name
        else:
            copies.append(('Identity', [tensor], [name], {}))
    # A tensor inside that is called like an output makes room.
    taken = set(renamed.values()) | {outputs[0] for _, _, outputs, _ in copies}
    for other in sorted((made | set(graph.initializers)) & taken - set(renamed)):
        renamed[other] = graph.fresh(f'{other}_inside')
    for name in set(graph.initializers) & set(renamed):
        graph.initializers[renamed[name]] = graph.initializers.pop(name)
    nodes = [(kind, [renamed.get(x, x) for x in inputs], [renamed.get(y, y) for y in outputs],
              attributes) for kind, inputs, outputs, attributes in [*graph.nodes, *copies]]
    return nodes, [name for name, _ in graph.traces[0].outputs]


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
    shape = fitted_shape([array.shape for array in arrays], graph.rows)
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(arrays[0].dtype),
        [n if isinstance(n, int) else str(n) for n in shape])

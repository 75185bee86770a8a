"""A network that was read from an ONNX file, written as it was read, with the weights of now.

What cannot be traced - loops, ifs that look at values, arithmetic of integers - stays as it is in
the file, and so do the version of the operators and the axes that may have any length.
"""
import numpy as np

from minichain.backend import to_cpu
from minichain.onnx.exporting.model_proto import expect_room
from minichain.onnx.exporting.refusal import CannotExport
from minichain.onnx.graph import Graph
from minichain.onnx.net import FUNCTION
from minichain.onnx.operators import CONTROL
from minichain.onnx.operators.signatures import OPERATORS

DOMAIN = 'minichain.functions'      # of the functions that a file brings along
OLDEST_IR = 8       # a file with functions


def needs_rewriting(net):
    """Return whether a trace of an OnnxFunction may take one path for the only one: it has bodies
    that run by values, or inputs from which lengths and places may be computed."""
    return any(dtype.kind != 'f' for dtype, _ in net._graph.inputs.values()) or any(
        node.op_type in CONTROL for node in net._graph.depth_first() if not node.domain)


def takes_tensors(net):
    """Return whether all inputs of an OnnxFunction are tensors, no sequences of them."""
    return all(dtype is not None for dtype, _ in net._graph.inputs.values())


def rewrite(net, names):
    """Return the onnx.ModelProto of an OnnxFunction.

    Args:
        names: dict, name of an input or output -> what it is to be called, if that is another.
    Raises:
        CannotExport: the file has something that is read but not written.
        InvalidArgument: the weights do not fit in one file.
    """
    from onnx import helper
    writer = Writer(net)
    proto = writer.graph(writer.whole)
    expect_room(sum(len(tensor.raw_data) for tensor in proto.initializer))
    for value in (*proto.input, *proto.output):
        old, new = value.name, names.get(value.name, value.name)
        if old != new:
            is_input = old in writer.whole.inputs
            ends = (new, old) if is_input else (old, new)
            copy = helper.make_node('Identity', ends[:1], ends[1:], name=f'rename {new}')
            proto.node.insert(0 if is_input else len(proto.node), copy)
            value.name = new
    opsets = [helper.make_opsetid(domain, version) for domain, version in writer.opsets.items()]
    return helper.make_model(
        proto, opset_imports=opsets, functions=writer.functions, producer_name=net.producer,
        ir_version=max(OLDEST_IR, helper.find_min_ir_version_for(opsets, ignore_unknown=True)))


class Writer:
    """What is collected on the way: functions and the versions of all operators.

    Args:
        net: the OnnxFunction.
    """

    def __init__(self, net):
        self.net, self.whole, self.functions = net, net._graph, []
        self.opsets = {'': net.opsets['']}

    def graph(self, graph):
        """Return the GraphProto of a Graph, or of a body inside it."""
        from onnx import helper, numpy_helper
        weights = [numpy_helper.from_array(self._array(graph, name), name)
                   for name in graph.initializers]
        return helper.make_graph(
            [self.node(node) for node in graph.nodes], graph.name or 'graph',
            [self._value(name, *kind) for name, kind in graph.inputs.items()],
            [self._value(name, *graph.output_types.get(name, (None, None)))
             for name in graph.outputs], weights)

    def _array(self, graph, name):
        if name not in graph.keys:
            return graph.initializers[name]
        value = getattr(self.net, graph.keys[name])
        return np.ascontiguousarray(to_cpu(getattr(value, 'array', value)))

    def _value(self, name, dtype, shape):
        from onnx import helper
        if dtype is None:
            return helper.make_empty_tensor_value_info(name)
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)

    def node(self, node):
        """Return the NodeProto of a Node; a function that it calls becomes one of the model."""
        from onnx import helper
        if FUNCTION in node.attributes:
            name = self._function(node)
            return helper.make_node(name, node.inputs, node.outputs, node.name, domain=DOMAIN)
        if self.opsets.setdefault(node.domain, node.opset) != node.opset:
            raise CannotExport(f'{node} is of version {node.opset} of the operators, others of '
                               f'{self.opsets[node.domain]}')
        proto = helper.make_node(node.op_type, node.inputs, node.outputs, node.name,
                                 domain=node.domain)
        kinds = OPERATORS[node.op_type][3] if not node.domain and node.op_type in OPERATORS else {}
        proto.attribute.extend(self._attribute(node, name, value, kinds.get(name, ('',))[0])
                               for name, value in node.attributes.items())
        return proto

    def _function(self, node):
        from onnx import helper
        body = node.attributes[FUNCTION]
        nodes = [self.node(each) for each in body.nodes]    # those that it calls come first
        self.opsets[DOMAIN] = 1
        opsets = [helper.make_opsetid(domain, version) for domain, version in self.opsets.items()]
        name = f'{node.op_type}_{len(self.functions)}'
        self.functions.append(helper.make_function(
            DOMAIN, name, list(body.inputs), body.outputs, nodes, opsets))
        return name

    def _attribute(self, node, name, value, kind):
        from onnx import AttributeProto, helper, numpy_helper
        if isinstance(value, tuple):
            raise CannotExport(f'{node}: the attribute {name!r} is a type')
        many = isinstance(value, list)
        values = [self._plain(item, numpy_helper) for item in (value if many else [value])]
        return helper.make_attribute(
            name, values if many else values[0],
            attr_type=None if values else getattr(AttributeProto, kind.upper(), None))

    def _plain(self, value, numpy_helper):
        if isinstance(value, Graph):
            return self.graph(value)
        return numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value

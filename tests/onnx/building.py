"""ONNX models of one node, for tests of operators."""
import numpy as np
import onnx
import onnx.reference
from onnx import TensorProto, helper, numpy_helper

import minichain.onnx

NEWEST = 22


def make_node(op_type, inputs, n_outputs, attributes):
    names = [f'x{place}' if x is not None else '' for place, x in enumerate(inputs)]
    while names and not names[-1]:
        names.pop()
    outputs = [f'y{place}' for place in range(n_outputs)]
    return helper.make_node(op_type, names, outputs, **attributes)


def model(op_type, inputs, n_outputs=1, opset=NEWEST, initializers=(), **attributes):
    """A ModelProto of one node.

    Args:
        inputs: arrays, which say types and numbers of axes; None for one that is left out.
        initializers: places of the inputs that are kept in the model.
    """
    node = make_node(op_type, inputs, n_outputs, attributes)
    arrays = {f'x{place}': np.asarray(x) for place, x in enumerate(inputs) if x is not None}
    kept = {f'x{place}' for place in initializers}
    graph = helper.make_graph(
        [node], 'one node',
        [helper.make_tensor_value_info(name, type_of(array), [None] * array.ndim)
         for name, array in arrays.items() if name not in kept],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
         for name in node.output],
        [numpy_helper.from_array(arrays[name], name) for name in sorted(kept)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)])


def type_of(array):
    if array.dtype.kind in 'OU':
        return TensorProto.STRING
    return helper.np_dtype_to_tensor_dtype(array.dtype)


def load(op_type, inputs, n_outputs=1, opset=NEWEST, initializers=(), **attributes):
    """The `OnnxFunction` of one node."""
    return minichain.onnx.load(
        model(op_type, inputs, n_outputs, opset, initializers, **attributes))


def run(op_type, *inputs, n_outputs=1, opset=NEWEST, initializers=(), **attributes):
    """Computes one node: an array, or a tuple of n_outputs arrays."""
    net = load(op_type, inputs, n_outputs, opset, initializers, **attributes)
    given = [np.asarray(x) for place, x in enumerate(inputs)
             if x is not None and place not in initializers]
    results = tuple(y.array for y in net(*given))
    return results[0] if n_outputs == 1 else results


def reference(op_type, *inputs, n_outputs=1, opset=NEWEST, **attributes):
    """The same by the evaluator of the onnx package, which is independent of minichain."""
    graph = model(op_type, inputs, n_outputs, opset, **attributes)
    given = {f'x{place}': np.asarray(x) for place, x in enumerate(inputs) if x is not None}
    results = onnx.reference.ReferenceEvaluator(graph).run(None, given)
    return results[0] if n_outputs == 1 else tuple(results)


def check_gradients(net, *inputs, rtol=1e-5, atol=1e-7, step=1e-6):
    """Compares gradients of all float64 inputs and parameters with central differences.

    Args:
        net: an `OnnxFunction` whose first output is float64.
        inputs: arrays.
    """
    variables = [minichain.Variable(x.copy()) if x.dtype == np.float64 else x for x in inputs]
    leaves = [x for x in variables if isinstance(x, minichain.Variable)] + list(net.params())
    assert leaves
    net.cleargrads()
    y = net(*variables)[0]
    seed = np.cos(np.arange(y.size)).reshape(y.shape)
    y.grad = seed
    y.backward()
    for leaf in leaves:
        values = leaf.array.copy()
        expected = np.empty(values.shape)
        for place in np.ndindex(*values.shape):
            ends = []
            for sign in (1, -1):
                changed = values.copy()
                changed[place] += sign * step
                leaf.array = changed
                ends.append((net(*variables)[0].array * seed).sum())
            expected[place] = (ends[0] - ends[1]) / (2 * step)
        leaf.array = values
        assert leaf.grad is not None, 'no gradient came'
        np.testing.assert_allclose(leaf.grad, expected, rtol, atol)

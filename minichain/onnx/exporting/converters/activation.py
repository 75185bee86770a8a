"""Functions of each element alone, and the softmax family."""
from minichain.functions.elu import ELU
from minichain.functions.hyperbolic import Tanh
from minichain.functions.relu import ClippedReLU, LeakyReLU, PReLU, ReLU
from minichain.functions.sigmoid import HardSigmoid, Sigmoid
from minichain.functions.softmax import LogSoftmax, LogSumExp, Softmax
from minichain.functions.softplus import Softplus
from minichain.onnx.exporting.refusal import CannotExport


def same(op_type):
    """Return the converter of a function that ONNX has as an operator without attributes."""
    def convert(graph, node):
        return graph.add(op_type, node.inputs)
    return convert


def clipped_relu(graph, node):
    zero, z = (graph.constant(limit, dtype=node.dtype) for limit in (0, node.attribute('z')))
    return graph.add('Clip', [*node.inputs, zero, z])


def leaky_relu(graph, node):
    return graph.add('LeakyRelu', node.inputs, alpha=float(node.attribute('slope')))


def elu(graph, node):
    return graph.add('Elu', node.inputs, alpha=float(node.attribute('alpha')))


def hard_sigmoid(graph, node):
    return graph.add('HardSigmoid', node.inputs, alpha=.2, beta=.5)


def softplus(graph, node):
    beta, x = node.attribute('beta'), node.inputs[0]
    if beta == 1:
        return graph.add('Softplus', [x])
    beta = graph.constant(beta, dtype=node.dtype)
    return graph.add('Div', [graph.add('Softplus', [graph.add('Mul', [x, beta])]), beta])


def along_axis(op_type):
    def convert(graph, node):
        return graph.add(op_type, node.inputs, axis=node.attribute('axis'))
    return convert


def log_sum_exp(graph, node):
    return graph.reduce('ReduceLogSumExp', node.inputs[0], node.attribute('axes'))


def prelu(graph, node):
    x, W = node.input_shapes
    if len(W) > len(x):
        raise CannotExport(f'slopes of shape {W} for x of shape {x}')
    return graph.add('PRelu', node.inputs)


CONVERTERS = {
    ReLU: same('Relu'), ClippedReLU: clipped_relu, LeakyReLU: leaky_relu, PReLU: prelu,
    ELU: elu, Sigmoid: same('Sigmoid'), HardSigmoid: hard_sigmoid, Tanh: same('Tanh'),
    Softplus: softplus, Softmax: along_axis('Softmax'), LogSoftmax: along_axis('LogSoftmax'),
    LogSumExp: log_sum_exp,
}

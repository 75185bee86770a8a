"""What each ONNX operator computes, one family a file.

An operator is a function of the node and its inputs, None for those left out, and returns its
output, or a tuple of them. Floats come as Variables if they have a gradient to hand back, all else
as arrays (see ``values``); the version is ``node.opset``. To add an operator, write its function
and enter it in the table at the end of its file.
"""
from minichain.onnx.operators import (
    activations, arithmetic, attention, blocks, casting, comparison, constants, control,
    convolution, detection, gathering, losses, matrices, normalization, pooling, quantization,
    recurrent, reductions, resizing, sampling, sequences, shaping, signals)

FAMILIES = (
    activations, arithmetic, attention, blocks, casting, comparison, constants, control,
    convolution, detection, gathering, losses, matrices, normalization, pooling, quantization,
    recurrent, reductions, resizing, sampling, sequences, shaping, signals)

# Names of ONNX's own domain, and (domain, name) of others.
OPERATORS = {name: operator for family in FAMILIES for name, operator in family.OPERATORS.items()}

# Those that run bodies: they take a function (body, *inputs) -> outputs after the node.
CONTROL = frozenset(control.OPERATORS)

# Float inputs that are settings and not weights, from which position on: no gradient, or a choice.
SETTINGS = {
    'BatchNormalization': 3, 'Clip': 1, 'DequantizeLinear': 1, 'Dropout': 1, 'Equal': 0,
    'Greater': 0, 'GreaterOrEqual': 0, 'Less': 0, 'LessOrEqual': 0, 'OneHot': 2, 'Pad': 2,
    'Pow': 1, 'QLinearConv': 0, 'QLinearMatMul': 0, 'QuantizeLinear': 1, 'Range': 0, 'Resize': 1,
    'Upsample': 1, 'Where': 3,
}

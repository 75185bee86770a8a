"""Arithmetic of Variables and numbers."""
import numpy as np

from minichain.functions.cast import Cast
from minichain.functions.clip import Clip, Maximum, Minimum
from minichain.functions.exponential import Exp, Expm1, Log, Log1p
from minichain.functions.operators import (
    Absolute,
    Add,
    AddConstant,
    Div,
    DivFromConstant,
    FloorDiv,
    Mul,
    MulConstant,
    Neg,
    Power,
    PowerConstant,
    PowerOfConstant,
    Sub,
    SubFromConstant,
)
from minichain.functions.power import Rsqrt, Sqrt, Square
from minichain.functions.squared_difference import SquaredDifference
from minichain.functions.squared_error import MeanSquaredError
from minichain.functions.where import Where
from minichain.onnx.exporting.converters.activation import same
from minichain.onnx.exporting.converters.normalization import fused_normalization


def add(graph, node):
    return fused_normalization(graph, node) or graph.add('Add', node.inputs)


def with_number(op_type, first=False):
    """Return the converter of a function of one operand and a number, which may come first."""
    def convert(graph, node):
        number = graph.constant(node.attribute('value'), dtype=node.dtype)
        operands = [number, *node.inputs] if first else [*node.inputs, number]
        return graph.add(op_type, operands)
    return convert


def floor_divide(graph, node):
    x, y = node.inputs
    if node.dtype.kind == 'f':
        return graph.add('Floor', [graph.add('Div', [x, y])])
    # ONNX cuts a quotient of integers towards zero; its remainder has the sign of the divisor.
    return graph.add('Div', [graph.add('Sub', [x, graph.add('Mod', [x, y])]), y])


def cast(graph, node):
    if node.dtype == node.output_dtype:
        return node.inputs
    return graph.add('Cast', node.inputs, to=onnx_dtype(node.output_dtype))


def onnx_dtype(dtype):
    """Return ONNX's number of a NumPy dtype."""
    from onnx import helper
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def clip(graph, node):
    limits = [node.attribute('x_min'), node.attribute('x_max')]
    return graph.add('Clip', [*node.inputs, *(
        '' if limit is None else graph.constant(limit, dtype=node.dtype) for limit in limits)])


def rsqrt(graph, node):
    return graph.add('Reciprocal', [graph.add('Sqrt', node.inputs)])


def square(graph, node):
    return graph.add('Mul', node.inputs * 2)


def squared_difference(graph, node):
    return graph.add('Mul', [graph.add('Sub', node.inputs)] * 2)


def mean_squared_error(graph, node):
    square = squared_difference(graph, node)
    return graph.reduce('ReduceMean', square, range(len(node.input_shapes[0])))


def one(graph, node):
    return graph.constant(1, dtype=node.dtype)


def expm1(graph, node):
    return graph.add('Sub', [graph.add('Exp', node.inputs), one(graph, node)])


def log1p(graph, node):
    return graph.add('Log', [graph.add('Add', [*node.inputs, one(graph, node)])])


def where(graph, node):
    return graph.add('Where', [node.tensor('condition'), *node.inputs])


CONVERTERS = {
    Add: add, Sub: same('Sub'), Mul: same('Mul'), Div: same('Div'), Power: same('Pow'),
    FloorDiv: floor_divide, Neg: same('Neg'), Absolute: same('Abs'),
    AddConstant: with_number('Add'), SubFromConstant: with_number('Sub', first=True),
    MulConstant: with_number('Mul'), DivFromConstant: with_number('Div', first=True),
    PowerConstant: with_number('Pow'), PowerOfConstant: with_number('Pow', first=True),
    Cast: cast, Clip: clip, Maximum: same('Max'), Minimum: same('Min'), Where: where,
    Sqrt: same('Sqrt'), Rsqrt: rsqrt, Square: square, Exp: same('Exp'), Log: same('Log'),
    Expm1: expm1, Log1p: log1p, SquaredDifference: squared_difference,
    MeanSquaredError: mean_squared_error,
}

"""Arithmetic, element by element: floats by minichain's functions, integers by arrays."""
import functools

import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.operators.values import check_broadcast, is_float, keep_dtype, send_like


def same_dtype(*values):
    """ONNX converts nothing by itself.

    Raises:
        DataError: operands of different types.
    """
    if any(value.dtype != values[0].dtype for value in values):
        raise DataError('operands of one type expected, got '
                        f'{", ".join(str(value.dtype) for value in values)}')


def aligned(node, x, y):
    """Operands that broadcast; before operator set 7 `axis` says where y stands in x."""
    same_dtype(x, y)
    if node.opset < 7 and node.get('broadcast') and 'axis' in node.attributes:
        axis = node.get('axis')
        axis += x.ndim if axis < 0 else 0
        y = y.reshape(y.shape + (1,) * max(0, x.ndim - axis - y.ndim))
    y = send_like(y, x) if not is_float(x) else y
    check_broadcast(x, y)
    return x, y


def binary(on_floats, on_integers):
    """An operator with two operands from a function of floats and one of integer arrays."""
    def operator(node, x, y):
        x, y = aligned(node, x, y)
        if is_float(x):
            return on_floats(x, y)
        x, y = as_array(x), as_array(y)
        return keep_dtype(on_integers(x, y), x)
    return operator


def divide_integers(x, y):
    """Integer division that truncates; by zero it gives zero."""
    xp = get_array_module(x)
    divisor = xp.where(y == 0, y.dtype.type(1), y)
    quotient = x // divisor
    if x.dtype.kind == 'i':
        quotient = quotient + ((x % divisor != 0) & ((x < 0) != (y < 0)))
    return xp.where(y == 0, x.dtype.type(0), quotient)


def mod(node, x, y):
    x, y = aligned(node, x, y)
    x, y = as_array(x), as_array(y)
    xp = get_array_module(x)
    if is_float(x):
        return xp.fmod(x, y) if node.get('fmod') else xp.mod(x, y)
    divisor = xp.where(y == 0, y.dtype.type(1), y)
    return xp.fmod(x, divisor) if node.get('fmod') else xp.mod(x, divisor)


def power(node, x, y):
    if node.opset < 7:
        x, y = aligned(node, x, y)
    check_broadcast(x, y)
    if is_float(x):
        y = y if y.dtype == x.dtype else as_array(y).astype(x.dtype)
        if not isinstance(y, np.ndarray):
            return x ** y
        return x ** (y.item() if y.size == 1 and y.ndim <= x.ndim else y)
    xp = get_array_module(x)
    return keep_dtype(xp.power(as_array(x).astype(np.float64), as_array(y)), x)


def unary(on_floats, on_integers=None):
    """An operator with one operand."""
    def operator(node, x):
        if is_float(x):
            return on_floats(x)
        if on_integers is None:
            raise DataError(f'floats expected, got {x.dtype}')
        return keep_dtype(on_integers(as_array(x)), x)
    return operator


def fold(on_floats, on_integers):
    """An operator that takes any number of operands, two at a time."""
    both = binary(on_floats, on_integers)

    def operator(node, *values):
        return functools.reduce(functools.partial(both, node), values)
    return operator


def mean(node, *values):
    return add(node, *values) / len(values)


add = fold(F.add, lambda x, y: x + y)

OPERATORS = {
    'Abs': unary(F.absolute, abs),
    'Add': binary(lambda x, y: x + y, lambda x, y: x + y),
    'Ceil': unary(F.ceil),
    'Div': binary(lambda x, y: x / y, divide_integers),
    'Exp': unary(F.exp),
    'Floor': unary(F.floor),
    'Log': unary(F.log),
    'Max': fold(F.maximum, np.maximum),
    'Mean': mean,
    'Min': fold(F.minimum, np.minimum),
    'Mod': mod,
    'Mul': binary(lambda x, y: x * y, lambda x, y: x * y),
    'Neg': unary(lambda x: -x, lambda x: -x),
    'Pow': power,
    'Reciprocal': unary(lambda x: 1 / x),
    'Sqrt': unary(F.sqrt),
    'Sub': binary(lambda x, y: x - y, lambda x, y: x - y),
    'Sum': add,
}

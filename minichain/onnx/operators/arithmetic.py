"""Arithmetic, element by element: floats by minichain's functions, integers by arrays."""
import functools

import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.operators.elementary import arccosh, arcsinh, erf
from minichain.onnx.operators.values import (
    check_broadcast,
    is_float,
    keep_dtype,
    on_one_device,
    send_like,
    to_scalar,
)


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
    check_broadcast(x, y)
    return (x, y) if is_float(x) else on_one_device(x, y)


def binary(on_floats, on_integers):
    """An operator with two operands from a function of floats and one of integer arrays."""
    def operator(node, x, y):
        x, y = aligned(node, x, y)
        if is_float(x):
            return on_floats(x, y)
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
        y = y if y.dtype == x.dtype else send_like(y, x).astype(x.dtype)
        if not isinstance(y, np.ndarray):
            return x ** y
        return x ** (y.item() if y.size == 1 and y.ndim <= x.ndim else y)
    x, y = on_one_device(x, y)
    if is_float(y):
        return get_array_module(x).power(x.astype(np.float64), y).astype(x.dtype)
    return power_of_integers(x, y)


def power_of_integers(x, y):
    """x ** y, exact as far as x's type holds it; 0 where y is negative and x is not 1 or -1."""
    xp = get_array_module(x)
    powers = xp.power(x, xp.maximum(y, 0).astype(x.dtype))
    if y.dtype.kind == 'u':
        return powers
    odd = xp.where(y & 1, x, xp.abs(x))
    return xp.where(y < 0, xp.where(xp.abs(x) == 1, odd, x.dtype.type(0)), powers)


def unary(on_floats, on_integers=None):
    """An operator with one operand."""
    def operator(node, x):
        if is_float(x):
            return on_floats(x)
        if on_integers is None:
            raise DataError(f'floats expected, got {x.dtype}')
        return keep_dtype(on_integers(as_array(x)), x)
    return operator


def clip(node, x, low=None, high=None):
    """Limits that are left out do not limit; where they cross, the upper one holds."""
    low, high = ((node.get(name) if value is None else to_scalar(value))
                 for name, value in (('min', low), ('max', high)))
    if is_float(x):
        if low is not None and high is not None and low < high:
            return F.clip(x, low, high)
        x = x if low is None else F.clip(x, low, None)
        return x if high is None else F.clip(x, None, high)
    xp, limits, x = get_array_module(x), np.iinfo(x.dtype), as_array(x)
    low = limits.min if low is None else int(max(low, limits.min))
    high = limits.max if high is None else int(min(high, limits.max))
    return xp.minimum(xp.maximum(x, x.dtype.type(low)), x.dtype.type(high))


def bit_shift(node, x, y):
    """Shifts by more bits than there are, or by less than none, leave only the sign."""
    x, y = aligned(node, x, y)
    xp, bits = get_array_module(x), x.dtype.itemsize * 8
    outside = (y < 0) | (y >= bits)
    amount = xp.where(outside, y.dtype.type(0), y)
    if node.require('direction') == 'LEFT':
        return xp.where(outside, x.dtype.type(0), xp.left_shift(x, amount))
    return xp.where(outside, -(x < 0).astype(x.dtype), xp.right_shift(x, amount))


def round_half_to_even(node, x):
    return get_array_module(x).rint(as_array(x))


def is_nan(node, x):
    return get_array_module(x).isnan(as_array(x))


def is_inf(node, x):
    xp, x = get_array_module(x), as_array(x)
    found = xp.zeros(x.shape, bool)
    if node.get('detect_positive', 1):
        found |= x == np.inf
    if node.get('detect_negative', 1):
        found |= x == -np.inf
    return found


def sign(x):
    return get_array_module(x).sign(as_array(x))


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
    'Acos': unary(F.arccos),
    'Acosh': unary(arccosh),
    'Add': binary(lambda x, y: x + y, lambda x, y: x + y),
    'Asin': unary(F.arcsin),
    'Asinh': unary(arcsinh),
    'Atan': unary(F.arctan),
    'Atanh': unary(F.arctanh),
    'BitShift': bit_shift,
    'Ceil': unary(F.ceil),
    'Clip': clip,
    'Cos': unary(F.cos),
    'Cosh': unary(F.cosh),
    'Div': binary(lambda x, y: x / y, divide_integers),
    'Erf': unary(erf, lambda x: erf(x.astype(np.float64)).array),
    'Exp': unary(F.exp),
    'Floor': unary(F.floor),
    'IsInf': is_inf,
    'IsNaN': is_nan,
    'Log': unary(F.log),
    'Max': fold(F.maximum, lambda x, y: get_array_module(x).maximum(x, y)),
    'Mean': mean,
    'Min': fold(F.minimum, lambda x, y: get_array_module(x).minimum(x, y)),
    'Mod': mod,
    'Mul': binary(lambda x, y: x * y, lambda x, y: x * y),
    'Neg': unary(lambda x: -x, lambda x: -x),
    'Pow': power,
    'Reciprocal': unary(lambda x: 1 / x),
    'Round': round_half_to_even,
    'Sign': unary(sign, sign),
    'Sin': unary(F.sin),
    'Sinh': unary(F.sinh),
    'Sqrt': unary(F.sqrt),
    'Sub': binary(lambda x, y: x - y, lambda x, y: x - y),
    'Sum': add,
    'Tan': unary(F.tan),
}

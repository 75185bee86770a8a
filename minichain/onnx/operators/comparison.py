"""Comparison, logic, bits, and the choice by a condition."""
import operator

import minichain.functions as F
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.operators.arithmetic import aligned, same_dtype
from minichain.onnx.operators.values import check_broadcast, is_float, on_one_device


def comparison(function):
    """An operator with two operands of one type and a bool result."""
    def compare(node, x, y):
        x, y = on_one_device(*aligned(node, x, y))
        return function(x, y).astype(bool)
    return compare


def expect_kinds(kinds, *values):
    if any(value.dtype.kind not in kinds for value in values):
        names = {'b': 'bool', 'iu': 'integers'}
        raise DataError(f'{names[kinds]} expected, got '
                        f'{", ".join(str(value.dtype) for value in values)}')


def combination(function, kinds):
    """An operator with two operands of bools, or of integers, and a result like them."""
    def combine(node, x, y):
        expect_kinds(kinds, x, y)
        return function(*aligned(node, x, y))
    return combine


def inversion(kinds):
    def invert(node, x):
        expect_kinds(kinds, x)
        return ~x
    return invert


def where(node, condition, x, y):
    expect_kinds('b', condition)
    same_dtype(x, y)
    check_broadcast(condition, x, y)
    if is_float(x):
        condition, *_ = on_one_device(condition, x, y)
        return F.where(condition, x, y)
    condition, x, y = on_one_device(condition, x, y)
    return get_array_module(x).where(condition, x, y)


OPERATORS = {
    'And': combination(operator.and_, 'b'),
    'BitwiseAnd': combination(operator.and_, 'iu'),
    'BitwiseNot': inversion('iu'),
    'BitwiseOr': combination(operator.or_, 'iu'),
    'BitwiseXor': combination(operator.xor, 'iu'),
    'Equal': comparison(operator.eq),
    'Greater': comparison(operator.gt),
    'GreaterOrEqual': comparison(operator.ge),
    'Less': comparison(operator.lt),
    'LessOrEqual': comparison(operator.le),
    'Not': inversion('b'),
    'Or': combination(operator.or_, 'b'),
    'Where': where,
    'Xor': combination(operator.xor, 'b'),
}

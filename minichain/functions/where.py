"""Elementwise choice by a condition."""
from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module, is_array
from minichain.errors import InvalidType
from minichain.functions.broadcast import sum_to
from minichain.type_check import expect_broadcast, expect_same_dtype, expect_same_module


class Where(Primitive):
    label = 'where'

    def __init__(self, condition):
        self.condition = condition

    def check_type_forward(self, in_types):
        x, y = in_types
        expect_same_module('where', (self.condition, x, y))
        expect_same_dtype('where', x=x, y=y)
        expect_broadcast('where', self.condition, x, y)

    def forward(self, arrays):
        return get_array_module(*arrays).where(self.condition, *arrays),

    def backward(self, indexes, grads):
        gz, = grads
        x, y = self.inputs
        zero = get_array_module(gz).zeros((), gz.dtype)
        return (sum_to(where(self.condition, gz, zero), x.shape) if 0 in indexes else None,
                sum_to(where(self.condition, zero, gz), y.shape) if 1 in indexes else None)


def where(condition, x, y):
    """x where ``condition``, else y, elementwise.

    Args:
        condition: bool, Variable or array.
        x, y: one dtype; the shapes of all three broadcast together.
    Raises:
        InvalidType: the condition is not bool, dtypes differ or shapes do not broadcast.
    """
    condition = as_array(condition)
    if not is_array(condition) or condition.dtype.kind != 'b':
        raise InvalidType('where: condition as an array of dtype bool expected, got '
                          f"{getattr(condition, 'dtype', condition)}. Compare it: condition != 0")
    return Where(condition).apply((x, y))[0]

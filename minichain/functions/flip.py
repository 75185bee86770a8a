"""Reversed order along an axis."""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidType
from minichain.functions._axis import expect_axis


class Flip(Primitive):
    label = 'flip'

    def __init__(self, axis):
        self.axis = axis

    def forward(self, arrays):
        return get_array_module(*arrays).flip(arrays[0], self.axis),

    def backward(self, indexes, grads):
        return Flip(self.axis).apply(grads)


def flip(x, axis):
    """Reverse the order along ``axis``.

    Raises:
        InvalidType: there is no such axis.
    """
    return Flip(expect_axis('flip', axis, x.ndim)).apply((x,))[0]


def flipud(a):
    """Reverse the order along axis 0: turn a matrix upside down."""
    if a.ndim < 1:
        raise InvalidType('flipud: at least one axis expected, got shape ()')
    return Flip(0).apply((a,))[0]


def fliplr(a):
    """Reverse the order along axis 1: exchange left and right of a matrix."""
    if a.ndim < 2:
        raise InvalidType(f'fliplr: at least two axes expected, got shape {a.shape}')
    return Flip(1).apply((a,))[0]

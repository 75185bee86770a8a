"""Piecewise constant functions, through which no gradient flows, and the remainder fmod."""
from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module
from minichain.functions.broadcast import sum_to
from minichain.type_check import expect_broadcast, expect_float, expect_same_dtype


class Fmod(Primitive):
    def check_type_forward(self, in_types):
        x, divisor = in_types
        expect_float('fmod', x=x, divisor=divisor)
        expect_same_dtype('fmod', x=x, divisor=divisor)
        expect_broadcast('fmod', x, divisor)

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        return get_array_module(*arrays).fmod(*arrays),

    def backward(self, indexes, grads):
        gy, = grads
        x, divisor = (as_array(a) for a in self.get_retained_inputs())
        return (sum_to(gy, x.shape) if 0 in indexes else None,
                sum_to(-gy * get_array_module(x).trunc(x / divisor), divisor.shape)
                if 1 in indexes else None)


class Rounding(Primitive):
    """A function of the array module, by name: sign, floor, ceil or trunc."""

    def __init__(self, method):
        self.method = method

    def forward(self, arrays):
        return getattr(get_array_module(*arrays), self.method)(*arrays),


def _apply(method, x):
    return Rounding(method).apply((as_array(x),))[0]


def sign(x):
    """-1, 0 or 1, elementwise, a constant; x any shape."""
    return _apply('sign', x)


def floor(x):
    """Largest integer not above x, elementwise, a constant; x any shape."""
    return _apply('floor', x)


def ceil(x):
    """Smallest integer not below x, elementwise, a constant; x any shape."""
    return _apply('ceil', x)


def fix(x):
    """x without its fraction, towards 0, elementwise, a constant; x any shape."""
    return _apply('trunc', x)


def fmod(x, divisor):
    """Remainder of x / divisor, with the sign of x:  x - divisor fix(x / divisor), elementwise.

    Args:
        x, divisor: float, one dtype, shapes that broadcast together.
    Raises:
        InvalidType: dtypes differ or shapes do not broadcast.
    """
    return Fmod().apply((x, divisor))[0]

"""Limits, elementwise: clip to an interval, the larger or the smaller of two arrays."""
from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module
from minichain.errors import InvalidArgument
from minichain.functions._elementwise import Elementwise
from minichain.functions.broadcast import sum_to
from minichain.type_check import expect_broadcast, expect_float, expect_same_dtype


class Clip(Elementwise):
    def __init__(self, x_min, x_max):
        self.x_min, self.x_max = x_min, x_max

    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return get_array_module(x).clip(x, self.x_min, self.x_max),

    def backward(self, indexes, grads):
        x = as_array(self.get_retained_inputs()[0])
        inside = True if self.x_min is None else x >= self.x_min
        return grads[0] * (inside if self.x_max is None else (x <= self.x_max) & inside),


class Choice(Primitive):
    """Of two arrays one element each; a tie goes to the first."""

    def check_type_forward(self, in_types):
        x1, x2 = in_types
        expect_float(self.label, x1=x1, x2=x2)
        expect_same_dtype(self.label, x1=x1, x2=x2)
        expect_broadcast(self.label, x1, x2)

    def backward(self, indexes, grads):
        x1, x2 = (as_array(x) for x in self.get_retained_inputs())
        gy, first = grads[0], self.first(x1, x2)
        return (sum_to(gy * first, x1.shape) if 0 in indexes else None,
                sum_to(gy * ~first, x2.shape) if 1 in indexes else None)


class Maximum(Choice):
    label = 'maximum'

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        return get_array_module(*arrays).maximum(*arrays),

    def first(self, x1, x2):
        return x1 >= x2


class Minimum(Choice):
    label = 'minimum'

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        return get_array_module(*arrays).minimum(*arrays),

    def first(self, x1, x2):
        return x1 <= x2


def clip(x, x_min, x_max):
    """min(max(x, x_min), x_max), elementwise.

    Args:
        x: float, any shape.
        x_min, x_max: limits, numbers; None means no limit on this side.
    Raises:
        InvalidArgument: both limits are None, or not x_min < x_max.
    """
    if x_min is None and x_max is None:
        raise InvalidArgument('clip: a number for x_min or x_max expected, got None for both')
    if x_min is not None and x_max is not None and not x_min < x_max:
        raise InvalidArgument(f'clip: x_min < x_max expected, got {x_min} and {x_max}')
    return Clip(*(limit if limit is None else float(limit) for limit in (x_min, x_max))
                ).apply((x,))[0]


def maximum(x1, x2):
    """The larger of x1 and x2, elementwise; of equal ones x1 gets the gradient.

    Args:
        x1, x2: float, one dtype, shapes that broadcast together.
    Raises:
        InvalidType: dtypes differ or shapes do not broadcast.
    """
    return Maximum().apply((x1, x2))[0]


def minimum(x1, x2):
    """The smaller of x1 and x2, elementwise; of equal ones x1 gets the gradient.

    Args:
        x1, x2: float, one dtype, shapes that broadcast together.
    Raises:
        InvalidType: dtypes differ or shapes do not broadcast.
    """
    return Minimum().apply((x1, x2))[0]

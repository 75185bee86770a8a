"""Broadcasting and its adjoint, summing back: each is the other's derivative."""
from minichain.autograd import Primitive, as_result
from minichain.backend import get_array_module
from minichain.errors import InvalidType
from minichain.type_check import expect_broadcast


class BroadcastTo(Primitive):
    def __init__(self, shape):
        self.shape = shape

    def check_type_forward(self, in_types):
        x, = in_types
        lead = len(self.shape) - x.ndim
        if lead < 0 or any(n not in (1, m) for n, m in zip(x.shape, self.shape[lead:])):
            raise InvalidType(f'broadcast_to: a shape that {x.shape} broadcasts to expected, got '
                              f'{self.shape}. Axes are aligned from the right')

    def forward(self, arrays):
        return get_array_module(*arrays).broadcast_to(arrays[0], self.shape),

    def backward(self, indexes, grads):
        return sum_to(grads[0], self.inputs[0].shape),


class SumTo(Primitive):
    """Sum over the axes that broadcasting would have added or stretched."""

    def __init__(self, shape):
        self.shape = shape

    def forward(self, arrays):
        x, = arrays
        lead = x.ndim - len(self.shape)
        axes = tuple(range(lead)) + tuple(
            lead + i for i, n in enumerate(self.shape) if n == 1 != x.shape[lead + i])
        return x.sum(axis=axes, keepdims=True).reshape(self.shape),

    def backward(self, indexes, grads):
        return broadcast_to(grads[0], self.inputs[0].shape),


def broadcast_to(x, shape):
    """Repeat ``x`` along axes of length 1 and along new leading axes, up to ``shape``.

    Raises:
        InvalidType: ``x`` does not broadcast to ``shape``.
    """
    return as_result(x) if x.shape == tuple(shape) else BroadcastTo(tuple(shape)).apply((x,))[0]


def sum_to(x, shape):
    """Sum ``x`` over the axes that :func:`broadcast_to` would add or stretch from ``shape``."""
    return x if x.shape == shape else SumTo(shape).apply((x,))[0]


def broadcast(*xs):
    """Broadcast all operands to their common shape.

    Args:
        xs: Variables or arrays.
    Returns:
        tuple of Variables of one shape; a single Variable if one operand was given.
    """
    shape = expect_broadcast('broadcast', *xs)
    results = tuple(BroadcastTo(shape).apply((x,))[0] for x in xs)
    return results if len(results) > 1 else results[0]

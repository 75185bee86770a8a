"""Diagonals of matrices."""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidType
from minichain.functions._axis import expect_axis


class Diagonal(Primitive):
    label = 'diagonal'

    def __init__(self, *place):
        self.place = place

    def forward(self, arrays):
        return arrays[0].diagonal(*self.place).copy(),   # NumPy's own is a read-only view

    def backward(self, indexes, grads):
        return DiagonalGrad(self.inputs[0].shape, *self.place).apply(grads)


class DiagonalGrad(Primitive):
    """Zeros but for the diagonal."""

    def __init__(self, shape, *place):
        self.shape, self.place = shape, place

    def forward(self, arrays):
        gy, = arrays
        xp = get_array_module(gy)
        offset, axis1, axis2 = self.place
        gx = xp.zeros(self.shape, gy.dtype)
        i = xp.arange(gy.shape[-1])
        xp.moveaxis(gx, (axis1, axis2), (-2, -1))[..., i - min(offset, 0), i + max(offset, 0)] = gy
        return gx,

    def backward(self, indexes, grads):
        return Diagonal(*self.place).apply(grads)


def diagonal(x, offset=0, axis1=0, axis2=1):
    """Diagonal of the matrices along two axes; it becomes the last axis.

    Args:
        x: at least two axes.
        offset: how far above (positive) or below the main diagonal.
        axis1, axis2: rows and columns of the matrices.
    Raises:
        InvalidType: an axis does not exist, or both are the same.
    """
    axis1 = expect_axis('diagonal', axis1, x.ndim, 'axis1')
    axis2 = expect_axis('diagonal', axis2, x.ndim, 'axis2')
    if axis1 == axis2:
        raise InvalidType(f'diagonal: two axes expected, got {axis1} twice')
    return Diagonal(offset, axis1, axis2).apply((x,))[0]

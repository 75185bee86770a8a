"""Mixing two arrays, elementwise."""
from minichain.autograd import Primitive
from minichain.type_check import expect_float, expect_same_dtype, expect_shape


class LinearInterpolate(Primitive):
    label = 'linear_interpolate'

    def check_type_forward(self, in_types):
        p, x, y = in_types
        expect_float('linear_interpolate', p=p)
        expect_same_dtype('linear_interpolate', p=p, x=x, y=y)
        expect_shape('linear_interpolate', p.shape, x=x, y=y)

    def forward(self, arrays):
        self.retain_inputs((0, 1, 2))
        p, x, y = arrays
        return p * x + (1 - p) * y,

    def backward(self, indexes, grads):
        p, x, y = self.get_retained_inputs()
        gz, = grads
        gx = gz * p
        return gz * (x - y), gx, gz - gx


def linear_interpolate(p, x, y):
    """p x + (1 - p) y, elementwise.

    Args:
        p, x, y: float, one shape and dtype.
    Raises:
        InvalidType: shapes or dtypes differ.
    """
    return LinearInterpolate().apply((p, x, y))[0]

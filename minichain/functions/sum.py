"""Sum over axes; spreading a gradient back over them is its adjoint."""
from minichain.autograd import Primitive
from minichain.functions._axis import expect_axes, spread, sum_dtype
from minichain.type_check import expect_float


class Sum(Primitive):
    label = 'sum'

    def __init__(self, axes, keepdims):
        self.axes, self.keepdims = axes, keepdims

    def check_type_forward(self, in_types):
        expect_float('sum', x=in_types[0])

    def forward(self, arrays):
        x, = arrays
        y = x.sum(axis=self.axes, dtype=sum_dtype(x.dtype), keepdims=self.keepdims)
        return y.astype(x.dtype, copy=False),

    def backward(self, indexes, grads):
        return spread(grads[0], self.inputs[0].shape, self.axes),


def sum(x, axis=None, keepdims=False):
    """Sum over ``axis``.

    Args:
        x: float, any shape; float16 is added up in float32.
        axis: int or tuple of ints; None means all.
        keepdims: keep the summed axes with length 1.
    Raises:
        InvalidType: ``x`` is not float, or an axis does not exist or is given twice.
    """
    return Sum(expect_axes('sum', axis, x.ndim), keepdims).apply((x,))[0]

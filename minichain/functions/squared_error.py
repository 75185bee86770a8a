"""Squared differences and their mean."""
from minichain.autograd import Primitive
from minichain.functions._axis import sum_dtype
from minichain.functions._loss import expect_alike
from minichain.functions.squared_difference import squared_difference


class MeanSquaredError(Primitive):
    def forward(self, arrays):
        self.retain_inputs((0, 1))
        x0, x1 = arrays
        difference = x0 - x1
        total = (difference * difference).sum(dtype=sum_dtype(x0.dtype))
        return (total / max(1, x0.size)).astype(x0.dtype),

    def backward(self, indexes, grads):
        x0, x1 = self.get_retained_inputs()
        gx = (x0 - x1) * (grads[0] * (2 / max(1, x0.size)))
        return gx, -gx


def squared_error(x0, x1):
    """:func:`squared_difference` by its other name."""
    return squared_difference(*expect_alike('squared_error', x0=x0, x1=x1))


def mean_squared_error(x0, x1):
    """Mean of (x0 - x1) ** 2.

    Args:
        x0, x1: float, one shape and dtype.
    Raises:
        InvalidType: shapes or dtypes differ.
    """
    return MeanSquaredError().apply(expect_alike('mean_squared_error', x0=x0, x1=x1))[0]

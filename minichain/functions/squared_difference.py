"""Squared difference, elementwise."""
from minichain.autograd import Primitive
from minichain.type_check import expect_float, expect_same_dtype, expect_shape


class SquaredDifference(Primitive):
    label = 'squared_difference'

    def check_type_forward(self, in_types):
        x1, x2 = in_types
        expect_float('squared_difference', x1=x1)
        expect_same_dtype('squared_difference', x1=x1, x2=x2)
        expect_shape('squared_difference', x1.shape, x2=x2)

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        x1, x2 = arrays
        difference = x1 - x2
        return difference * difference,

    def backward(self, indexes, grads):
        x1, x2 = self.get_retained_inputs()
        gx = grads[0] * (x1 - x2) * 2
        return gx, -gx if 1 in indexes else None


def squared_difference(x1, x2):
    """(x1 - x2) ** 2, elementwise.

    Args:
        x1, x2: float, one shape and dtype.
    Raises:
        InvalidType: shapes or dtypes differ.
    """
    return SquaredDifference().apply((x1, x2))[0]

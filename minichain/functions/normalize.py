"""Vectors of length 1."""
from minichain.autograd import as_variable
from minichain.functions._axis import expect_axes, sum_dtype
from minichain.functions.cast import cast
from minichain.functions.power import sqrt
from minichain.functions.sum import sum
from minichain.type_check import expect_float


def normalize(x, eps=1e-5, axis=1):
    """x / (|x| + eps), with the Euclidean norm along ``axis``; vectors of zeros stay zeros.

    Args:
        x: float, any shape with this axis.
        eps: keeps the divisor from 0.
        axis: int or tuple of ints, over which the squares are summed.
    Raises:
        InvalidType: ``x`` is not float, or has no such axis.
    """
    expect_float('normalize', x=x)
    wide = cast(as_variable(x), sum_dtype(x.dtype))
    squared = sum(wide * wide, expect_axes('normalize', axis, x.ndim), keepdims=True)
    zero = (squared.array == 0).astype(wide.dtype)   # where the root has no slope: sqrt(1) - 1
    return cast(wide / (sqrt(squared + zero) - zero + eps), x.dtype)

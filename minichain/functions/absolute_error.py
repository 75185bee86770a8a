"""Absolute differences and their mean."""
from minichain.functions._loss import expect_alike, mean


def absolute_error(x0, x1):
    """|x0 - x1|, elementwise; the gradient at 0 is 0.

    Args:
        x0, x1: float, one shape and dtype.
    Raises:
        InvalidType: shapes or dtypes differ.
    """
    x0, x1 = expect_alike('absolute_error', x0=x0, x1=x1)
    return abs(x0 - x1)


def mean_absolute_error(x0, x1):
    """Mean of |x0 - x1|.

    Args:
        x0, x1: float, one shape and dtype.
    Raises:
        InvalidType: shapes or dtypes differ.
    """
    x0, x1 = expect_alike('mean_absolute_error', x0=x0, x1=x1)
    return mean(abs(x0 - x1))

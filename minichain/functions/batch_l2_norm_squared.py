"""Squared length of each row."""
from minichain.errors import InvalidType
from minichain.functions.power import square
from minichain.functions.sum import sum


def batch_l2_norm_squared(x):
    """Sum of x * x over all axes but the first.

    Args:
        x: float, (N, ...), at least two axes.
    Returns:
        (N,).
    Raises:
        InvalidType: fewer axes.
    """
    if x.ndim < 2:
        raise InvalidType('batch_l2_norm_squared: at least two axes expected, got shape '
                          f'{x.shape}')
    return sum(square(x), tuple(range(1, x.ndim)))

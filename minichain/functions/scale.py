"""Multiplying by, and adding, an array that spans some axes of another: scale and bias."""
from minichain.autograd import as_variable
from minichain.errors import InvalidType
from minichain.functions.reshape import reshape


def _aligned(label, x, y, axis):
    """Return ``y`` so that its first axis meets axis ``axis`` of ``x``."""
    if axis < 0 or y.shape != x.shape[axis:axis + y.ndim]:
        raise InvalidType(f'{label}: y of the shape that x has from axis {axis} on expected, got '
                          f'{y.shape} for x of shape {x.shape}')
    return reshape(y, y.shape + (1,) * (x.ndim - axis - y.ndim))


def scale(x, y, axis=1):
    """x y, elementwise, where y spans the axes of x from ``axis`` on.

    Args:
        x: float, any shape.
        y: same dtype, x.shape[axis:axis + y.ndim].
        axis: the first axis of ``x`` that ``y`` has.
    Raises:
        InvalidType: the shapes do not fit.
    """
    return as_variable(x) * _aligned('scale', x, y, axis)


def bias(x, y, axis=1):
    """x + y, elementwise, where y spans the axes of x from ``axis`` on.

    Args:
        x: float, any shape.
        y: same dtype, x.shape[axis:axis + y.ndim].
        axis: the first axis of ``x`` that ``y`` has.
    Raises:
        InvalidType: the shapes do not fit.
    """
    return as_variable(x) + _aligned('bias', x, y, axis)

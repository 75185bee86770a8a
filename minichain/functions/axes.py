"""Axes added, removed, merged and moved. All are views: a reshape or a transpose."""
from minichain.errors import InvalidType
from minichain.functions._axis import expect_axes, expect_axis
from minichain.functions.reshape import reshape, transpose


def expand_dims(x, axis):
    """Insert an axis of length 1; it is axis ``axis`` of the result.

    Raises:
        InvalidType: the result has no such axis.
    """
    axis = expect_axis('expand_dims', axis, x.ndim + 1)
    return reshape(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def squeeze(x, axis=None):
    """Remove axes of length 1.

    Args:
        x: any shape.
        axis: int or tuple of ints; None means all of length 1.
    Raises:
        InvalidType: an axis does not exist or is longer than 1.
    """
    axes = (tuple(i for i, n in enumerate(x.shape) if n == 1) if axis is None
            else expect_axes('squeeze', axis, x.ndim))
    if any(x.shape[i] != 1 for i in axes):
        raise InvalidType(f'squeeze: length 1 along axis {axis} expected, got shape {x.shape}')
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def flatten(x):
    """Reshape to one axis."""
    return reshape(x, (x.size,))


def swapaxes(x, axis1, axis2):
    """Exchange two axes.

    Raises:
        InvalidType: an axis does not exist.
    """
    axis1 = expect_axis('swapaxes', axis1, x.ndim, 'axis1')
    axis2 = expect_axis('swapaxes', axis2, x.ndim, 'axis2')
    axes = list(range(x.ndim))
    axes[axis1], axes[axis2] = axis2, axis1
    return transpose(x, tuple(axes))


def moveaxis(x, source, destination):
    """Move axes to other positions; the rest keep their order.

    Args:
        x: any shape.
        source, destination: int or tuple of ints each, equally many.
    Raises:
        InvalidType: an axis does not exist or is given twice, or the numbers differ.
    """
    source = expect_axes('moveaxis', source, x.ndim)
    destination = expect_axes('moveaxis', destination, x.ndim)
    if len(source) != len(destination):
        raise InvalidType(f'moveaxis: as many sources as destinations expected, got {source} and '
                          f'{destination}')
    axes = [i for i in range(x.ndim) if i not in source]
    for position, axis in sorted(zip(destination, source)):
        axes.insert(position, axis)
    return transpose(x, tuple(axes))


def rollaxis(x, axis, start=0):
    """Move ``axis`` backwards until it lies before the axis that now is number ``start``.

    Raises:
        InvalidType: an axis does not exist.
    """
    axis = expect_axis('rollaxis', axis, x.ndim)
    start = x.ndim if start == x.ndim else expect_axis('rollaxis', start, x.ndim, 'start')
    axes = [i for i in range(x.ndim) if i != axis]
    axes.insert(start - (start > axis), axis)
    return transpose(x, tuple(axes))

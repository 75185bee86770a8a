"""Maxout: the largest of each group of neighbours."""
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions._axis import expect_axis
from minichain.functions.extremum import max
from minichain.functions.reshape import reshape


def maxout(x, pool_size, axis=1):
    """Largest of every ``pool_size`` neighbours along ``axis``.

    Args:
        x: float; its length along ``axis`` divides by ``pool_size``.
        pool_size: size of the groups, positive.
        axis: along which to group.
    Returns:
        as ``x``, with length 1 / pool_size along ``axis``.
    Raises:
        InvalidType: the length does not divide, or there is no such axis.
    Goodfellow et al. 2013, "Maxout networks", arXiv:1302.4389.
    """
    if pool_size < 1:
        raise InvalidArgument(f'maxout: pool_size of at least 1 expected, got {pool_size}')
    axis = expect_axis('maxout', axis, x.ndim)
    if x.shape[axis] % pool_size:
        raise InvalidType(f'maxout: a length along axis {axis} that divides by pool_size = '
                          f'{pool_size} expected, got shape {x.shape}')
    shape = (*x.shape[:axis], x.shape[axis] // pool_size, pool_size, *x.shape[axis + 1:])
    return max(reshape(x, shape), axis + 1)

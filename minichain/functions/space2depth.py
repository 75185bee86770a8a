"""Blocks of pixels to channels and back: a reshape, a transpose, a reshape."""
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions.reshape import reshape, transpose
from minichain.type_check import expect_ndim


def _expect_block(label, X, r):
    expect_ndim(label, 4, X=X)
    if r < 1:
        raise InvalidArgument(f'{label}: r of at least 1 expected, got {r}')


def depth2space(X, r):
    """Spread channels over r x r pixels.

    Args:
        X: (N, r * r * C, H, W).
        r: how much larger height and width become.
    Returns:
        (N, C, r * H, r * W).
    Raises:
        InvalidType: the channels do not divide by r * r.
    Shi et al. 2016, "Real-time single image and video super-resolution", arXiv:1609.05158.
    """
    _expect_block('depth2space', X, r)
    N, C, H, W = X.shape
    if C % (r * r):
        raise InvalidType(f'depth2space: channels that divide by r * r = {r * r} expected, got '
                          f'{C} in shape {X.shape}')
    C //= r * r
    y = transpose(reshape(X, (N, r, r, C, H, W)), (0, 3, 4, 1, 5, 2))
    return reshape(y, (N, C, r * H, r * W))


def space2depth(X, r):
    """Gather r x r pixels into channels; undoes :func:`depth2space`.

    Args:
        X: (N, C, r * H, r * W).
        r: how much smaller height and width become.
    Returns:
        (N, r * r * C, H, W).
    Raises:
        InvalidType: height or width does not divide by r.
    """
    _expect_block('space2depth', X, r)
    N, C, H, W = X.shape
    if H % r or W % r:
        raise InvalidType(f'space2depth: height and width that divide by r = {r} expected, got '
                          f'shape {X.shape}')
    y = transpose(reshape(X, (N, C, H // r, r, W // r, r)), (0, 3, 5, 1, 2, 4))
    return reshape(y, (N, r * r * C, H // r, W // r))

"""Spatial pyramid pooling: a vector of one length for images of any size."""
from minichain.errors import InvalidArgument
from minichain.functions.concat import concat
from minichain.functions.max_pooling import max_pooling_2d
from minichain.functions.reshape import reshape
from minichain.type_check import expect_ndim


def spatial_pyramid_pooling_2d(x, pyramid_height, pooling=None):
    """Max pooling into 1, 4, 16, ... windows that tile the image.

    Args:
        x: images, (N, C, H, W), float.
        pyramid_height: number of levels P, an int; level i has 2 ** i windows along either axis.
        pooling: 'max', the only kind there is.
    Returns:
        (N, C * (1 + 4 + ... + 4 ** (P - 1)), 1, 1).
    Raises:
        InvalidType: ``x`` is no batch of images. InvalidArgument: another kind, or no level.
    He et al. 2014, "Spatial pyramid pooling in deep convolutional networks", arXiv:1406.4729.
    """
    label = 'spatial_pyramid_pooling_2d'
    expect_ndim(label, 4, x=x)
    if pooling != 'max':
        raise InvalidArgument(f"{label}: pooling='max' expected, got {pooling!r}")
    if pyramid_height < 1:
        raise InvalidArgument(f'{label}: a pyramid_height of at least 1 expected, got '
                              f'{pyramid_height}')
    levels = []
    for level in range(pyramid_height):
        ksize = tuple(-(-size // 2 ** level) for size in x.shape[2:])
        pad = tuple((2 ** level * k - size) // 2 for k, size in zip(ksize, x.shape[2:]))
        y = max_pooling_2d(x, ksize, None, pad, True)
        levels.append(reshape(y, (x.shape[0], y.shape[1] * y.shape[2] * y.shape[3], 1, 1)))
    return concat(levels, axis=1)

"""Resizing of images: linear and separable, hence two matrix products."""
from minichain.backend import get_array_module
from minichain.errors import InvalidArgument
from minichain.functions.matmul import matmul
from minichain.functions.windows import as_ints
from minichain.type_check import expect_float, expect_ndim


def hat(positions, size, dtype):
    """Return (..., size): weights that interpolate linearly at ``positions`` in 0 .. size - 1."""
    xp = get_array_module(positions)
    return xp.maximum(1 - abs(positions[..., None] - xp.arange(size)), 0).astype(dtype)


def _weights(xp, size, out, mode, align_corners, dtype):
    if mode == 'nearest':
        return hat(xp.arange(out) * size // out, size, dtype)
    if align_corners:
        return hat(xp.linspace(0, size - 1, out), size, dtype)
    return hat(xp.clip((xp.arange(out) + .5) * size / out - .5, 0, size - 1), size, dtype)


def resize_images(x, output_shape, *, mode='bilinear', align_corners=True):
    """Resize images.

    Args:
        x: (N, C, H, W), float.
        output_shape: (OH, OW).
        mode: 'bilinear', or 'nearest', which takes pixel i H // OH.
        align_corners: whether the middles of the corner pixels stay corners, so that pixel i is
            taken at i (H - 1) / (OH - 1); if not, at (i + 0.5) H / OH - 0.5, as OpenCV does.
            Without effect on 'nearest'.
    Returns:
        (N, C, OH, OW).
    Raises:
        InvalidType: ``x`` is no batch of images. InvalidArgument: shape or mode not allowed.
    """
    expect_ndim('resize_images', 4, x=x)
    expect_float('resize_images', x=x)
    shape = as_ints('resize_images', 'output_shape', output_shape, 2, 1)
    if mode not in ('bilinear', 'nearest'):
        raise InvalidArgument("resize_images: mode 'bilinear' or 'nearest' expected, got "
                              f'{mode!r}')
    xp = get_array_module(x)
    rows, columns = (_weights(xp, size, out, mode, align_corners, x.dtype)
                     for size, out in zip(x.shape[2:], shape))
    return matmul(rows, matmul(x, columns, transb=True))

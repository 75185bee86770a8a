"""Spatial transformer: sample an image wherever a grid of coordinates points."""
from minichain.autograd import as_array, as_variable
from minichain.backend import get_array_module
from minichain.functions.get_item import get_item
from minichain.functions.matmul import matmul
from minichain.functions.reshape import reshape, transpose
from minichain.functions.windows import as_ints
from minichain.type_check import expect_float, expect_ndim, expect_same_dtype, expect_shape


def bilinear(x, v, u):
    """Bilinear interpolation of images at given pixels, zeros outside.

    Args:
        x: (N, C, H, W), float.
        v, u: rows and columns of P points, (N, P), same dtype; 0 is the middle of the first.
    Returns:
        (N, P, C).
    """
    xp, (n, _, h, w) = get_array_module(x), x.shape
    v, u, batch = as_variable(v), as_variable(u), xp.arange(n)[:, None]
    top, left = (xp.floor(xp.clip(as_array(p), -2, size + 1)) for p, size in ((v, h), (u, w)))
    below, right = v - top, u - left
    y = None
    for rows, weight_v in ((top, 1 - below), (top + 1, below)):
        for columns, weight_u in ((left, 1 - right), (left + 1, right)):
            inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
            weight = weight_v * weight_u * inside.astype(x.dtype)
            pixels = get_item(x, (batch, slice(None), xp.clip(rows, 0, h - 1).astype('int64'),
                                  xp.clip(columns, 0, w - 1).astype('int64')))
            term = pixels * reshape(weight, (*weight.shape, 1))
            y = term if y is None else y + term
    return y


def spatial_transformer_sampler(x, grid):
    """Sample images at the points of a grid, by bilinear interpolation.

    Args:
        x: images, (N, C, H, W), float.
        grid: (N, 2, OH, OW), same dtype: horizontal coordinate, then vertical; -1 is the middle
            of the first pixel, 1 that of the last. Outside of the image there are zeros.
    Returns:
        (N, C, OH, OW).
    Raises:
        InvalidType: shapes or dtypes do not fit.
    Jaderberg et al. 2015, "Spatial transformer networks", arXiv:1506.02025.
    """
    label = 'spatial_transformer_sampler'
    expect_ndim(label, 4, x=x)
    expect_shape(label, (x.shape[0], 2, None, None), grid=grid)
    expect_float(label, x=x)
    expect_same_dtype(label, x=x, grid=grid)
    (n, c, h, w), (oh, ow) = x.shape, grid.shape[2:]
    points = (reshape(grid, (n, 2, oh * ow)) + 1) * .5
    y = bilinear(x, points[:, 1] * (h - 1), points[:, 0] * (w - 1))
    return reshape(transpose(y, (0, 2, 1)), (n, c, oh, ow))


def spatial_transformer_grid(theta, output_shape):
    """Coordinates of an affinely warped image, for :func:`spatial_transformer_sampler`.

    Args:
        theta: (N, 2, 3), float: source (x, y) = theta (x, y, 1) of the target.
        output_shape: (OH, OW).
    Returns:
        (N, 2, OH, OW); target coordinates run from -1 to 1 along either axis.
    Raises:
        InvalidType: ``theta`` has another shape. InvalidArgument: so has ``output_shape``.
    """
    label = 'spatial_transformer_grid'
    expect_float(label, theta=theta)
    expect_shape(label, (None, 2, 3), theta=theta)
    oh, ow = as_ints(label, 'output_shape', output_shape, 2, 1)
    xp = get_array_module(theta)
    target = xp.ones((3, oh, ow), theta.dtype)
    target[0] = xp.linspace(-1, 1, ow)
    target[1] = xp.linspace(-1, 1, oh)[:, None]
    return reshape(matmul(theta, target.reshape(3, oh * ow)), (theta.shape[0], 2, oh, ow))

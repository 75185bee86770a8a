"""Where Caffe's windows and axes lie: sizes given once or per axis, pooling that rounds up."""

import math

from minichain.errors import DataError

MAX_LENGTH = 1 << 16            # of a kernel, stride, pad or dilation
MAX_ELEMENTS = 1 << 25          # of a result per image, 128 MiB; or else
MAX_GROWTH = 32                 # times the input


def spatial(p, name, default=None):
    """A size that Caffe's messages give as `pad: 1`, `pad: 1 pad: 2`, or `pad_h: 1 pad_w: 2`.

    Args:
        p: Message of kind ConvolutionParameter or PoolingParameter.
        name: 'kernel_size', 'stride', 'pad' or 'dilation'.
        default: where nothing is given; None refuses that.
    Returns:
        (height, width).
    Raises:
        DataError: nothing given, both forms, more than two numbers, or one that is not possible.
    """
    values = p[name] if name in p else []
    values = values if isinstance(values, list) else [values]
    stem = name.removesuffix('_size')
    single = [p[f'{stem}_{axis}'] for axis in 'hw' if f'{stem}_{axis}' in p]
    if not values and len(single) == 1 and default is not None:
        single = [p.get(f'{stem}_{axis}', default) for axis in 'hw']
    values = values or single or [default] * 2
    least = 0 if name == 'pad' else 1
    if len(values) == 1 and not single:
        values = values * 2
    if len(values) != 2 or not all(v is not None and least <= v <= MAX_LENGTH for v in values):
        raise DataError(f'{name}: one or two numbers in {least}..{MAX_LENGTH} expected, for an '
                        f'image, got {values}')
    return tuple(values)


def expect_image(x):
    """Raises unless x is a batch of images that are not empty, (N, C, H, W)."""
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise DataError(f'an input (N, C, H, W), not empty, expected, got {x.shape}')


def expect_size(x, *shape):
    """Raises where a result would be empty, or so large that the file is rather damaged.

    Args:
        x: the input.
        shape: of one image of the result.
    """
    limit = max(MAX_ELEMENTS, MAX_GROWTH * math.prod(x.shape[1:]))
    if min(shape) < 1 or math.prod(shape) > limit:
        raise DataError(f'the result of an image would have the shape {shape}, which is empty, or '
                        f'more than {limit} numbers')


def canonical(axis, ndim, allow_end=False):
    """An axis that may count from the end as one that counts from the start."""
    if not -ndim - allow_end <= axis < ndim + allow_end:
        raise DataError(f'axis {axis} does not exist in an input of {ndim} axes')
    return axis if axis >= 0 else axis + ndim + allow_end


def pooled_length(length, kernel, stride, pad):
    """Number of Caffe's pooling windows along an axis.

        ceil((length + 2 pad - kernel) / stride) + 1

    less one where the last window would begin behind the image and the padding before it.
    """
    windows = -(-(length + 2 * pad - kernel) // stride) + 1
    if (windows - 1) * stride >= length + pad:
        windows -= 1
    return windows

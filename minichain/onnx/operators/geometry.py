"""Where the windows of convolutions and pools lie: strides, dilations, pads on either side."""
import math

from minichain.errors import DataError
from minichain.functions.windows import Windows
from minichain.onnx.budget import current
from minichain.onnx.operators.values import check_growth

MAX_LENGTH = 1 << 31    # of a stride, pad or dilation
# Taps of a pool's window along an axis, unless the image is at least half as long: each costs a
# pass over the image.
MAX_TAPS = 1 << 10
TAP = 16    # work for each tap of each window, as `budget` counts it


def expect_image(x):
    """Raises unless x has a batch axis, a channel axis and one more."""
    if x.ndim < 3:
        raise DataError(f'a tensor (N, C, ...) with a spatial axis or more expected, got the '
                        f'shape {x.shape}')


def lengths(node, name, count, default, least):
    """An attribute that is a list of ints, one a spatial axis, as a tuple.

    Raises:
        DataError: another number of them, or one that is not possible.
    """
    values = node.get(name)
    values = (default,) * count if values is None else tuple(values)
    if len(values) != count or not all(least <= value <= MAX_LENGTH for value in values):
        raise DataError(f'{name}: {count} numbers in {least}..{MAX_LENGTH} expected, got '
                        f'{values!s:.200}')
    return values


def auto_pad(node):
    """The attribute of that name: 'NOTSET', 'VALID', 'SAME_UPPER' or 'SAME_LOWER'."""
    mode = node.get('auto_pad') or 'NOTSET'
    if mode not in ('NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'):
        raise DataError(f'auto_pad: NOTSET, VALID, SAME_UPPER or SAME_LOWER expected, got {mode}')
    return mode


def split_pads(node, ndim):
    """The attribute `pads` as (before, behind), a tuple each."""
    pads = lengths(node, 'pads', 2 * ndim, 0, 0)
    return pads[:ndim], pads[ndim:]


def halves(total, upper):
    """Pads (before, behind) that are as equal as can be; `upper` puts more behind."""
    small, large = (tuple(length // 2 for length in total),
                    tuple(length - length // 2 for length in total))
    return (small, large) if upper else (large, small)


def slide(node, size, ksize):
    """The windows of a convolution or pool over an image.

    Args:
        size, ksize: spatial shape of the image and of the window.
    Returns:
        (Windows, pads behind the image).
    Raises:
        DataError: the attributes do not fit, or no window fits in the image.
    """
    ndim = len(size)
    stride, dilate = (lengths(node, name, ndim, 1, 1) for name in ('strides', 'dilations'))
    extent = [(k - 1) * d + 1 for k, d in zip(ksize, dilate)]
    mode = auto_pad(node)
    before, behind = split_pads(node, ndim) if mode == 'NOTSET' else ((0,) * ndim,) * 2
    if mode.startswith('SAME'):
        out = tuple(-(-n // s) for n, s in zip(size, stride))
        total = [max(0, (o - 1) * s + e - n) for o, s, e, n in zip(out, stride, extent, size)]
        before, behind = halves(total, mode == 'SAME_UPPER')
    else:
        reach = [n + p + q - e for n, p, q, e in zip(size, before, behind, extent)]
        # in ceil mode a last window may begin in the image and end behind the pads
        out = tuple(max(0, min(-(-r // s), (n + p - 1) // s) + 1
                        if node.get('ceil_mode') else r // s + 1)
                    for r, s, n, p in zip(reach, stride, size, before))
    if any(o < 1 <= n for o, n in zip(out, size)) or 0 in ksize:
        raise DataError(f'a window of the shape {tuple(ksize)}, dilations {dilate}, does not fit '
                        f'in an image {tuple(size)} with the pads {before} and {behind}')
    return Windows(tuple(size), tuple(ksize), stride, tuple(before), dilate, out), tuple(behind)


def check_windows(windows, x, channels, taps=1):
    """Refuses windows whose result, or what is needed on the way, would be absurdly large.

    Args:
        channels: of the result.
        taps: how many numbers a window sees of each channel, if they are copied.
    """
    check_growth((x.shape[0], channels, *windows.out), x)
    check_growth((x.shape[1], *windows.extent), x, on_the_way=True)
    check_growth((x.shape[1], taps, *windows.out), x, on_the_way=True)
    return windows


def pool_windows(node, x):
    """As `slide`, for a pool with the attribute `kernel_shape`."""
    expect_image(x)
    ksize = lengths(node, 'kernel_shape', x.ndim - 2, 0, 1)
    if any(k > max(MAX_TAPS, 2 * n) for k, n in zip(ksize, x.shape[2:])):
        raise DataError(f'kernel_shape: at most {MAX_TAPS}, or twice the image {x.shape[2:]}, '
                        f'expected, got {ksize}')
    windows, behind = slide(node, x.shape[2:], ksize)
    check_windows(windows, x, x.shape[1])
    # One axis after the other: every tap is a pass over the windows along it.
    current().work(TAP * math.prod(x.shape[:2]) * sum(
        k * math.prod(windows.out[:axis + 1]) * math.prod(windows.size[axis + 1:])
        for axis, k in enumerate(ksize)))
    return windows, behind

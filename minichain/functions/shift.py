"""Shift: a convolution without weights, which moves groups of channels in different directions."""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidArgument
from minichain.functions.windows import as_ints, slide, taps
from minichain.type_check import expect_float, expect_ndim


class Shift(Primitive):
    """Each slice of the channels moved by its tap, or moved back if ``back``."""

    def __init__(self, windows, back=False):
        self.windows, self.back = windows, back

    def forward(self, arrays):
        x, = arrays
        y = get_array_module(x).zeros_like(x)
        for channels, image, out in _directions(x.shape[1], self.windows):
            source, target = (out, image) if self.back else (image, out)
            y[:, channels][target] = x[:, channels][source]
        return y,

    def backward(self, indexes, grads):
        return Shift(self.windows, not self.back).apply(grads)


def _directions(count, windows):
    """Yield (slice of channels, image slices, window slices) for every tap."""
    moves = [(image, out) for _, image, out in taps(windows)][::-1]
    middle = len(moves) // 2   # does not move; takes the place of the last, and what is left over
    moves[middle], moves[-1] = moves[-1], moves[middle]
    width = count // len(moves)
    for i, (image, out) in enumerate(moves):
        yield slice(i * width, count if i == len(moves) - 1 else (i + 1) * width), image, out


def shift(x, ksize=3, dilate=1):
    """Move groups of channels, one for each tap of a window, by its distance from the middle.

    Args:
        x: (N, C, H, W), float.
        ksize: kh * kw directions; odd int or pair of odd ints. Each gets C // (kh * kw) channels;
            the last group and the channels left over stay in place.
        dilate: distance between taps, int or pair of ints.
    Returns:
        (N, C, H, W), zeros where nothing moved in.
    Raises:
        InvalidArgument: ``ksize`` is even.
    Wu et al. 2018, "Shift: a zero FLOP, zero parameter alternative to spatial convolutions",
    arXiv:1711.08141.
    """
    expect_ndim('shift', 4, x=x)
    expect_float('shift', x=x)
    ksize = as_ints('shift', 'ksize', ksize, 2, 1)
    dilate = as_ints('shift', 'dilate', dilate, 2, 1)
    if not all(k % 2 for k in ksize):
        raise InvalidArgument('shift: an odd ksize expected, so that it has a middle, got '
                              f'{ksize}')
    pad = tuple(k // 2 * d for k, d in zip(ksize, dilate))
    return Shift(slide('shift', x.shape[2:], ksize, 1, pad, False, dilate)).apply((x,))[0]

"""Padding: of an array along its axes, and of sequences to one length."""
import numpy as np

from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions.get_item import get_item
from minichain.type_check import expect_same_dtype

GATHERING_MODES = ('edge', 'reflect', 'symmetric', 'wrap')


class Pad(Primitive):
    """Constants around an array."""

    label = 'pad'

    def __init__(self, width, values):
        self.width, self.values = width, values

    def forward(self, arrays):
        x, = arrays
        xp = get_array_module(x)
        if np.ndim(self.values):
            return xp.pad(x, self.width, 'constant', constant_values=self.values),
        y = xp.full(tuple(before + n + behind for (before, behind), n in zip(self.width, x.shape)),
                    self.values, x.dtype)
        y[self._inside(x.shape)] = x   # np.pad takes five times as long for a small array
        return y,

    def _inside(self, shape):
        return tuple(slice(before, before + n) for (before, _), n in zip(self.width, shape))

    def backward(self, indexes, grads):
        return grads[0][self._inside(self.inputs[0].shape)],


class PadSequence(Primitive):
    label = 'pad_sequence'

    def __init__(self, length, padding):
        self.length, self.padding = length, padding

    def check_type_forward(self, in_types):
        first = in_types[0]
        for x in in_types:
            if x.ndim == 0 or x.shape[1:] != first.shape[1:]:
                raise InvalidType('pad_sequence: sequences of shapes (length, ...), the same '
                                  f'behind the length, expected, got {first.shape} and {x.shape}')
            if len(x) > self.length:
                raise InvalidType(f'pad_sequence: sequences of at most length = {self.length} '
                                  f'expected, got one of {len(x)}')
            expect_same_dtype('pad_sequence', first=first, another=x)

    def forward(self, arrays):
        shape, dtype = (len(arrays), self.length, *arrays[0].shape[1:]), arrays[0].dtype
        y = get_array_module(*arrays).full(shape, self.padding, dtype)
        for i, x in enumerate(arrays):
            y[i, :len(x)] = x
        return y,

    def backward(self, indexes, grads):
        return [grads[0][i, :self.inputs[i].shape[0]] for i in indexes]


def _pairs(width, ndim):
    """Return the widths before and behind for each axis, as np.pad reads them."""
    try:
        pairs = np.broadcast_to(np.asarray(width), (ndim, 2))
    except ValueError:
        pairs = None
    if pairs is None or pairs.dtype.kind not in 'iu' or (pairs < 0).any():
        raise InvalidArgument('pad: pad_width as an int, a pair (before, behind) or a pair for '
                              f'each of {ndim} axes, none negative, expected, got {width!r}')
    return tuple((int(before), int(behind)) for before, behind in pairs)


def pad(x, pad_width, mode, **keywords):
    """Widen an array along its axes.

    Args:
        x: any shape.
        pad_width: int for all sides; a pair (before, behind) for all axes; or a pair for each.
        mode: 'constant', 'edge', 'reflect', 'symmetric' or 'wrap', as of ``numpy.pad``.
        constant_values: with mode 'constant', what to fill in, in any of the forms of
            ``pad_width``; 0 if it is not given.
    Raises:
        InvalidArgument: the widths are none of these, or the mode or a keyword is unknown.
    """
    width = _pairs(pad_width, x.ndim)
    known = ('constant_values',) if mode == 'constant' else ()
    if mode != 'constant' and mode not in GATHERING_MODES:
        raise InvalidArgument(f"pad: mode 'constant' or one of {GATHERING_MODES} expected, got "
                              f'{mode!r}')
    if not set(keywords) <= set(known):
        raise InvalidArgument(f'pad: with mode {mode!r} the keywords {known} expected, got '
                              f'{tuple(keywords)}')
    if mode == 'constant':
        return Pad(width, keywords.get('constant_values', 0)).apply((x,))[0]
    for axis, pair in enumerate(width):
        if pair != (0, 0):
            if x.shape[axis] == 0:
                raise InvalidType(f'pad: something to repeat along axis {axis} expected, got '
                                  f'shape {x.shape}')
            index = np.pad(np.arange(x.shape[axis]), pair, mode)
            x = get_item(x, (*(slice(None),) * axis, index))
    return x


def pad_sequence(xs, length=None, padding=0):
    """Stack sequences of different lengths, filled up behind.

    Args:
        xs: N Variables or arrays, (length_i, ...), alike but for their lengths.
        length: length of the result; None means the longest.
        padding: number to fill in.
    Returns:
        (N, length, ...).
    Raises:
        InvalidType: no sequence, one longer than ``length``, or of another shape or dtype.
    """
    xs = tuple(xs)
    if not xs:
        raise InvalidType('pad_sequence: at least one sequence expected, got none')
    if length is None:
        length = max((x.shape[0] for x in xs if x.ndim), default=0)
    return PadSequence(length, padding).apply(xs)[0]

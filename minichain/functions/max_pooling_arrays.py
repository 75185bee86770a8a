"""The gradient of max pooling of NumPy arrays, straight from those of maxima to those of images.

Positions that are the same modulo the stride make a phase of an image. Phases of some images, as
many as a cache holds, lie one after another with room around them, and maxima with as much room:
what one tap of all windows sees is then one run of memory, as long as that of the maxima, that
begins a shift later. All is arithmetic on such runs; masked copies are many times slower.
"""
import functools
import math
from itertools import product

import numpy as np

from minichain.cpu import results
from minichain.cpu.threads import share
from minichain.cpu.workspaces import workspace

_BYTES = 3 << 19     # of runs that are worked on at a time
_MOST_ROOM = 4       # times the maxima: where more is needed, it is faster to look for winners
_COST = 4            # of one tap of one window, in multiplications of a product of matrices


@functools.lru_cache(256)
def plan(windows):
    """Return where everything lies, or None where most of it would be room.

    Returns:
        room: shape of the maxima of an image with the room around them, and of its phases.
        phases: for each that is seen, indexes (..., *slices) of images and of phases that meet.
        taps: for each, row by row, the number of its phase and the shift.
        whole: whether the phases are all of the image.
    """
    strides = [s if out > 1 else (k - 1) * d + 1 for s, out, k, d in zip(
        windows.stride, windows.out, windows.ksize, windows.dilate)]
    room = tuple(out + (k - 1) * d // s for out, k, d, s in zip(
        windows.out, windows.ksize, windows.dilate, strides))
    if math.prod(room) > _MOST_ROOM * math.prod(windows.out):
        return None
    steps = [math.prod(room[axis + 1:]) for axis in range(len(room))]
    taps, numbers = [], {}
    for tap in product(*map(range, windows.ksize)):
        shifts, phase = zip(*[divmod(t * d, s) for t, d, s in zip(tap, windows.dilate, strides)])
        number = numbers.setdefault(phase, len(numbers))
        taps.append((number, sum(shift * step for shift, step in zip(shifts, steps))))
    phases = []
    for phase in numbers:
        axes = [_meeting(*axis) for axis in zip(windows.size, windows.pad, phase, strides, room)]
        phases.append(tuple((..., *slices) for slices in zip(*axes)))
    seen = sum(math.prod(len(range(*places.indices(size)))
                         for places, size in zip(there[1:], windows.size)) for there, _ in phases)
    return room, phases, taps, seen == math.prod(windows.size)


def _meeting(size, pad, phase, stride, count):
    """Return slices of an image's axis and of a phase's, whose i is i * stride + phase - pad."""
    first = max(0, -((phase - pad) // stride))
    last = max(first, min(count, (size - 1 + pad - phase) // stride + 1))
    start = first * stride + phase - pad
    return slice(start, start + (last - first) * stride, stride), slice(first, last)


def max_gradient(gy, x, y, windows):
    """Return the gradient of x, or None where this is no way to find it.

    Args:
        gy, y: gradients and maxima, (N, C, *out).
        x: images, (N, C, *size).
        windows: :class:`~minichain.functions.windows.Windows`.
    """
    laid_out = plan(windows)
    if laid_out is None or not gy.dtype == x.dtype == y.dtype or x.itemsize > 8 or x.size == 0:
        return None
    room, phases, taps, _ = laid_out
    gx = results.empty(x.shape, x.dtype)
    x, gx_images = (array.reshape(-1, *windows.size) for array in (x, gx))
    y, gy = (array.reshape(-1, *windows.out) for array in (y, gy))
    step = max(1, _BYTES // (math.prod(room) * (2 * len(phases) + 3) * x.itemsize))
    share(lambda parts: _fill(gx_images, gy, x, y, parts, *laid_out),
          [slice(i, i + step) for i in range(0, len(x), step)], y.size * len(taps) * _COST)
    return gx


def _fill(gx, gy, x, y, parts, room, phases, taps, whole):
    """Compute ``gx`` (images, *size) where the slices ``parts`` say."""
    images = max(len(gx[part]) for part in parts)
    length, beyond = images * math.prod(room), max(shift for _, shift in taps)
    runs = workspace('max_gradient', (2 * len(phases) + 3, length + beyond), x.dtype)
    masks = workspace('max_gradient masks', (2, length), bool)
    runs[:len(phases)] = np.nan   # equal to no maximum: padding never wins
    runs[len(phases):] = 0        # what is in the room wins no gradient
    steps = list(_steps(runs[:len(phases)], runs[len(phases):-3], *runs[-3:, :length], *masks,
                        taps))
    shaped = runs[:, :length].reshape(len(runs), images, *room)
    x_phases, gx_phases = shaped[:len(phases)], shaped[len(phases):-3]
    maxima, gradients = shaped[(slice(-3, -1), ..., *map(slice, y.shape[1:]))]
    for part in parts:   # a last one with fewer images leaves others behind them: no matter
        count = len(gx[part])
        maxima[:count], gradients[:count] = y[part], gy[part]
        for phase, (there, here) in zip(x_phases, phases):
            phase[:count][here] = x[part][there]
        for ufunc, arrays in steps:
            ufunc(*arrays)
        if not whole:
            gx[part] = 0
        for phase, (there, here) in zip(gx_phases, phases):
            gx[part][there] = phase[:count][here]


def _steps(x_phases, gx_phases, maxima, gradients, won, wins, waits, taps):
    """Yield (ufunc, arrays, the last one for its result) that fill ``gx_phases``, zeros at first.

    The first tap that equals a maximum wins, and of all where the maximum is NaN. Products with a
    mask are those of the bits of gradients, as integers: a tap that wins no infinity gets 0.

    Args:
        x_phases, gx_phases: (phases, longer than the maxima).
        maxima, gradients: runs.
        won, wins, waits: runs for the gradients that a tap wins, for whether it does, and for
            whether a window is still without a winner.
    """
    length, integers = len(maxima), f'u{maxima.itemsize}'
    bits, won_bits = gradients.view(integers), won.view(integers)
    begun = set()
    for number, (phase, shift) in enumerate(taps):
        seen, target = (run[phase, shift:shift + length] for run in (x_phases, gx_phases))
        if number == 0:
            yield np.not_equal, (seen, maxima, waits)
            yield np.equal, (maxima, maxima, wins)
            yield np.logical_and, (waits, wins, waits)
            yield np.logical_not, (waits, wins)
        else:
            yield np.equal, (seen, maxima, wins)
            yield np.logical_and, (wins, waits, wins)
            yield np.logical_xor, (waits, wins, waits)
        if phase in begun:
            yield np.multiply, (bits, wins, won_bits)
            yield np.add, (target, won, target)
        else:   # no later tap has a smaller shift: what lies before stays 0
            yield np.multiply, (bits, wins, target.view(integers))
        begun.add(phase)

"""Dropout whose random numbers are computed and not kept: see ``kernels/dropout.cu``."""
import contextlib
import threading

from minichain.backend import get_array_module
from minichain.errors import InvalidArgument
from minichain.gpu.grids import flat
from minichain.gpu.launcher import kernel, storage


def new_dropout_state(xp, seed):
    """Return what random numbers depend on: the seed and the number of the step, (2,), uint64."""
    return xp.array([seed, 0], 'uint64')


def dropout(x, y, state, place, ratio):
    """Compute  y = x / (1 - ratio), or 0 with probability ``ratio``.

    Given the same state and place the same elements are 0: gradients take the same way.

    Args:
        x, y: any shape, float32 or bfloat16; ``y`` is filled and may be ``x``.
        state: of :func:`new_dropout_state`, on the device.
        place: number of this dropout in the network, other than those of the others.
        ratio: probability of a zero, 0 <= ratio < 1.
    Raises:
        InvalidArgument: ``ratio`` is out of range.
    """
    if not 0 <= ratio < 1:
        raise InvalidArgument(f'dropout: 0 <= ratio < 1 expected, got {ratio}')
    threshold = min(round(ratio * 2 ** 32), 2 ** 32 - 1)
    kernel(f'dropout_{storage(x)}')(x, y, state, place, threshold, 1 / (1 - ratio), x.size,
                                    **flat(x.size, 4))


def dropout_next_step(state):
    """Let the next step draw other numbers."""
    kernel('dropout_next_step')(state, grid=1, block=1)


class Draws:
    """What the dropout of a step that is captured draws from, instead of CuPy's generator.

    That one counts on the host; this one's seed and number of the step lie in device memory.

    Args:
        seed: int from 0 to 2^64 - 1.
    """

    def __init__(self, seed=0):
        self._numbers, self._state, self.place = [seed, 0], None, 0

    def seed(self, seed):
        """Begin anew: after equal seeds equal numbers are drawn."""
        self._numbers = [seed, 0]

    def next_step(self):
        """Let the next step draw other numbers. Not within the step: a replay is to see it."""
        self._numbers[1] += 1
        if self._state is not None:
            self._write()

    @contextlib.contextmanager
    def using(self):
        """Draw from here in a ``with`` block, which is one step."""
        before, _current.draws, self.place = _current.draws, self, 0
        try:
            yield
        finally:
            _current.draws = before

    def mask(self, x, ratio):
        """Return 1 / (1 - ratio) or, with probability ``ratio``, 0 for each element of ``x``."""
        if self._state is None:
            self._state = new_dropout_state(get_array_module(x), 0)
            self._write()
        self.place += 1
        return _mask(x, self._state, self.place - 1, ratio)

    def _write(self):
        for i, number in enumerate(self._numbers):
            self._state[i] = number


class _Current(threading.local):
    draws = None


_current = _Current()


def draw_mask(x, ratio):
    """Compute what the function of this name in functions/dropout.py does.

    Of CuPy's generator only a seed is asked for, by which its own seed decides. No number goes
    through the host.
    """
    if _current.draws is not None:
        return _current.draws.mask(x, ratio)
    state = get_array_module(x).random.rand(2).view('uint64')   # 52 random bits in either
    return _mask(x, state, 0, ratio)


def _mask(x, state, place, ratio):
    y = get_array_module(x).ones(x.shape, x.dtype)
    dropout(y, y, state, place, ratio)
    return y

"""How much one call of a network may take: a file says sizes that nobody has to keep.

The limits follow what the user gives and what the file holds. A network works on its inputs with
its weights, so an honest one stays far below them; what is made out of nothing has little room.
"""
import contextlib
import contextvars
import math

from minichain.autograd import Variable
from minichain.configuration import config
from minichain.errors import DataError

# Bytes that may be in use whatever is given, and the work that may be done: some seconds.
FLOOR, WORK_FLOOR = 1 << 29, 10 ** 11
# Bytes for each element of the inputs, and of the weights, where each sample of a batch adds some:
# a network that enlarges images has a thousand numbers for each that it is given, one that paints
# from a code has a number of times as many as weights.
INPUT, WEIGHT, SAMPLE, MAX_SAMPLES = 1 << 12, 1 << 5, 1 << 4, 1 << 6
# How many times as much may be kept for the gradients: of what inputs and weights allow. And how
# many times as much may be needed on the way.
KEPT_INPUT, KEPT_WEIGHT, ON_THE_WAY = 2, 8, 2
# Work is counted as about as many multiplications and additions as take as long: for each node
# that runs, each element of its results and of its inputs, and each item of a sequence.
STEP, RESULT, READ, ITEM = 500_000, 128, 32, 4_000
# Work for each element of the inputs or weights, and each pair of both.
EACH, PAIR = 10 ** 5, 64


class Budget:
    """What is left of memory and work.

    Args:
        inputs: arrays that the user gives.
        weights: number of elements that the file holds.
    """

    def __init__(self, inputs=(), weights=0):
        size = sum(x.size for x in inputs)
        samples = min(max((x.shape[0] for x in inputs if x.ndim > 1), default=0), MAX_SAMPLES)
        held = weights * (WEIGHT + samples * SAMPLE)
        self.left = FLOOR + size * INPUT + held
        self.kept_left = FLOOR + KEPT_INPUT * size * INPUT + KEPT_WEIGHT * held
        self.on_the_way_left = ON_THE_WAY * self.left
        self.work_left = WORK_FLOOR + EACH * (size + weights) + PAIR * size * weights

    def expect(self, size, on_the_way=False):
        """Raises unless there is room for so many more bytes.

        Args:
            on_the_way: they are not the result, but needed for it.
        Raises:
            DataError: there is not.
        """
        left = self.on_the_way_left if on_the_way else self.left
        if size > left:
            raise DataError(f'{size} bytes more are asked for. For inputs and a model of this '
                            f'size that is too much, {max(left, 0)} are left: the model is '
                            'damaged or not meant for this input.')

    def hold(self, value):
        """Counts the bytes of a value that came to be, of which the tape may keep some for good.

        Raises:
            DataError: too many.
        """
        size = bytes_of(value)
        if getattr(value, 'size', 1) == 0:
            self.expect(room_of(value.shape, value.dtype.itemsize))
        self.expect(size)
        self.left -= size
        if isinstance(value, Variable) and value.creator is not None and config.enable_backprop:
            self.kept_left -= size
            if self.kept_left < 0:
                raise DataError('more is kept for the gradients than inputs and a model of this '
                                'size need. Run it with no_backprop_mode() if none are wanted; '
                                'else the model is damaged.')

    def release(self, value):
        """Counts a value off that `hold` counted."""
        self.left += bytes_of(value)

    def work(self, amount):
        """Counts work before it is done, in multiplications and additions.

        Raises:
            DataError: too much.
        """
        self.work_left -= amount
        if self.work_left < 0:
            raise DataError('for inputs and a model of this size this would take far too long: '
                            'the model is damaged or not meant for this input.')

    def step(self, inputs, results):
        """Counts the work of a node that has run."""
        self.work(STEP + sum(map(RESULT.__mul__, map(elements_of, results)))
                  + sum(map(READ.__mul__, map(elements_of, inputs))))


def elements_of(value):
    """How many elements a value has; items of sequences count besides."""
    if isinstance(value, list):
        return len(value) * ITEM // READ + sum(map(elements_of, value))
    return getattr(value, 'size', 0)


def room_of(shape, itemsize=4):
    """Bytes of a shape; lengths beside a zero count, too: indices along them may be made."""
    return itemsize * math.prod(length or 1 for length in shape)


def bytes_of(value):
    """The bytes of a value, or of the items of a sequence."""
    if isinstance(value, list):
        return sum(map(bytes_of, value)) + 8 * len(value)
    return value.size * value.dtype.itemsize if hasattr(value, 'dtype') else 0


_current = contextvars.ContextVar('budget', default=None)


def current():
    """The budget of the call that is running; outside of one a fresh one."""
    return _current.get() or Budget()


@contextlib.contextmanager
def spending(budget):
    """Makes a budget that of all operators inside."""
    token = _current.set(budget)
    try:
        yield budget
    finally:
        _current.reset(token)

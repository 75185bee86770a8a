"""Drawing of random numbers, and the sizes that the width of a distribution follows."""
import math

import numpy as np

from minichain import backend
from minichain.errors import InvalidArgument
from minichain.initializer import Initializer


def get_fans(shape):
    """Return (fan_in, fan_out) of weights (out, in, *kernel).

    fan_in is how many numbers meet in one sum, fan_out in how many sums each one takes part.

    Raises:
        InvalidArgument: fewer than two dimensions.
    """
    if len(shape) < 2:
        raise InvalidArgument('weights of at least two dimensions (out, in, ...) expected, got '
                              f'shape {tuple(shape)}; for a bias use Normal, Uniform or a number')
    receptive = math.prod(shape[2:])
    return shape[1] * receptive, shape[0] * receptive


def root(numerator, fan):
    """Return sqrt(numerator / fan); 0 for weights of no inputs, of which there are none."""
    return math.sqrt(numerator / fan) if fan else 0.


class RandomInitializer(Initializer):
    """Base of the initializers that draw.

    Args:
        scale: width of the distribution, or a factor on it.
        dtype: None means ``config.dtype``.
        rng: ``numpy.random.RandomState`` or Generator; None means the global state.
    """

    def __init__(self, scale=1., dtype=None, *, rng=None):
        super().__init__(dtype)
        self.scale, self.rng = scale, rng

    def draw_normal(self, array, deviation):
        """Fill ``array`` with draws of mean zero."""
        backend.copyto(array, self._draw(array, 'normal', 0., deviation))

    def draw_uniform(self, array, limit):
        """Fill ``array`` with draws from [-limit, limit)."""
        backend.copyto(array, self._draw(array, 'uniform', -limit, limit))

    def _draw(self, array, distribution, *arguments):
        random = backend.get_array_module(array).random if self.rng is None else self.rng
        values = getattr(random, distribution)(*arguments, size=array.shape)
        return values if backend.is_array(values) else np.asarray(values)   # 0-d: a number

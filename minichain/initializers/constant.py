"""Initializers that fill with given values."""
from minichain import backend
from minichain.errors import InvalidArgument
from minichain.initializer import Constant, Initializer


class Zero(Constant):
    """Fills with zeros."""

    def __init__(self, dtype=None):
        super().__init__(0., dtype)


class One(Constant):
    """Fills with ones."""

    def __init__(self, dtype=None):
        super().__init__(1., dtype)


class NaN(Constant):
    """Fills with NaN."""

    def __init__(self, dtype=None):
        super().__init__(float('nan'), dtype)


class Identity(Initializer):
    """Fills a square matrix with ``scale`` on the diagonal and zeros elsewhere."""

    def __init__(self, scale=1., dtype=None):
        super().__init__(dtype)
        self.scale = scale

    def __call__(self, array):
        if array.ndim != 2 or array.shape[0] != array.shape[1]:
            raise InvalidArgument(f'Identity: square matrix expected, got shape {array.shape}')
        array[...] = 0
        backend.get_array_module(array).fill_diagonal(array, self.scale)

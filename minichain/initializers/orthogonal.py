"""Orthogonal: rows or columns that are orthogonal to each other and of one length."""
import numpy as np

from minichain import backend
from minichain.errors import InvalidArgument
from minichain.initializers.random import RandomInitializer

_FITS = {'auto': lambda out, n: True, 'projection': lambda out, n: out <= n,
         'embedding': lambda out, n: out >= n, 'basis': lambda out, n: out == n}


class Orthogonal(RandomInitializer):
    """Fills with ``scale`` times a random orthogonal matrix; axes behind the first are flattened.

    Args:
        scale: length of the rows (or of the columns, if there are more rows).
        dtype: None means ``config.dtype``.
        mode: what to allow for weights of shape (out, in): 'projection': out <= in; 'embedding':
            out >= in; 'basis': out == in; 'auto': anything.
        rng: ``numpy.random.RandomState`` or Generator; None means the global state.
    Raises:
        InvalidArgument: another mode; a shape that the mode does not allow, or with a zero.
    Saxe et al. 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", arXiv:1312.6120.
    """

    def __init__(self, scale=1.1, dtype=None, mode='auto', *, rng=None):
        super().__init__(scale, dtype, rng=rng)
        if mode not in _FITS:
            raise InvalidArgument(f'Orthogonal: mode {", ".join(map(repr, _FITS))} expected, got '
                                  f'{mode!r}')
        self.mode = mode

    def __call__(self, array):
        if array.size == 0:
            raise InvalidArgument(f'Orthogonal: shape without zeros expected, got {array.shape}')
        if array.ndim == 0:
            random = np.random if self.rng is None else self.rng
            draw = getattr(random, 'integers', None) or random.randint
            array[...] = self.scale * (2 * int(draw(2)) - 1)
            return
        out, n = len(array), array.size // len(array)
        if not _FITS[self.mode](out, n):
            raise InvalidArgument(f'Orthogonal: no {self.mode} has shape {array.shape}, '
                                  f'{n} numbers in and {out} out')
        xp = backend.get_array_module(array)
        drawn = xp.empty((out, n), np.float64)
        self.draw_normal(drawn, 1.)
        q, r = xp.linalg.qr(drawn.T if out < n else drawn)
        q *= xp.where(xp.diagonal(r) < 0, -1., 1.)   # else the signs are the algorithm's choice
        array[...] = self.scale * (q.T if out < n else q).reshape(array.shape)

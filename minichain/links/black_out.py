"""A loss for large vocabularies that looks at some sampled classes only."""
import numpy as np

from minichain.errors import InvalidArgument
from minichain.functions.black_out import black_out
from minichain.link import Link
from minichain.variable import Parameter


class Sampler:
    """Draws classes with probabilities proportional to their counts.

    Args:
        counts: V numbers.
    """

    def __init__(self, counts):
        self.cumulative = np.cumsum(np.asarray(counts, 'float64'))
        if not len(self.cumulative) or not self.cumulative[-1] > 0:
            raise InvalidArgument('BlackOut: counts, of which one or more are positive, expected, '
                                  f'got {counts!r}')

    def sample(self, shape):
        """Return drawn classes, int32."""
        points = np.random.uniform(0, self.cumulative[-1], shape)
        return np.searchsorted(self.cumulative, points, side='right').astype('int32')


class BlackOut(Link):
    """``functions.black_out`` with trained W and drawn samples.

    Args:
        in_size: D, the width of x.
        counts: how often each of the V classes occurs.
        sample_size: K, how many classes to draw for every row.
    Attributes:
        W: (V, D); NaN at first, as in Chainer: give it values, or load them.
        sampler: its ``sample(shape)`` draws the classes.
        sample_data: (N, K) classes to use instead of drawing them, or None.
    Ji et al. 2015, "BlackOut: speeding up recurrent neural network language models with very
    large vocabularies", arXiv:1511.06909.
    """

    sample_data = None

    def __init__(self, in_size, counts, sample_size):
        super().__init__()
        self.sampler, self.sample_size = Sampler(counts), sample_size
        with self.init_scope():
            self.W = Parameter(None, (len(counts), in_size))

    def forward(self, x, t):
        """Return the mean loss of rows x (N, D) and labels t (N,), a scalar Variable."""
        samples = self.sample_data
        if samples is None:
            samples = self.device.send(self.sampler.sample((x.shape[0], self.sample_size)))
        return black_out(x, t, self.W, samples)

"""A caption generator's step on a GPU where nothing moves: a graph that was captured once serves
every word. ``caption_step.py`` says what is computed.

An output of an LSTM has two readers: what is above it, at once, and its own gates at the next
word. One product serves both, its weights lie side by side. So a layer takes two launches: a
kernel that adds up gates, picking the rows that are continued, and a product.
"""
import numpy as np

from minichain.backend import get_array_module
from minichain.gpu.casts import as_stored
from minichain.gpu.gemm import gemm
from minichain.gpu.lstm_beams import lstm_continue

ALIGNED = 8     # numbers of a row: a multiple of it begins at an address that a product likes


class JoinedWeights:
    """Weights of a CaptionStep for one product a layer, as they are now.

    Args:
        step: CaptionStep, float32.
        dtype: of the operands of products: float32, or uint16 for bfloat16.
        made_of: the step's arrays, which are kept: while they are, no others have their ids.
    Attributes:
        table: what each word adds to the gates of the first layer, (V, 4H), float32.
        layers: (W, b) of each layer: W (H, above + 4H), its last columns lead to the layer's own
            gates, the first to those of the layer above or, padded, to the scores; b float32.
        upward: (E, 4H), by which images are told; None: they are not.
    """

    def __init__(self, step, dtype, made_of):
        xp = get_array_module(step.out_W)
        upward, _, b = step.layers[0]
        self.dtype, self.columns, self.inject = dtype, step.out_W.shape[1], step.inject
        self.made_of = made_of
        self.table = step.table
        if self.table is None:
            self.table = step.embed.astype(np.float32, copy=False) @ upward
            self.table += b
        self.upward = None if step.inject == 'state' else as_stored(upward, dtype)
        above = [(W, b) for W, _, b in step.layers[1:]] + [(step.out_W, step.out_b)]
        self.layers = []
        for (_, lateral, _), (W, b) in zip(step.layers, above):
            padding, (height, width) = -len(b) % ALIGNED, lateral.shape
            joined = xp.concatenate((W, xp.zeros((height, padding), np.float32), lateral), axis=1)
            self.layers.append((as_stored(joined, dtype), xp.concatenate(
                (b, xp.zeros(padding + width, np.float32)))))


class FixedCaptionStep:
    """The step for searches of n images with ``beam`` beginnings each.

    Args:
        weights: JoinedWeights. n, beam: ints.
    Attributes:
        scores: (n beam, at least V), float32: in the first V columns :meth:`read` leaves scores,
            which are not normalized.
        columns: V.
        searches: dict in which a search keeps what it has captured.
    """

    def __init__(self, weights, n, beam):
        xp, rows = get_array_module(weights.table), n * beam
        self._weights, self._n, self._beam = weights, n, beam
        self._own = xp.arange(rows, dtype=np.int32)
        self._images = xp.zeros((n, weights.table.shape[1]), np.float32)
        self._layers = [(xp.zeros((rows, W.shape[1]), np.float32),
                         xp.zeros((2, rows, len(W)), np.float32),
                         xp.zeros((rows, len(W)), weights.dtype)) for W, _ in weights.layers]
        self.scores, self.columns = self._layers[-1][0], weights.columns
        self.searches = {}

    def takes(self, state):
        """Return whether a state is of this model and these images, in float32."""
        units = [h.shape[1] for _, _, h in self._layers for _ in 'ch']
        image, *states = state
        upward = self._weights.upward
        return (len(states) == len(units)
                and all(part.dtype == np.float32 and part.ndim == 2 and len(part) == self._n
                        for part in state)
                and [part.shape[1] for part in states] == units
                and (upward is None or image.shape[1] == len(upward)))

    def begin(self, state):
        """Take over a state of n rows; beginnings of an image continue its row next."""
        weights, (image, *states) = self._weights, state
        for number, ((W, _), (joined, cells, h), c0, h0) in enumerate(
                zip(weights.layers, self._layers, states[::2], states[1::2])):
            gates, width = slice(-4 * h.shape[1], None), self._n
            gemm(as_stored(h0, weights.dtype), W[:, gates], joined[:width, gates])
            if number == 0 and weights.inject == 'first':
                gemm(as_stored(image, weights.dtype), weights.upward, joined[:width, gates],
                     beta=1)
            cells[0, :width] = c0
        if weights.inject == 'every':
            gemm(as_stored(image, weights.dtype), weights.upward, self._images)

    def read(self, words, rows, count):
        """Read a word of every beginning.

        Args:
            words: ids from 0 to V - 1, (n beam,), int32.
            rows: which row each continues, (n beam,), int32; at first from 0 to n - 1.
            count: number of words read before by all, (1,), int32.
        """
        inputs, which = self._weights.table, words
        per_image = self._beam if self._weights.inject == 'every' else 0
        for (W, b), (joined, cells, h) in zip(self._weights.layers, self._layers):
            lstm_continue(inputs, which, joined, rows, self._images, cells, h, count, per_image)
            gemm(h, W, joined, epilogue='bias', bias=b)
            inputs, which, per_image = joined, self._own, 0

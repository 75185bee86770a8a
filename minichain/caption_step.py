"""A caption generator's step for decoding, on arrays, with weights laid out for thin products.

Between two words there is little to compute: a few rows through all weights. Weights that lie
(in, out), as a parameter does not, take a third of the time for one row. The copies are private;
whoever changes the parameters makes a new step.
"""
import numpy as np

from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.configuration import config
from minichain.errors import InvalidType
from minichain.fixed_caption_step import FixedCaptionStep, JoinedWeights
from minichain.functions._axis import sum_dtype
from minichain.functions.lstm_sequence import run_steps
from minichain.gpu.casts import storage_dtype
from minichain.links.lstm import gate_blocks

TABLE = 1 << 21   # numbers of an input table that is made without being asked for: 8 MiB
THIN = 5          # rows up to which a matrix product is slower than one after the other
MOST_TABLE = 1 << 28    # numbers of one that captured searches want: 1 GiB
MOST_FIXED = 4    # numbers of images and beginnings for which captured searches are kept
BLOCK = 1 << 16   # scores that the CPU normalizes at once: they stay in the cache


class CaptionStep:
    """What ``model.step`` computes, of the parameters as they are now.

    Args:
        model: CaptionGenerator, or another with its links ``embed``, ``lstm`` and ``out`` and its
            ``inject``.
        input_table: multiply all words by the LSTM's input weights beforehand, which takes V 4H
            numbers of memory and saves a product at every step; not if the image is added to
            every word. None: if the table is small.
        capture: on a GPU, let searches replay a CUDA graph from the second of a size on. They take
            weights side by side, which are further copies, and a table of 1 GiB at most, unless
            ``input_table`` is False; products are as exact as ``config.precision`` says.
    Attributes:
        reason: why searches on a GPU run as written, None while they are captured.
    """

    def __init__(self, model, input_table=None, capture=True):
        xp, self.inject = model.xp, model.inject
        self.reason = None if capture else 'capture=False was asked for'
        self._may_join, self._joined, self._fixed = input_table is not False, (None, None), {}
        self.embed = as_array(model.embed.W)
        dtype = sum_dtype(self.embed.dtype)
        self.layers = []
        for lstm in model.lstm:
            size = lstm.state_size
            # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2; halving here is exact
            half = xp.ones(4 * size, dtype)
            half[:3 * size] = .5
            self.layers.append(tuple(
                xp.ascontiguousarray((as_array(gate_blocks(p.array, size)).T * half).astype(dtype))
                for p in (lstm.upward.W, lstm.lateral.W, lstm.upward.b)))
        self.out_W = xp.ascontiguousarray(as_array(model.out.W).T.astype(dtype, copy=False))
        self.out_b = as_array(model.out.b).astype(dtype)
        upward, _, b = self.layers[0]
        if input_table is None:
            input_table = len(self.embed) * len(b) <= TABLE
        self.table = None
        if input_table and self.inject != 'every':
            self.table = self.embed.astype(dtype, copy=False) @ upward
            self.table += b

    def __call__(self, state, words):
        """Read a word of every caption: (state, ids (N,)) -> (state, log probabilities (N, V)).

        Raises:
            InvalidType: on a CPU, an id is not one of 0 to V - 1; -1 is no last word. On a GPU
                nobody waits to look.
        """
        if type(words) is np.ndarray and len(words) and not (
                0 <= words.min() and words.max() < len(self.embed)):
            raise InvalidType(f'CaptionStep: ids of words from 0 to {len(self.embed) - 1} '
                              f'expected, got {words.min()} to {words.max()}')
        image, *states = state
        after, h = [], None
        for number, ((upward, lateral, b), c, h_before) in enumerate(
                zip(self.layers, states[::2], states[1::2])):
            gates = thin_product(h_before, lateral)
            if number == 0 and self.table is not None:
                gates += self.table[words]
                # zeros from the second word on; of a device to ask would be to wait for it
                if self.inject == 'first' and (type(image) is not np.ndarray or image.any()):
                    gates += thin_product(image, upward)
            else:
                x = h if number else self._inputs(words, image)
                gates += thin_product(x, upward)
                gates += b
            c, h = _cell(gates, c)
            after += [c, h]
        scores = thin_product(h, self.out_W)
        if self.inject == 'first':
            image = get_array_module(image).zeros_like(image)
        return (image, *after), log_normalize(scores, self.out_b)

    def at_fixed_addresses(self, state, n, beam):
        """Return this step at fixed addresses for searches of n images, or None.

        None: not on a GPU, or not in float32. Arrays of this step may be replaced, not written to.

        Args:
            state: of ``model.start``. n, beam: number of images, and of beginnings for each.
        Returns:
            :class:`~minichain.fixed_caption_step.FixedCaptionStep`, which is kept for later.
        """
        numbers = len(self.embed) * self.layers[0][1].shape[1]
        if not self._may_join or numbers > MOST_TABLE or not run_steps.fuses(self.out_W):
            return None
        arrays = [self.embed, self.table, self.out_W, self.out_b,
                  *(array for layer in self.layers for array in layer)]
        own = config.precision, bool(config.deterministic), *map(id, arrays)
        fixed = self._fixed.pop((n, beam, own), None)
        if fixed is None:
            if self._joined[0] != own:
                self._joined = own, JoinedWeights(self, storage_dtype(), arrays)
            fixed = FixedCaptionStep(self._joined[1], n, beam)
        self._fixed[n, beam, own] = fixed       # behind the others
        if len(self._fixed) > MOST_FIXED:
            del self._fixed[next(iter(self._fixed))]
        return fixed if fixed.takes(state) else None

    def _inputs(self, words, image):
        x = self.embed[words]
        return x if self.inject == 'state' else x + image


def thin_product(x, W):
    """Return x @ W, x (n, I) of few rows, W (I, O) contiguous."""
    if not isinstance(x, np.ndarray) or not 1 < len(x) <= THIN:
        return x @ W
    y = np.empty((len(x), W.shape[1]), W.dtype)
    for row, out in zip(x, y):
        np.dot(row, W, out=out)
    return y


def _cell(gates, c):
    """Return (c, h) after gates (N, 4H) in blocks i, f, o, a, the first three halved."""
    xp, H = get_array_module(c), c.shape[1]
    xp.tanh(gates, out=gates)
    ifo = gates[:, :3 * H]
    ifo *= .5
    ifo += .5
    c = c * gates[:, H:2 * H]
    c += gates[:, :H] * gates[:, 3 * H:]
    h = xp.tanh(c)
    h *= gates[:, 2 * H:3 * H]
    return c, h


def log_normalize(scores, b):
    """Return log softmax(scores + b) of the rows of (N, V), in place of ``scores``."""
    xp = get_array_module(scores)
    step = max(1, BLOCK // scores.shape[1]) if xp is np else max(1, len(scores))
    work = xp.empty((min(step, len(scores)), scores.shape[1]), scores.dtype)
    for start in range(0, len(scores), step):
        y = scores[start:start + step]
        y += b
        y -= y.max(axis=1, keepdims=True)
        exponentials = xp.exp(y, out=work[:len(y)])
        y -= xp.log(exponentials.sum(axis=1, keepdims=True))
    return scores

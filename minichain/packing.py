"""Captions of different lengths as one batch for an LSTM over packed sequences: without pads, or
with pads where batches are to have few shapes."""
import dataclasses

import numpy as np

from minichain.errors import InvalidArgument

PAD = -1   # no word, and nothing to be said

@dataclasses.dataclass(frozen=True)
class PackedChunk:
    """Some steps of a batch of captions, step by step, longest captions first.

    Attributes:
        inputs: the words that are read, (sum of batch_sizes,), int32.
        targets: the words that are to be said next, as ``inputs``.
        batch_sizes: how many captions have each step, a list of ints that never grow.
        is_first: whether the captions begin here.
    """

    inputs: np.ndarray
    targets: np.ndarray
    batch_sizes: list
    is_first: bool

    def send(self, device):
        """Return the chunk with its arrays on ``device``."""
        return dataclasses.replace(self, inputs=device.send(self.inputs),
                                   targets=device.send(self.targets))


def pack(captions, n_steps=None):
    """Pack captions for teacher forcing: word t is read, word t + 1 is to be said.

    Args:
        captions: sequence of N id arrays, each BOS, words, EOS; at least two ids long.
        n_steps: steps of a chunk, for truncated backpropagation through time; None: all in one.
    Returns:
        (order, chunks): indexes of the captions by falling length, (N,), equal ones in their own
        order, and a list of PackedChunk; row k of a step belongs to caption ``order[k]``.
    Raises:
        InvalidArgument: no caption, one without words, or n_steps below 1.
    """
    lengths = np.array([len(ids) - 1 for ids in captions])
    if not len(lengths) or lengths.min() < 1 or (n_steps is not None and n_steps < 1):
        raise InvalidArgument('pack: captions of at least two ids and n_steps of at least 1 '
                              f'expected, got {len(lengths)} captions of '
                              f'{lengths.min(initial=0) + 1} ids or more, n_steps {n_steps}')
    order = np.argsort(-lengths, kind='stable')
    table = np.zeros((int(lengths.max()) + 1, len(captions)), 'int32')
    for column, index in enumerate(order):
        table[:len(captions[index]), column] = captions[index]
    batch_sizes = [int((lengths > step).sum()) for step in range(int(lengths.max()))]
    n_steps = n_steps or len(batch_sizes)
    chunks = []
    for start in range(0, len(batch_sizes), n_steps):
        sizes = batch_sizes[start:start + n_steps]
        inputs, targets = (np.concatenate([table[step, :n] for step, n in enumerate(sizes, first)])
                           for first in (start, start + 1))
        chunks.append(PackedChunk(inputs, targets, sizes, start == 0))
    return order, chunks


def pad(captions, rows, n_steps):
    """Lay captions out for teacher forcing with pads, so that all rows have all steps.

    Args:
        captions: id arrays as of :func:`pack`, at most ``rows``, of at most ``n_steps + 1`` ids.
    Returns:
        (inputs, targets): the words that are read and that are to be said next, step by step,
        (n_steps * rows,), int32, PAD where there is none.
    """
    table = np.full((2, n_steps, rows), PAD, np.int32)
    for row, ids in enumerate(captions):
        table[0, :len(ids) - 1, row], table[1, :len(ids) - 1, row] = ids[:-1], ids[1:]
    return table[0].reshape(-1), table[1].reshape(-1)

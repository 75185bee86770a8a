"""The captioner and its LSTM in the ways in which PyTorch scripts write them.

torch_captioner.py has packed sequences: the same arithmetic as minichain's. Padded: all as long as
the longest, the usual way. Masked: the scores of pads are left out. Cells: a loop of nn.LSTMCell.
Import it only where torch is installed.
"""
import types

import torch
from torch import nn
from torch.nn import functional

from benchmarks.torch_captioner import TorchCaptioner

IGNORED = -1


def pad(chunk):
    """Return a PackedChunk with ``inputs`` and ``targets`` as (T, N) tensors with pads."""
    shape = len(chunk.batch_sizes), chunk.batch_sizes[0]
    inputs = torch.zeros(shape, dtype=torch.long)
    targets = torch.full(shape, IGNORED)
    start = 0
    for step, n in enumerate(chunk.batch_sizes):
        inputs[step, :n] = torch.as_tensor(chunk.inputs[start:start + n])
        targets[step, :n] = torch.as_tensor(chunk.targets[start:start + n])
        start += n
    return types.SimpleNamespace(inputs=inputs, targets=targets)


class Padded(TorchCaptioner):
    """The captioner on padded captions; its chunks are those of :func:`pad`."""

    def loss(self, image, chunk, states=None):
        """Return (nats per token, last (c, h)); as TorchCaptioner.loss."""
        c, h = self.first_states(image) if states is None else states
        x = self.embed(chunk.inputs)
        if self.inject == 'first':
            x = torch.cat([x[:1] + image, x[1:]])
        hs, c, h = self.run(self.drop(x), c, h)
        return self.score(self.drop(hs).flatten(0, 1), chunk.targets.flatten()), (c, h)

    def run(self, x, c, h):
        """Return outputs of all steps and the last states."""
        hs, (h, c) = self.lstm(x, (h[None], c[None]))
        return hs, c[0], h[0]

    def score(self, hs, targets):
        """Return nats per token."""
        return functional.cross_entropy(self.out(hs), targets, ignore_index=IGNORED)


class Masked(Padded):
    """Padded, but only real words are scored."""

    def score(self, hs, targets):
        kept = targets != IGNORED
        return functional.cross_entropy(self.out(hs[kept]), targets[kept])


class Cells(Padded):
    """Padded, step by step."""

    def __init__(self, model):
        super().__init__(model)
        self.cell = cell_of(self.lstm)

    def run(self, x, c, h):
        return run_cell(self.cell, x, c, h)


def cell_of(lstm):
    """Return an nn.LSTMCell that shares the parameters of an nn.LSTM of one layer."""
    cell = nn.LSTMCell(lstm.input_size, lstm.hidden_size)
    for name in ('weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'):
        setattr(cell, name, getattr(lstm, f'{name}_l0'))
    return cell


def run_cell(cell, x, c, h):
    """Return outputs of all steps, (T, N, H), and the last (c, h)."""
    hs = []
    for step in x:
        h, c = cell(step, (h, c))
        hs.append(h)
    return torch.stack(hs), c, h


@torch.inference_mode()
def search(model, features, bos, eos, max_length, beam, banned):
    """Decode as minichain.decoding.beam_search where no caption ends early.

    Args:
        model: TorchCaptioner, inject 'first', in which eos is most improbable.
    Returns:
        (ids (N, max_length), log probabilities of the captions and their ends (N,)): the best of
        ``beam``.
    """
    image = model.image(features)
    n, rows = len(image), 1
    c, h = (state[None] for state in model.first_states(image))
    words, total, said = image.new_full((n,), bos, dtype=torch.long), image.new_zeros(n, 1), None
    first = torch.arange(n, device=image.device)[:, None]
    for step in range(max_length + 1):
        x = model.embed(words)
        x = x + image if step == 0 else x
        hs, (h, c) = model.lstm(x[None], (h, c))
        scores = functional.log_softmax(model.out(hs[0]), dim=1)
        if step == max_length:
            break
        scores[:, banned] = -torch.inf
        n_words = scores.shape[1]
        if beam == 1:
            value, words = scores.max(dim=1)
            total = total + value[:, None]
            said = words[:, None] if said is None else torch.cat([said, words[:, None]], dim=1)
            continue
        after = (scores.view(n, rows, n_words) + total[:, :, None]).view(n, -1)
        total, best = after.topk(beam, dim=1)
        row, words = (first * rows + best // n_words).flatten(), (best % n_words).flatten()
        c, h, rows = c[:, row], h[:, row], beam
        said = (words[:, None] if said is None else
                torch.cat([said[row], words[:, None]], dim=1))
    total, best = (total + scores[:, eos].view(n, rows)).max(dim=1)
    return said.view(n, rows, -1)[first[:, 0], best], total

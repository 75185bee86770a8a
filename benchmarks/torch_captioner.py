"""models.caption_generator in PyTorch: nn.Embedding, nn.LSTM, nn.Linear, the same initial weights.

Import it only where torch is installed.
"""
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

EPSILON = 1e-8      # of Adam

class TorchCaptioner(nn.Module):
    """The same model with the weights that a CaptionGenerator of one LSTM has now.

    Args:
        model: CaptionGenerator, on the CPU, inject 'first' or 'state'.
    """

    def __init__(self, model):
        super().__init__()
        weights = {path: parameter.array for path, parameter in model.namedparams()}
        (n_vocabulary, n_embed), n_hidden = weights['/embed/W'].shape, model.lstm[0].state_size
        self.embed = nn.Embedding(n_vocabulary, n_embed)
        self.img2x = nn.Linear(*weights['/img2x/W'].shape[::-1])
        self.lstm = nn.LSTM(n_embed, n_hidden)
        self.out = nn.Linear(n_hidden, n_vocabulary)
        # minichain interleaves the gates a, i, f, o of every unit; PyTorch has blocks i, f, a, o.
        rows = np.arange(4 * n_hidden).reshape(n_hidden, 4)[:, [1, 2, 0, 3]].T.ravel()
        values = {
            'embed.weight': weights['/embed/W'],
            'img2x.weight': weights['/img2x/W'], 'img2x.bias': weights['/img2x/b'],
            'lstm.weight_ih_l0': weights['/lstm/0/upward/W'][rows],
            'lstm.weight_hh_l0': weights['/lstm/0/lateral/W'][rows],
            'lstm.bias_ih_l0': weights['/lstm/0/upward/b'][rows],
            'lstm.bias_hh_l0': np.zeros(4 * n_hidden, 'float32'),
            'out.weight': weights['/out/W'], 'out.bias': weights['/out/b']}
        self.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
        self.lstm.bias_hh_l0.requires_grad_(False)      # a second bias, which minichain has not
        for name in ('mean', 'scale'):      # no part of the weights, but on their device
            value = torch.tensor(np.asarray(getattr(model, f'feature_{name}')))
            self.register_buffer(name, value, persistent=False)
        self.inject = model.inject
        self.drop = nn.Dropout(model.dropout)

    def trained(self):
        """Return the parameters that are trained."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def image(self, features):
        """Return what the LSTM is told of images, (N, D) array -> tensor."""
        return self.img2x(self.drop((torch.as_tensor(features) - self.mean) * self.scale))

    def first_states(self, image):
        """Return the initial (c, h), each (N, H)."""
        if self.inject == 'state':
            return torch.tanh(image).chunk(2, dim=1)
        return (image.new_zeros(len(image), self.lstm.hidden_size),) * 2

    def loss(self, image, chunk, states=None):
        """Return (nats per token, last (c, h)) of a PackedChunk; as CaptionGenerator.loss."""
        c, h = self.first_states(image) if states is None else states
        x = self.embed(torch.as_tensor(chunk.inputs).long())
        if self.inject == 'first':
            n = chunk.batch_sizes[0]
            x = torch.cat([x[:n] + image, x[n:]])
        packed = PackedSequence(self.drop(x), torch.tensor(chunk.batch_sizes))
        hs, (h, c) = self.lstm(packed, (h[None], c[None]))
        scores = self.out(self.drop(hs.data))
        loss = functional.cross_entropy(scores, torch.as_tensor(chunk.targets).long())
        return loss, (c[0], h[0])

    @torch.no_grad()
    def start(self, features):
        """Begin captions, for minichain.decoding: features (N, D) -> tuple of arrays."""
        image = self.image(features)
        return tuple(part.numpy() for part in (image, *self.first_states(image)))

    @torch.no_grad()
    def step(self, state, words):
        """Read a word: (state, ids (N,)) -> (state, log probabilities (N, V))."""
        image, c, h = map(torch.as_tensor, state)
        x = self.embed(torch.as_tensor(words).long())
        if self.inject == 'first':
            x = x + image
        hs, (h, c) = self.lstm(x[None], (h[None], c[None]))
        scores = functional.log_softmax(self.out(hs[0]), dim=1)
        return (0 * state[0], c[0].numpy(), h[0].numpy()), scores.numpy()


class TorchLearner:
    """A TorchCaptioner with Adam; methods and arguments as of MinichainLearner.

    Epsilon stands beside sqrt(v) here as in Chainer, beside sqrt(v / (1 - beta2^t)) in PyTorch;
    its ``eps`` is set for every step so that both compute the same.
    """

    def __init__(self, model, lr=1e-3, clip=None, kind=TorchCaptioner):
        self.model, self.clip, self.updates = kind(model), clip, 0
        self.optimizer = torch.optim.Adam(self.model.trained(), lr=lr)

    def learn(self, features, chunk, states=None):
        """Update by one batch. Returns (nats per token before it, (c, h) after it, arrays)."""
        self.model.train()
        loss, after = self.model.loss(self.model.image(features), chunk, wrap(states))
        self.optimizer.zero_grad()
        loss.backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.model.trained(), self.clip)
        self.updates += 1
        for group in self.optimizer.param_groups:
            group['eps'] = EPSILON / math.sqrt(1 - group['betas'][1] ** self.updates)
        self.optimizer.step()
        return loss.item(), tuple(state.detach().numpy() for state in after)

    @torch.no_grad()
    def judge(self, features, chunk, states=None):
        """Return what ``learn`` does, but learn nothing."""
        self.model.eval()
        loss, after = self.model.loss(self.model.image(features), chunk, wrap(states))
        return loss.item(), tuple(state.numpy() for state in after)

    def start(self, features):
        """Begin captions, for minichain.decoding: features (N, D) -> tuple of arrays."""
        self.model.eval()
        return self.model.start(features)

    def step(self, state, words):
        """Read a word: (state, ids (N,)) -> (state, log probabilities (N, V))."""
        return self.model.step(state, words)

    def get_weights(self):
        """Return a copy of all parameters."""
        return {name: value.clone() for name, value in self.model.state_dict().items()}

    def set_weights(self, weights):
        """Take parameters that ``get_weights`` returned."""
        self.model.load_state_dict(weights)


def wrap(states):
    """Turn arrays into tensors."""
    return None if states is None else tuple(map(torch.as_tensor, states))

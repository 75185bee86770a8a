"""The caption generator: image features -> words, by an LSTM.

Vinyals et al. 2015, "Show and tell: a neural image caption generator", arXiv:1411.4555, in the
small form of the article that minichain began with: the image is shown once, added to the first
word's embedding.
"""
import numpy as np

import minichain
import minichain.functions as F
import minichain.links as L
from minichain import Chain, ChainList, Variable
from minichain.caption_step import CaptionStep
from minichain.errors import InvalidArgument

INJECT = ('first', 'every', 'state')


class CaptionGenerator(Chain):
    """Image features -> Linear -> LSTM over word embeddings -> softmax over the vocabulary.

    Args:
        n_vocabulary: V, the number of words with BOS, EOS and UNK.
        n_feature: D, the length of an image's feature vector.
        n_embed: E, the length of a word's embedding.
        n_hidden: H, the width of the LSTM.
        n_layers: LSTMs on top of each other.
        dropout: ratio on the embeddings and on the output of every LSTM, while training.
        inject: where the image enters: 'first': added to the first word's embedding; 'every': to
            every word's; 'state': as the initial state of every LSTM.
    Attributes:
        embed: EmbedID(V, E). img2x: Linear(D, E), or Linear(D, 2 H n_layers) for 'state'.
        lstm: ChainList of StatelessLSTM. out: Linear(H, V).
        feature_mean, feature_scale: (D,), saved with the model; features are standardized as
            (x - mean) * scale.
    """

    def __init__(self, n_vocabulary, n_feature, n_embed=256, n_hidden=256, n_layers=1,
                 dropout=0., inject='first'):
        super().__init__()
        if inject not in INJECT:
            raise InvalidArgument(f'inject: one of {", ".join(INJECT)} expected, got {inject!r}')
        self.dropout, self.inject = dropout, inject
        with self.init_scope():
            self.embed = L.EmbedID(n_vocabulary, n_embed, ignore_label=-1,
                                   initialW=minichain.initializers.Normal(.1))
            self.img2x = L.Linear(n_feature,
                                  2 * n_hidden * n_layers if inject == 'state' else n_embed)
            self.lstm = ChainList(*(L.StatelessLSTM(n_hidden if layer else n_embed, n_hidden)
                                    for layer in range(n_layers)))
            self.out = L.Linear(n_hidden, n_vocabulary)
        self.add_persistent('feature_mean', np.zeros(n_feature, 'float32'))
        self.add_persistent('feature_scale', np.ones(n_feature, 'float32'))

    def standardize_by(self, features):
        """Take mean and scale of the features from those of the training images, (N, D)."""
        deviation = features.std(axis=0)
        self.feature_mean = self.xp.asarray(features.mean(axis=0), 'float32')
        # A feature that never moves says nothing; a tiny deviation must not blow up noise.
        floor = max(1e-6, .1 * float(deviation.mean()))
        self.feature_scale = self.xp.asarray(1 / np.maximum(deviation, floor), 'float32')

    def image(self, features):
        """Return what the LSTM is told of the images: features (N, D) -> (N, E or 2 H layers)."""
        return self.img2x(self._drop((features - self.feature_mean) * self.feature_scale))

    def _drop(self, x):
        return F.dropout(x, self.dropout) if self.dropout else x   # without a draw for nothing

    def loss(self, image, chunk, states=None):
        """Return the loss of a chunk of packed captions, and the states after it.

        Args:
            image: of :meth:`image`, a row for each caption, sorted by falling length.
            chunk: packed ids with ``inputs``, ``targets``, ``batch_sizes`` and ``is_first``.
            states: of the chunk before, or None at the beginning of the captions.
        Returns:
            (loss, states): nats per token, a scalar Variable, and a list of (c, h).
        """
        x = self.embed(chunk.inputs)
        if states is None:
            states = self._first_states(image)
        if self.inject == 'first' and chunk.is_first:
            first, rest = F.split_axis(x, chunk.batch_sizes[:1], axis=0)
            x = F.concat((first + image, rest), axis=0)
        elif self.inject == 'every':
            x = x + F.concat([image[:n] for n in chunk.batch_sizes], axis=0)
        x = self._drop(x)
        next_states = []
        for lstm, (c, h) in zip(self.lstm, states):
            x, c, h = lstm.sequence(x, chunk.batch_sizes, c, h)
            next_states.append((c, h))
            x = self._drop(x)
        loss = F.linear_softmax_cross_entropy(x, self.out.W, self.out.b, chunk.targets)
        return loss, next_states

    def _first_states(self, image):
        if self.inject != 'state':
            zeros = self.xp.zeros((image.shape[0], self.lstm[0].state_size), image.dtype)
            return [(zeros, zeros)] * len(self.lstm)
        parts = F.split_axis(F.tanh(image), 2 * len(self.lstm), axis=1)
        return list(zip(parts[::2], parts[1::2]))

    def start(self, features):
        """Begin captions for images: features (N, D) -> state, a tuple of arrays of N rows."""
        with minichain.using_config('train', False), minichain.no_backprop_mode():
            image = self.image(features)
            states = self._first_states(image)
        return (image.array, *(minichain.as_array(s) for pair in states for s in pair))

    def step(self, state, words):
        """Read one word of every caption and say which may be next.

        Args:
            state: of :meth:`start` or of the step before, arrays of N rows.
            words: ids of the words just read, (N,) integers.
        Returns:
            (state, log_probabilities): the state after them, and (N, V), float.
        """
        image, *states = state
        with minichain.using_config('train', False), minichain.no_backprop_mode():
            x = self.embed(words)
            if self.inject != 'state':
                x = x + image
            after = []
            for lstm, c, h in zip(self.lstm, states[::2], states[1::2]):
                c, x = lstm(Variable(c), Variable(h), x)
                after += [c.array, x.array]
            scores = F.log_softmax(self.out(x)).array
        image = self.xp.zeros_like(image) if self.inject == 'first' else image
        return (image, *after), scores

    def prepare_step(self, input_table=None, capture=True):
        """Return a faster :meth:`step` for many words, of the parameters as they are now.

        Args:
            input_table, capture: as of :class:`minichain.caption_step.CaptionStep`.
        """
        return CaptionStep(self, input_table, capture)

"""Learning to caption on several ranks: each takes its share of every batch and of every split."""
import dataclasses

import numpy as np

from minichain.captioning import Learner, rows
from minichain.configuration import config
from minichain.decoding import Hypothesis
from minichain.distributed.communicator import Communicator
from minichain.loss_floor import Loss


class SharedLearner(Learner):
    """A Learner that learns the same from a batch as one rank alone, up to rounding.

    All ranks are given the same batch. Losses are means over tokens, and captions have different
    lengths; so a rank counts as much as it has tokens.

    Args:
        communicator: Communicator; of size 1, this is a Learner.
        others: as of Learner; the optimizer is of :func:`create_multi_node_optimizer`.
    """

    def __init__(self, model, optimizer, device, n_steps=None, sees=True,
                 communicator=None):
        super().__init__(model, optimizer, device, n_steps, sees)
        self.communicator = communicator or Communicator()
        if self.communicator.size > 1:
            # Learner's loop stays as it is: what its losses mean to the others is said here.
            self._own_loss, self._wholes = model.loss, []
            model.loss = self._shared_loss

    def _shared_loss(self, image, chunk, states=None):
        loss, states = self._own_loss(image, chunk, states)
        if config.enable_backprop:
            loss = self.optimizer.share(loss, len(chunk.targets), self._wholes.pop(0))
        return loss, states

    def update(self, features, ids):
        """Learn one batch: features (N, D) and N captions. Returns the Loss of this rank's share.

        Called by all ranks with the same batch.
        """
        if self.communicator.size == 1:
            return super().update(features, ids)
        lengths = np.array([len(caption) - 1 for caption in ids])
        self._wholes = tokens_of_chunks(lengths, self.n_steps)
        mine = self._share(np.argsort(-lengths, kind='stable'))     # equally long shares
        loss = Loss()
        if len(mine):
            loss = super().update(rows(features, mine), [ids[i] for i in mine])
        while self._wholes:     # the others have longer captions than this rank
            self._wholes.pop(0)
            self.model.cleargrads()
            self.optimizer.update()
        return loss

    def evaluate(self, split, shuffled=False, batch=256):
        """Return the Loss on a split; called by all ranks, each does its share."""
        mine = self._share(np.arange(len(split.ids)))
        share = dataclasses.replace(split, ids=[split.ids[i] for i in mine],
                                    image_of=split.image_of[mine])
        return self.whole(super().evaluate(share, shuffled, batch))

    def say(self, features, max_length, beam=1, batch=64):
        """Return the best caption for each row of features; called by all ranks."""
        mine = self._share(np.arange(len(features)))
        found = super().say(rows(features, mine), max_length, beam, batch) if len(mine) else []
        if self.communicator.size == 1:
            return found
        shares = [[Hypothesis(*hypothesis) for hypothesis in share] for share in
                  self.communicator.allgather_obj([_plain(hypothesis) for hypothesis in found])]
        return [shares[i % len(shares)][i // len(shares)] for i in range(len(features))]

    def whole(self, loss):
        """Return the sum of a Loss over all ranks; called by all ranks."""
        nats, tokens, captions = self.communicator.allreduce(
            np.array(dataclasses.astuple(loss), np.float64))
        return Loss(float(nats), int(tokens), int(captions))

    def _share(self, indexes):
        return indexes[self.communicator.rank::self.communicator.size]


def _plain(hypothesis):
    words, log_probability, score = hypothesis
    return [tuple(map(int, words)), float(log_probability), float(score)]


def tokens_of_chunks(lengths, n_steps=None):
    """Return how many tokens a batch has in each chunk of truncated backpropagation.

    Args:
        lengths: of the captions, words and ends, (N,).
        n_steps: of a chunk; None: all in one.
    """
    n_steps = n_steps or int(lengths.max())
    return [int(np.clip(lengths - start, 0, n_steps).sum())
            for start in range(0, int(lengths.max()), n_steps)]

"""Updates of a caption generator as captured steps, of batches that are padded to few shapes.

Read captioning.py, packing.py and gpu/capture.py first.
"""
import numpy as np

from minichain.captioning import rows
from minichain.gpu import compile_step
from minichain.loss_floor import Loss
from minichain.packing import PAD, PackedChunk, pad

STEPS = 4   # captions get pads up to a multiple of so many steps; each multiple is captured apart


class CapturedUpdates:
    """What a Learner does with a batch of whole captions, in one launch where there is a GPU.

    Pads have neither loss nor gradient, so the updates are those of packed captions, up to
    rounding. Nothing waits for the GPU: the Loss is on it until somebody reads it.

    Args:
        learner: Learner without ``n_steps``, whose model ignores words PAD.
        batch: captions in a batch; a smaller one is filled up.
    """

    def __init__(self, learner, batch):
        self._learner, self._batch = learner, batch
        example = dict.fromkeys(('features', 'inputs', 'targets'), np.zeros(0))
        self.step = compile_step(self._update, example, state=(learner.optimizer,))

    @property
    def goes_on(self):
        """Whether steps are captured, or will be; else packed captions are faster."""
        return self.step.reason is None

    def seed(self, seed):
        """Let dropout draw what depends on the seed alone."""
        self.step.draws.seed(seed)

    def update(self, features, ids):
        """Learn one batch: features (N, D) and N captions. Returns the Loss before it."""
        count, longest = max(self._batch, len(ids)), max(map(len, ids)) - 1
        inputs, targets = pad(ids, count, -(-longest // STEPS) * STEPS)
        # Rows without a caption get the image of the last one, which no loss sees.
        images = rows(features, np.minimum(np.arange(count), len(ids) - 1))
        nats = self.step({'features': self._learner.look(images), 'inputs': inputs,
                          'targets': targets})
        return Loss(nats.copy(), int((targets != PAD).sum()), len(ids))

    def _update(self, batch):
        inputs, targets, features = batch['inputs'], batch['targets'], batch['features']
        sizes = [len(features)] * (len(inputs) // len(features))
        nats, _ = self._learner.learn(features, PackedChunk(inputs, targets, sizes, True))
        return nats * (targets != PAD).sum()

"""Learning to caption: the captions of a split, one step of learning, losses, captions."""
import dataclasses
import math

import numpy as np

from minichain import decoding, text
from minichain.configuration import no_backprop_mode, using_config
from minichain.errors import NotFinite
from minichain.loss_floor import Loss
from minichain.packing import pack


@dataclasses.dataclass
class CaptionSplit:
    """The images of a split and their captions, ready for learning.

    Attributes:
        names: of the images. features: (images, D) float32, on the device.
        ids: id array of every caption. image_of: index of its image, for every caption.
        stars: popularity of every caption, or None.
    """

    names: list
    features: object
    ids: list
    image_of: np.ndarray
    stars: np.ndarray | None

    def groups(self):
        """Return, for each image, its captions as tuples of ids without BOS and EOS."""
        groups = [[] for _ in self.names]
        for i, ids in zip(self.image_of, self.ids):
            groups[i].append(tuple(ids[1:-1]))
        return groups


class Learner:
    """A model with its optimizer.

    Args:
        model: models.caption_generator.CaptionGenerator, or another with its methods ``image``,
            ``loss``, ``start`` and ``step``.
        optimizer: set up with the model.
        device: where the model is.
        n_steps: of truncated backpropagation through time; None: whole captions.
        sees: whether the model is shown the images; one that is not always sees the mean image.
    """

    def __init__(self, model, optimizer, device, n_steps=None, sees=True):
        self.model, self.optimizer, self.device = model, optimizer, device
        self.n_steps, self.sees = n_steps, sees

    def look(self, features):
        """Return the features as this learner sees them."""
        return features if self.sees else self.model.feature_mean + 0 * features

    def update(self, features, ids):
        """Learn one batch: features (N, D) and N captions. Returns the Loss before it."""
        order, chunks = pack(ids, self.n_steps)
        features, states, total = self.look(features[order]), None, Loss(captions=len(ids))
        for chunk in chunks:
            chunk = chunk.send(self.device)
            loss, states = self.model.loss(self.model.image(features), chunk, states)
            nats = float(loss.array)
            if not math.isfinite(nats):
                raise NotFinite(
                    f'the loss became {nats}. Try a smaller --lr or --clip; the snapshot in the '
                    'result folder is from before')
            self.model.cleargrads()
            loss.backward()
            loss.unchain_backward()
            self.optimizer.update()
            total += Loss(nats * len(chunk.targets), len(chunk.targets))
        return total

    def evaluate(self, split, shuffled=False, batch=256):
        """Return the Loss on a split; ``shuffled`` shows every caption the image of another."""
        features = split.features
        if shuffled:
            features = features[np.random.RandomState(0).permutation(len(features))]
        total = Loss()
        by_length = np.argsort([len(ids) for ids in split.ids], kind='stable')
        with using_config('train', False), no_backprop_mode():
            for start in range(0, len(by_length), batch):
                part = by_length[start:start + batch]
                ids = [split.ids[i] for i in part]
                order, (chunk,) = pack(ids)
                x = self.look(features[split.image_of[part[order]]])
                loss, _ = self.model.loss(self.model.image(x), chunk.send(self.device))
                n = len(chunk.targets)
                total += Loss(float(loss.array) * n, n, len(ids))
        return total

    def say(self, features, max_length, beam=1, batch=64):
        """Return the best caption for each row of features (N, D), a list of Hypothesis."""
        found = []
        for start in range(0, len(features), batch):
            x = self.look(features[start:start + batch])
            found += [best for best, *_ in decoding.beam_search(
                self.model.step, self.model.start(x), len(x), text.BOS, text.EOS, max_length,
                beam, banned=(text.UNK,))]
        return found

"""Learning to caption: the captions of a split, one step of learning, losses, captions."""
import dataclasses
import math

import numpy as np

from minichain import decoding
from minichain.backend import get_device_from_array
from minichain.configuration import no_backprop_mode, using_config
from minichain.errors import DataError, NotFinite
from minichain.loss_floor import Loss
from minichain.packing import pack
from minichain.vocabulary import BOS, EOS, UNK

ADVICE = ('Start again with a smaller --lr or --clip; the snapshot in the result folder is from '
          'before')


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

    @classmethod
    def of(cls, images, features, tokenizer, vocabulary, device):
        """Make a split: of a list of CaptionedImage and the Features that hold theirs."""
        names = [image.name for image in images]
        tokens = [tokens_of(image, tokenizer) for image in images]
        stars = [image.stars for image in images]
        return cls(
            names, device.send(features.of(names)),
            [vocabulary.encode(caption) for captions in tokens for caption in captions],
            np.repeat(np.arange(len(images)), [len(captions) for captions in tokens]),
            None if None in stars else np.concatenate(stars))

    def groups(self):
        """Return, for each image, its captions as tuples of ids without BOS and EOS."""
        groups = [[] for _ in self.names]
        for i, ids in zip(self.image_of, self.ids):
            groups[i].append(tuple(ids[1:-1]))
        return groups


def rows(features, indexes):
    """Return rows of features, on whichever device, by NumPy indexes."""
    return features[get_device_from_array(features).send(indexes)]


def tokens_of(image, tokenizer):
    """Return the captions of a CaptionedImage as token lists: as the data has them, or cut."""
    return image.tokens or [tokenizer.tokenize(caption) for caption in image.captions]


def leave_out(failed, data):
    """Take images that cannot be read out of the splits of a CaptionData.

    Args:
        failed: dict, name of an image -> why.
        data: CaptionData, changed.
    Returns:
        list of warnings.
    Raises:
        DataError: a split has none left.
    """
    for split, images in data.splits.items():
        data.splits[split] = [image for image in images if image.name not in failed]
        if not data.splits[split]:
            raise DataError(f'{data.images.path}: none of the {len(images)} images of the {split} '
                            f'split can be read: {failed[images[0].name]}. Mend them')
    return [f'left out: {why}' for why in failed.values()]


class Learner:
    """A model with its optimizer.

    Args:
        model: models.caption_generator.CaptionGenerator, or another with its methods ``image``,
            ``loss``, ``start`` and ``prepare_step``.
        optimizer: set up with the model.
        device: where the model is.
        n_steps: of truncated backpropagation through time; None: whole captions.
        sees: whether the model is shown the images; one that is not always sees the mean image.
    Attributes:
        captured: None, or :class:`~minichain.captured_learning.CapturedUpdates` to learn by.
    """

    captured = None

    def __init__(self, model, optimizer, device, n_steps=None, sees=True):
        self.model, self.optimizer, self.device = model, optimizer, device
        self.n_steps, self.sees = n_steps, sees

    def look(self, features):
        """Return the features as this learner sees them."""
        return features if self.sees else self.model.feature_mean + 0 * features

    def seed(self, seed):
        """Let dropout draw what depends on the seed alone, an int from 0 to 2^32 - 1."""
        self.device.xp.random.seed(seed)
        if self.captured is not None:
            self.captured.seed(seed)

    @np.errstate(over='ignore', invalid='ignore')       # the loss is checked
    def update(self, features, ids):
        """Learn one batch: features (N, D) and N captions.

        Returns:
            the Loss before it; of a GPU it is there until it is read, so that nobody waits.
        Raises:
            NotFinite: the loss is NaN or infinite, and this is the CPU; nothing was changed. What
                a GPU computed is checked when it is read.
        """
        if self.captured is not None and self.captured.goes_on:
            return self.captured.update(features, ids)
        order, chunks = pack(ids, self.n_steps)
        features, states, total = self.look(rows(features, order)), None, Loss(captions=len(ids))
        for chunk in chunks:
            nats, states = self.learn(features, chunk.send(self.device), states)
            total += Loss(nats * len(chunk.targets), len(chunk.targets))
        return total

    def learn(self, features, chunk, states=None):
        """Learn one PackedChunk; features (N, D) and ``states`` of the chunk before or None.

        Returns:
            (nats, states): nats per token before it, a number or an array, float64; the states.
        """
        loss, states = self.model.loss(self.model.image(features), chunk, states)
        nats = (expect_finite(float(loss.array), 'train') if isinstance(loss.array, np.ndarray)
                else loss.array.astype(np.float64))
        self.model.cleargrads()
        loss.backward()
        loss.unchain_backward()
        self.optimizer.update()
        return nats, states

    def read(self, loss):
        """Return a Loss of :meth:`update`, or a sum of these, on the host.

        Raises:
            NotFinite: it is NaN or infinite.
        """
        loss = loss.read()
        expect_finite(loss.nats, 'train')
        return loss

    @np.errstate(over='ignore', invalid='ignore')
    def evaluate(self, split, shuffled=False, batch=256):
        """Return the Loss on a split; ``shuffled`` shows every caption the image of another."""
        features = split.features
        if shuffled:
            cycle = np.random.RandomState(0).permutation(len(features))
            other = np.empty_like(cycle)
            other[cycle] = np.roll(cycle, 1)
            features = rows(features, other)
        total = Loss()
        by_length = np.argsort([len(ids) for ids in split.ids], kind='stable')
        with using_config('train', False), no_backprop_mode():
            for start in range(0, len(by_length), batch):
                part = by_length[start:start + batch]
                ids = [split.ids[i] for i in part]
                order, (chunk,) = pack(ids)
                x = self.look(rows(features, split.image_of[part[order]]))
                loss, _ = self.model.loss(self.model.image(x), chunk.send(self.device))
                n = len(chunk.targets)
                total += Loss(float(loss.array) * n, n, len(ids))
        expect_finite(total.nats, 'dev or test')
        return total

    def expect_finite(self):
        """Raise NotFinite if a parameter is NaN or infinite, so that no snapshot keeps it."""
        for path, param in self.model.namedparams():
            if not bool(self.device.xp.isfinite(param.array).all()):
                raise NotFinite(f'parameter {path} became NaN or infinite. {ADVICE}')

    @np.errstate(over='ignore', invalid='ignore')       # what is not finite is refused
    def say(self, features, max_length, beam=1, batch=64):
        """Return the best caption for each row of features (N, D), a list of Hypothesis."""
        found, step = [], self.model.prepare_step()     # parameters change between two calls
        for start in range(0, len(features), batch):
            x = self.look(features[start:start + batch])
            found += [best for best, *_ in decoding.beam_search(
                step, self.model.start(x), len(x), BOS, EOS, max_length, beam,
                banned=(UNK,))]
        return found


def expect_finite(nats, split):
    """Return a loss, or raise NotFinite if it is NaN or infinite."""
    if not math.isfinite(nats):
        raise NotFinite(f'the {split} loss became {nats}. {ADVICE}')
    return nats

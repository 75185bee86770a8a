"""Drawn scenes as a captioned data set: made in memory, with its floor and its checker."""

import dataclasses
import hashlib
import random

from minichain.datasets.captions import CaptionData, CaptionedImage
from minichain.datasets.scenes.caption import check, entropy, grammar, log_probability, sample
from minichain.datasets.scenes.drawing import draw
from minichain.datasets.scenes.scene import generate
from minichain.errors import DataError

TOKENIZERS = {'en': 'words', 'ja': 'characters'}


@dataclasses.dataclass(frozen=True)
class Floor:
    """The least loss that any model can have on the captions of a split.

    Attributes:
        nats_per_caption: mean -log p(caption | scene) of the split's captions; nothing but luck
            with these very captions lies below.
        nats_per_token: the same, over their tokens and one end of sentence each.
        entropy: its expectation in nats per caption, the mean entropy of the scenes' captions.
    """
    nats_per_caption: float
    nats_per_token: float
    entropy: float


class SceneImages:
    """Pictures by name, drawn whenever they are asked for; as an ImageStore has them.

    Args:
        scenes: dict from name to Scene.
        side: height and width in pixels.
    """
    path = 'drawn scenes'

    def __init__(self, scenes, side=64):
        self.side = side
        self._scenes = scenes

    def __len__(self):
        return len(self._scenes)

    def __contains__(self, name):
        return name in self._scenes

    def names(self):
        """List all names, sorted."""
        return sorted(self._scenes)

    def resolve(self, name):
        """The name itself, None where there is no such picture."""
        return name if name in self._scenes else None

    def scene(self, name):
        """The Scene of a picture.

        Raises:
            DataError: there is no such picture.
        """
        if name not in self._scenes:
            raise DataError(f'{self.path}: no picture {name!r} among {len(self)}.')
        return self._scenes[name]

    def load(self, name):
        """Draw a picture: uint8 array (side, side, 3), RGB."""
        return draw(self.scene(name), self.side)

    def digest(self, name):
        """Compute the sha256 of a picture's pixels, as 64 hexadecimal digits."""
        return hashlib.sha256(self.load(name).tobytes()).hexdigest()


@dataclasses.dataclass
class SceneData(CaptionData):
    """A CaptionData of drawn scenes, with a fourth split 'heldout' and a known truth.

    Attributes:
        language: 'en' or 'ja'.
        tokenizer: name of the tokenizer that fits the language.
    """
    language: str = 'en'
    tokenizer: str = 'words'

    def floor(self, split, tokenize):
        """The floor of a split.

        Args:
            split: 'train', 'dev', 'test' or 'heldout'.
            tokenize: function from a caption to the list of its tokens.
        Returns:
            Floor.
        """
        pairs = [(self.images.scene(image.name), caption)
                 for image in self.splits[split] for caption in image.captions]
        nats = -sum(log_probability(caption, scene, self.language) for scene, caption in pairs)
        tokens = sum(len(tokenize(caption)) + 1 for _, caption in pairs)
        expected = sum(entropy(scene, self.language) for scene, _ in pairs)
        return Floor(nats / len(pairs), nats / tokens, expected / len(pairs))

    def check(self, name, caption):
        """Read any caption of a picture back and hold it against the scene; see scenes.check.

        Returns:
            Verdict.
        """
        return check(caption, self.images.scene(name), self.language)


def load(language='en', n_train=8000, n_dev=500, n_test=1000, n_heldout=500, seed=0,
         captions_per_image=1, side=64):
    """Make the data set of the embedded default.

    Args:
        language: 'en' or 'ja'. The scenes of a seed are the same in both.
        n_train, n_dev, n_test, n_heldout: scenes in each split, each at least 1.
        seed: int; the same arguments always give the same data.
        captions_per_image: captions drawn for each scene, independently.
        side: height and width of the pictures in pixels.
    Returns:
        SceneData: splits of CaptionedImage, and the pictures by name.
    Raises:
        InvalidArgument: there is no grammar of this language.
    """
    grammar(language)
    sizes = {'train': n_train, 'dev': n_dev, 'test': n_test, 'heldout': n_heldout}
    splits, scenes = {}, {}
    for split, n in sizes.items():
        rng = random.Random(f'captions {split} {seed}')
        splits[split] = []
        for i, scene in enumerate(generate(n, seed, split)):
            name = f'{split}_{i:05d}'
            scenes[name] = scene
            splits[split].append(CaptionedImage(name, [
                sample(scene, rng, language) for _ in range(captions_per_image)]))
    source = (f'drawn scenes, captions in {language}, {captions_per_image} an image, seed {seed}, '
              + ', '.join(f'{n} {split}' for split, n in sizes.items()))
    text = repr([(image.name, scenes[image.name], image.captions)
                 for images in splits.values() for image in images])
    return SceneData(
        splits, SceneImages(scenes, side), missing=dict.fromkeys(splits, 0),
        without_image={split: [] for split in splits}, empty=0, warning=None, source=source,
        digest=hashlib.sha256(text.encode()).hexdigest(), language=language,
        tokenizer=TOKENIZERS[language])

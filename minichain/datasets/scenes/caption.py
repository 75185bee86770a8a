"""Captions of a scene: drawn, their exact probability and entropy, and whether one is right."""

import dataclasses
import functools
import math

from minichain.datasets.scenes import english, japanese
from minichain.datasets.scenes.scene import claims
from minichain.errors import InvalidArgument

LANGUAGES = {'en': english, 'ja': japanese}


def captions(scene, language='en'):
    """All captions that the grammar has for a scene.

    Args:
        scene: a Scene.
        language: 'en' (words between spaces) or 'ja' (no spaces).
    Returns:
        dict from caption to probability; the probabilities sum to 1, and a caption that several
        derivations lead to has their sum.
    Raises:
        InvalidArgument: there is no grammar of this language.
    """
    # The captions do not depend on how the scene is drawn.
    return dict(_captions(dataclasses.replace(scene, seed=0), language))


@functools.lru_cache(maxsize=4096)
def _captions(facts, language):
    return grammar(language).captions(facts)


def grammar(language):
    """The module of a language, with ``captions(scene)`` and ``parse(caption)``."""
    if language not in LANGUAGES:
        raise InvalidArgument(f'scenes: language is one of {", ".join(LANGUAGES)}, '
                              f'got {language!r}.')
    return LANGUAGES[language]


def sample(scene, rng, language='en'):
    """Draw one caption of a scene.

    Args:
        scene: a Scene.
        rng: a random.Random or numpy.random.Generator.
        language: 'en' or 'ja'.
    Returns:
        str.
    """
    distribution = captions(scene, language)
    threshold = rng.random()
    for caption, probability in distribution.items():
        threshold -= probability
        if threshold < 0:
            return caption
    return caption  # the probabilities sum to 1 but for rounding


def entropy(scene, language='en'):
    """Entropy of the captions given the scene, -sum p log p, in nats per caption.

    No model that sees the scene can have a lower expected loss.
    """
    return -sum(p * math.log(p) for p in captions(scene, language).values())


def log_probability(caption, scene, language='en'):
    """log p(caption | scene) in nats, -inf where the grammar has no such caption of this scene."""
    probability = captions(scene, language).get(caption, 0.0)
    return math.log(probability) if probability else -math.inf


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is right and wrong about a caption; every fact is (role, attribute, value).

    Attributes:
        grammatical: whether the grammar of the language can read it; if not, nothing is stated.
        true: frozenset of the stated facts that hold in the scene.
        false: frozenset of the stated facts that do not.
        missing: frozenset of the facts that a caption of this scene must state and this does not.
    """
    grammatical: bool
    true: frozenset
    false: frozenset
    missing: frozenset

    @property
    def right(self):
        """Whether it can be read, says nothing false, and says all that must be said."""
        return self.grammatical and not self.false and not self.missing


def check(caption, scene, language='en'):
    """Read a caption back and hold it against the scene.

    The caption is parsed word by word, not looked up among the captions of the scene.

    Args:
        caption: str, anybody's.
        scene: a Scene.
        language: 'en' or 'ja'.
    Returns:
        Verdict.
    """
    stated = grammar(language).parse(caption)
    facts = stated or set()
    truth = claims(scene.kind, scene.things, scene.place, scene.count)
    return Verdict(stated is not None, frozenset(facts & truth), frozenset(facts - truth),
                   frozenset(truth - facts))

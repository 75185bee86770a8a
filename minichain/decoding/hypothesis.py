"""Captions that ended, and their order."""
import math
from typing import NamedTuple

import numpy as np

from minichain.decoding.checks import expect_possible


class Hypothesis(NamedTuple):
    """A caption, ended.

    Attributes:
        words: tuple of ids, at most max_length, without the begin and end words.
        log_probability: log p(words and end | image), nats.
        score: log_probability / (len(words) + 1) ** length_penalty; captions are ranked by it.
    """

    words: tuple
    log_probability: float
    score: float

    @property
    def probability(self):
        """exp(log_probability), 0..1."""
        return math.exp(min(self.log_probability, 0.))


def as_hypothesis(words, log_probability, length_penalty):
    """Return the Hypothesis of a tuple of words and the log probability of them and the end."""
    score = log_probability / (len(words) + 1) ** length_penalty
    return Hypothesis(words, log_probability, score)


def rank(finished, n_best):
    """Return the n best of each image's captions, those of equal score as they were found."""
    ranked = [sorted(found, key=lambda h: -h.score)[:n_best] for found in finished]
    expect_possible(np.array([found[0].score if found else -np.inf for found in ranked]))
    return [[h for h in found if h.score > -np.inf] for found in ranked]

"""Distributions over phrases, small enough to be written out: a dict from text to probability.

A grammar is built from three things: a plain text (probability 1), a choice, and a sequence.
"""

import itertools
import re


def choose(*branches):
    """A choice: each branch is (probability, distribution or text). Equal texts are summed.

    Returns:
        dict from text to probability.
    """
    total = {}
    for weight, branch in branches:
        for text, probability in _as_distribution(branch).items():
            total[text] = total.get(text, 0.0) + weight * probability
    return total


def sequence(*parts, separator=' '):
    """Parts drawn independently and written one after the other; empty texts leave no separator.

    Returns:
        dict from text to probability.
    """
    combinations = itertools.product(*(_as_distribution(part).items() for part in parts))
    branches = []
    for combination in combinations:
        weight = 1.0
        for _, probability in combination:
            weight *= probability
        branches.append((weight, separator.join(text for text, _ in combination if text)))
    return choose(*branches)


def alternatives(*tables):
    """A regular expression for any phrase of these tables {meaning: {phrase: probability}}."""
    phrases = {phrase for table in tables for choices in table.values() for phrase in choices}
    return '|'.join(re.escape(phrase) for phrase in sorted(phrases, key=lambda p: (-len(p), p)))


def meanings(table):
    """A lexicon read backwards: {phrase: meaning} from {meaning: {phrase: probability}}."""
    return {phrase: meaning for meaning, choices in table.items() for phrase in choices}


def _as_distribution(part):
    return {part: 1.0} if isinstance(part, str) else part

"""From a model's word probabilities to captions: greedy, beam search, sampling.

A model is a function ``step(state, words) -> (state, log_probabilities)``. Each caption has one
row in every array of ``state``, in ``words``, and in ``log_probabilities``, (rows, V). Captions
end: after `max_length` words the end word is the only one allowed. A caption's probability is
the model's own, of its words and the end word, whatever was banned or at which temperature.

On a GPU beams stay there and the host looks at every fourth step. A step that has a method
``at_fixed_addresses``, as :class:`minichain.caption_step.CaptionStep`, is captured together with
that of greedy or beam search as a CUDA graph when a size comes for the second time, and replayed.
"""
import math

import numpy as np

from minichain import backend
from minichain.decoding.beams import continue_beams
from minichain.decoding.captured_search import search_captured
from minichain.decoding.checks import begin, check, expect_possible, forbid
from minichain.decoding.device_search import PEEK, search_on_device
from minichain.decoding.host_search import one_by_one, search_on_host, top_k
from minichain.decoding.hypothesis import Hypothesis
from minichain.errors import InvalidArgument


def greedy(step, state, n, bos, eos, max_length, banned=(), length_penalty=1.):
    """Say the most probable word, until the end word comes; of equal ones that of lowest id.

    Args:
        step: function (state, words) -> (state, log_probabilities); words are (rows,), int32,
            log_probabilities (rows, V), float, on the device of the state.
        state: tuple of arrays of n rows, one a caption.
        n: number of captions.
        bos, eos: ids of the begin word, which is read first and never said, and of the end word.
        max_length: largest number of words in a caption, at least 1, the end word not counted.
        banned: ids of words that are never said.
        length_penalty: exponent of the length in the score, at least 0; ranks nothing here.
    Returns:
        list of n Hypothesis.
    Raises:
        NotFinite: NaN or +infinity among the log probabilities, or no word left with any
            probability.
        InvalidArgument: an argument out of range, or eos is banned.
        InvalidType: step returned something else.
    """
    def choose(log_p, rows, banned):
        xp, words = backend.get_array_module(log_p), log_p.argmax(axis=1)
        again = xp.isin(words, xp.asarray(banned))
        if bool(again.any()):       # seldom; the other rows need not be copied
            rest = forbid(log_p[again], banned)
            expect_possible(rest.max(axis=1))
            words[again] = rest.argmax(axis=1)
        return words

    banned = check(n, bos, eos, max_length, banned, length_penalty)
    if not n:
        return []
    found = search_captured(step, state, n, bos, eos, max_length, 1, 1, length_penalty, banned)
    if found is not None:
        return [best for best, in found]
    read, state, log_p = begin(step, state, n, bos, eos, banned)
    if continue_beams.fuses(log_p):
        return [best for best, in search_on_device(read, state, log_p, n, eos, max_length, 1, 1,
                                                    length_penalty, banned)]
    return one_by_one(choose, read, state, log_p, n, eos, max_length, banned, length_penalty)


def sample(step, state, n, bos, eos, max_length, temperature=1., random_state=None, banned=(),
           length_penalty=1.):
    """Draw every word at random:  p(word) ~ exp(log_probability / temperature).

    Args:
        temperature: > 0; 1: as the model says, below: more cautious, above: more daring.
        random_state: seed, numpy.random.Generator, or None for another outcome every time. What
            is drawn for a caption does not depend on how long the others are.
        others: as for :func:`greedy`.
    Returns:
        list of n Hypothesis.
    Raises:
        As :func:`greedy`.
    """
    if not (temperature > 0 and math.isfinite(temperature)):
        raise InvalidArgument(f'sample: a finite temperature above 0 expected, got {temperature}. '
                              'Near 0 it is greedy.')
    random = np.random.default_rng(random_state)

    def choose(log_p, rows, banned):
        xp = backend.get_array_module(log_p)
        log_p = forbid(log_p, banned).astype('float64')
        expect_possible(log_p.max(axis=1))
        u = xp.asarray(1 - random.random(n)[rows])      # in (0, 1]: a p of 0 is never hit
        p = xp.exp((log_p - log_p.max(axis=1, keepdims=True)) / temperature)
        below = xp.cumsum(p, axis=1)
        return (below >= (u * below[:, -1])[:, None]).argmax(axis=1)

    banned = check(n, bos, eos, max_length, banned, length_penalty)
    if not n:
        return []
    read, state, log_p = begin(step, state, n, bos, eos, banned)
    return one_by_one(choose, read, state, log_p, n, eos, max_length, banned, length_penalty)


def beam_search(step, state, n, bos, eos, max_length, beam=5, n_best=1, length_penalty=1.,
                banned=()):
    """Keep the `beam` most probable beginnings of every caption, word by word.

    At every step the `beam` best of all continuations are kept; those that end leave the beam. It
    stops when no beginning can become better than the last of the n best, so never too early. A
    beam of 1 is :func:`greedy`; one as wide as there are captions finds the best of all.

    Args:
        beam: beginnings kept for each caption; memory and time grow with it.
        n_best: how many captions to return, at most `beam`.
        length_penalty: alpha >= 0 in score = log p / length ** alpha, where length counts the end
            word. 0: the most probable caption, which is a short one; 1: the mean over the words.
        others: as for :func:`greedy`.
    Returns:
        list of n lists of Hypothesis, by falling score; those of equal score as they were found.
        There are n_best in each, fewer only where not so many captions are possible.
    Raises:
        As :func:`greedy`.
    """
    banned = check(n, bos, eos, max_length, banned, length_penalty)
    if beam < 1 or not 1 <= n_best <= beam:
        raise InvalidArgument(f'beam_search: beam >= 1 and 1 <= n_best <= beam expected, got beam '
                              f'{beam} and n_best {n_best}. A wider beam finds more captions.')
    if not n:
        return []
    found = search_captured(step, state, n, bos, eos, max_length, beam, n_best, length_penalty,
                            banned)
    if found is not None:
        return found
    read, state, log_p = begin(step, state, n, bos, eos, banned)
    search = search_on_device if continue_beams.fuses(log_p) else search_on_host
    return search(read, state, log_p, n, eos, max_length, beam, n_best, length_penalty, banned)

"""Top k and beam search beyond their formula: ends of rows, infinities, every caption compared."""
import itertools

import numpy as np
import pytest

from minichain.gpu.simulator.builder import missing
from minichain.gpu.top_k import beam_step, log_softmax_top_k, top_k

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def largest(x, k):
    x = np.atleast_2d(np.array(x, np.float32))
    values, ids = np.full((len(x), k), np.nan, np.float32), np.full((len(x), k), -7, np.int32)
    top_k(x, values, ids)
    return values.tolist(), ids.tolist()


def test_a_row_that_is_too_short_gives_what_it_has():
    assert largest([2, 5], 4) == ([[5, 2, -np.inf, -np.inf]], [[1, 0, -1, -1]])


def test_infinities_have_their_places_and_nan_is_not_found():
    row = [np.nan, -np.inf, 3, np.inf, np.nan, -np.inf]
    assert largest(row, 5) == ([[np.inf, 3, -np.inf, -np.inf, -np.inf]], [[3, 2, 1, 5, -1]])


def test_equal_numbers_come_in_the_order_of_their_columns():
    assert largest(np.zeros(1500), 40)[1] == [list(range(40))]


def test_more_rows_than_blocks_are_all_seen(monkeypatch):
    monkeypatch.setattr('minichain.gpu.top_k.MOST_BLOCKS', 2)
    x = np.random.default_rng(0).standard_normal((7, 9))
    assert largest(x, 1)[1] == np.argmax(x, axis=1)[:, None].tolist()


def test_a_banned_word_has_no_probability_and_a_dead_beginning_no_continuation():
    x = np.array([[0, -np.inf, 0], [1, 2, 3]], np.float32)
    values, ids = np.zeros((2, 3), np.float32), np.zeros((2, 3), np.int32)
    log_softmax_top_k(x, np.array([-1, -np.inf], np.float32), values, ids)
    assert np.allclose(values[0, :2], -1 - np.log(2), rtol=0, atol=1e-6)
    assert values[0, 2] == -np.inf and ids[0].tolist() == [0, 2, 1]
    assert (values[1] == -np.inf).all() and ids[1].tolist() == [2, 1, 0]


@pytest.mark.parametrize('beam', [1, 4, 64])
def test_a_beam_as_wide_as_there_are_captions_finds_the_best_of_all(beam):
    """Three words of four, each of a probability that depends on the one before."""
    images, vocabulary, length = 2, 4, 3
    scores = np.random.default_rng(beam).standard_normal((images, vocabulary + 1, vocabulary))
    scores = (scores * 2).astype(np.float32)
    k = min(beam, vocabulary)
    words = np.full((images, beam), vocabulary, np.int32)   # the row of the first word
    totals = np.full((images, beam), -np.inf, np.float32)
    totals[:, 0] = 0
    captions = np.zeros((images, beam, 0), np.int64)
    each = np.arange(images)[:, None]
    for _ in range(length):
        parents, next_words, new_totals = words.copy(), words.copy(), totals.copy()
        values, ids = np.zeros((images, beam, k), np.float32), np.zeros((images, beam, k), 'i')
        beam_step(scores[each, words].reshape(-1, vocabulary), totals.reshape(-1), values, ids,
                  parents, next_words, new_totals)
        captions = np.concatenate((captions[each, parents], next_words[..., None]), axis=2)
        words, totals = next_words, new_totals
    wide = scores.astype(np.float64)
    log_p = wide - np.log(np.exp(wide).sum(axis=2, keepdims=True))

    def probability(i, caption):
        return sum(log_p[i, previous, word]
                   for previous, word in zip((vocabulary, *caption[:-1]), caption))
    for i in range(images):
        found = [probability(i, caption) for caption in captions[i].tolist()]
        assert np.allclose(totals[i], found, rtol=0, atol=1e-5)
        assert np.all(np.diff(totals[i]) <= 0) and len(set(map(tuple, captions[i]))) == beam
        if beam == 64:
            every = [probability(i, c) for c in itertools.product(range(vocabulary), repeat=3)]
            assert np.allclose(totals[i], sorted(every, reverse=True), rtol=0, atol=1e-5)
        if beam == 1:
            greedy = np.argmax(log_p[i, vocabulary])
            assert captions[i, 0, 0] == greedy

"""Steps of beam search beyond their formula: ends of rows, infinities, every caption compared."""
import itertools

import numpy as np
import pytest

from minichain.gpu.beam_search import Beams, beam_candidates, room
from minichain.gpu.simulator.builder import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
NONE = [-1]


def candidates(x, k, totals=None, banned=NONE, eos=0, normalize=False):
    """Return values, said and ids of rows that are of one image."""
    x = np.atleast_2d(np.array(x, np.float32))
    totals = np.zeros((1, len(x)), np.float32) if totals is None else np.float32(totals)
    found = room(np, len(x), k)
    beam_candidates(x, totals, np.array(banned, np.int32), np.zeros(1, np.int32), *found,
                    x.shape[1], len(x), eos, normalize)
    return [each.tolist() for each in found]


def test_a_row_that_is_too_short_gives_what_it_has():
    values, said, ids = candidates([2, 5], 4)
    assert values == [[5, 2, -np.inf, -np.inf]] and ids == [[1, 0, -1, -1]]
    assert said == [[5, 2, -np.inf, -np.inf, 2]]


def test_minus_infinity_has_its_place():
    values, _, ids = candidates([-np.inf, 3, -np.inf], 4)
    assert values == [[3, -np.inf, -np.inf, -np.inf]] and ids == [[1, 0, 2, -1]]


@pytest.mark.parametrize('normalize', [False, True])
@pytest.mark.parametrize('wrong', [np.nan, np.inf])
def test_a_row_that_is_not_finite_gives_nan_and_no_other_does(wrong, normalize):
    values, said, ids = candidates([[1, 2, wrong], [3, 2, 1]], 2, normalize=normalize)
    assert np.isnan(values[0]).all() and np.isnan(said[0]).all() and ids[0] == [-1, -1]
    assert np.isfinite(values[1] + said[1]).all() and ids[1] == [0, 1]


def test_scores_that_are_all_minus_infinity_cannot_be_normalized():
    nothing = [-np.inf] * 3
    assert np.isnan(candidates(nothing, 2, normalize=True)[0]).all()
    assert candidates(nothing, 2)[0] == [[-np.inf] * 2]


def test_equal_numbers_come_in_the_order_of_their_columns():
    assert candidates(np.zeros(1500), 40)[2] == [list(range(40))]
    assert candidates(np.zeros(1500), 4, banned=[1, 3, 7])[2] == [[0, 2, 4, 5]]


def test_more_rows_than_blocks_are_all_seen(monkeypatch):
    monkeypatch.setattr('minichain.gpu.beam_search.MOST_BLOCKS', 2)
    x = np.random.default_rng(0).standard_normal((7, 9))
    assert candidates(x, 1)[2] == np.argmax(x, axis=1)[:, None].tolist()


def test_a_banned_word_counts_in_the_sum_and_a_dead_beginning_has_no_continuation():
    x = [[0, 9, 0], [1, np.nan, 3]]
    values, said, ids = candidates(x, 3, [[-1, -np.inf]], [1], 2, True)
    log_p = -np.log(2 + np.exp(9))
    assert np.allclose(values[0][:2], -1 + log_p) and np.allclose(said[0][:2] + said[0][3:], log_p)
    assert values[0][2] == -np.inf and ids[0] == [0, 2, -1]
    assert values[1] == [-np.inf] * 3 and said[1] == [-np.inf] * 4 and ids[1] == [-1] * 3


def test_what_ends_lives_no_longer_and_a_step_too_many_changes_nothing():
    beams = Beams(np, 1, 2, 3, 4, 1, 2, (0,))
    assert beams.words.tolist() == [1, 1] and beams.totals.tolist() == [[0, -np.inf]]
    x = np.array([[0, -3, -1, -2]] * 2, np.float32)
    beams.advance(x, 2, False)
    assert beams.words.tolist() == [2, 3] and beams.totals.tolist() == [[-np.inf, -2]]
    beams.advance(x, 2, False)
    assert beams.words.tolist() == [2, 3] and beams.rows.tolist() == [1, 1]
    assert beams.totals.tolist() == [[-np.inf, -4]]
    beams.advance(x, 2, False)      # the last: all end
    parents, words, bits = beams.history.swapaxes(0, 1)
    assert parents[:, 0].tolist() == [[0, 0], [1, 1], [0, 1]]
    assert words[:, 0].tolist() == [[2, 3], [2, 3], [2, 2]]
    assert bits.view(np.float32)[:, 0].tolist() == [[-1, -2], [-1, -2], [-np.inf, -1]]
    before = beams.history.copy()
    beams.advance(x, 2, False)
    assert (beams.history == before).all()


def test_an_image_in_which_a_beginning_is_not_finite_is_reported_whatever_is_said():
    beams = Beams(np, 2, 2, 3, 4, 1, 2, ())
    assert beams.rows.tolist() == [0, 0, 1, 1]
    beams.advance(np.array([[0, -3, -1, -2]] * 4, np.float32), 2, False)
    x = np.zeros((4, 4), np.float32)
    x[2, 3] = np.nan     # the other beginning has ended
    beams.advance(x, 2, False)
    said = beams.history[1, 2].view(np.float32)
    assert said[0].tolist() == [0, 0] and np.isnan(said[1]).all()


@pytest.mark.parametrize('beam', [1, 4, 64])
def test_a_beam_as_wide_as_there_are_captions_finds_the_best_of_all(beam):
    """Three words of four, each of a probability that depends on the one before."""
    images, vocabulary, length = 2, 4, 3
    scores = np.random.default_rng(beam).standard_normal((images, vocabulary + 1, vocabulary))
    scores = (scores * 2).astype(np.float32)
    each = np.repeat(np.arange(images), beam)
    beams = Beams(np, images, beam, length + 1, vocabulary, vocabulary, -1, ())
    beams.advance(scores[each, beams.words], beam, True)    # of another caption
    beams.reset()
    captions = np.zeros((images * beam, 0), np.int64)
    for _ in range(length):
        beams.advance(scores[each, beams.words], beam, True)
        captions = np.concatenate((captions[beams.rows], beams.words[:, None]), axis=1)
    captions = captions.reshape(images, beam, length)
    wide = scores.astype(np.float64)
    log_p = wide - np.log(np.exp(wide).sum(axis=2, keepdims=True))

    def probability(i, caption):
        return sum(log_p[i, previous, word]
                   for previous, word in zip((vocabulary, *caption[:-1]), caption))
    for i in range(images):
        found = [probability(i, caption) for caption in captions[i].tolist()]
        assert np.allclose(beams.totals[i], found, rtol=0, atol=1e-5)
        assert np.all(np.diff(beams.totals[i]) <= 0)
        assert len(set(map(tuple, captions[i]))) == beam
        if beam == 64:
            every = [probability(i, c) for c in itertools.product(range(vocabulary), repeat=3)]
            assert np.allclose(beams.totals[i], sorted(every, reverse=True), rtol=0, atol=1e-5)
        if beam == 1:
            assert captions[i, 0, 0] == np.argmax(log_p[i, vocabulary])

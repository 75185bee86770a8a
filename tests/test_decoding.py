import itertools
import math

import numpy as np
import pytest

from minichain.decoding import Hypothesis, beam_search, greedy, sample, top_k
from minichain.errors import InvalidArgument, InvalidType, NotFinite
from tests import strict_cupy

BOS, EOS, UNK = 1, 2, 0


class Toy:
    """A model whose next word depends on the image and on the last two words, by a table."""

    def __init__(self, seed, n_words=6, n_images=3, sharpness=2., dtype='float64'):
        random = np.random.RandomState(seed)
        scores = sharpness * random.randn(n_images, n_words, n_words, n_words)
        p = np.exp(scores)
        self.table = np.log(p / p.sum(axis=-1, keepdims=True)).astype(dtype)
        self.n_words, self.n_images, self.rows = n_words, n_images, 0

    def start(self):
        return np.arange(self.n_images), np.full(self.n_images, BOS)

    def step(self, state, words):
        image, before = state
        self.rows += len(words)
        assert words.dtype == np.int32
        return (image, words.astype(int)), self.table[image, before, words]

    def log_probability(self, image, words):
        total, before, last = 0., BOS, BOS
        for word in (*words, EOS):
            total += self.table[image, before, last, word]
            before, last = last, word
        return total

    def every_caption(self, image, max_length, alpha, banned=()):
        """All captions there are, best first, straight from the definition."""
        words = [w for w in range(self.n_words) if w not in (BOS, EOS, *banned)]
        found = [(self.log_probability(image, caption) / (len(caption) + 1) ** alpha, caption)
                 for length in range(max_length + 1)
                 for caption in itertools.product(words, repeat=length)]
        return sorted(found, reverse=True)


def from_rows(rows):
    """A model that says the same at every step: rows of probabilities, one an image."""
    with np.errstate(divide='ignore'):
        table = np.log(np.array(rows, 'float64'))

    def step(state, words):
        return state, table[state[0]]
    return step, (np.arange(len(rows)),), len(rows)


@pytest.mark.parametrize('alpha', [0., .7, 1., 3.])
@pytest.mark.parametrize('seed', range(3))
def test_a_wide_beam_finds_what_trying_every_caption_finds(seed, alpha):
    toy, length = Toy(seed, n_words=5), 4
    n_best, beam = 7, 3 ** length * 5
    results = beam_search(toy.step, toy.start(), 3, BOS, EOS, length, beam, n_best, alpha)
    for image, found in enumerate(results):
        expected = toy.every_caption(image, length, alpha)[:n_best]
        assert [h.words for h in found] == [words for _, words in expected]
        np.testing.assert_allclose([h.score for h in found], [s for s, _ in expected], rtol=1e-12)
        np.testing.assert_allclose([h.log_probability for h in found],
                                   [toy.log_probability(image, h.words) for h in found])


def test_a_wide_beam_lists_every_caption_and_their_probabilities_with_the_endless_rest_make_one():
    toy = Toy(5, n_words=5)
    toy.table[..., BOS] = -np.inf
    toy.table -= np.log(np.exp(toy.table).sum(axis=-1, keepdims=True))
    found, = beam_search(toy.step, (np.array([1]), np.array([BOS])), 1, BOS, EOS, 3, 500, 500, 0.)
    assert sorted(h.words for h in found) == sorted(w for _, w in toy.every_caption(1, 3, 0.))
    assert 0 < sum(h.probability for h in found) < 1        # longer ones have the rest


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_a_beam_of_one_is_greedy_exactly(dtype):
    for seed in range(20):
        toy = Toy(seed, n_words=30, n_images=8, dtype=dtype)
        arguments = (8, BOS, EOS, 6)
        one = beam_search(toy.step, toy.start(), *arguments, beam=1, banned=(UNK,))
        assert [found[0] for found in one] == greedy(toy.step, toy.start(), *arguments,
                                                     banned=(UNK,))
        assert all(len(found) == 1 for found in one)


def test_greedy_says_the_most_probable_word_every_time():
    toy = Toy(0, n_words=12)
    for image, found in enumerate(greedy(toy.step, toy.start(), 3, BOS, EOS, 9)):
        before, last, words = BOS, BOS, []
        while len(words) < 9:
            row = toy.table[image, before, last].copy()
            row[BOS] = -np.inf
            before, last = last, int(np.argmax(row))
            if last == EOS:
                break
            words.append(last)
        assert found.words == tuple(words)
        assert found.log_probability == pytest.approx(toy.log_probability(image, words))
        assert found.score == pytest.approx(found.log_probability / (len(words) + 1))


def test_greedy_breaks_off_where_a_beam_finds_the_better_caption():
    # 3 begins best (0.6) but then the mass is spread; 4 (0.4) is followed by certainty.
    p = np.zeros((8, 8))
    p[BOS, [3, 4]] = .6, .4
    p[3, [3, 4, 5, 6, 7, EOS]] = 1 / 6
    p[4, EOS] = 1.
    p[5:, EOS] = 1.
    with np.errstate(divide='ignore'):
        table = np.log(p)

    def step(state, words):
        return state, table[words]
    state = (np.zeros(1),)
    assert greedy(step, state, 1, BOS, EOS, 5)[0].words[0] == 3
    (best,), = beam_search(step, state, 1, BOS, EOS, 5, beam=3, length_penalty=0.)
    assert best.words == (4,) and best.probability == pytest.approx(.4)


def test_images_do_not_influence_each_other():
    toy = Toy(3, n_words=20, n_images=5, sharpness=1.)
    together = beam_search(toy.step, toy.start(), 5, BOS, EOS, 8, beam=4, n_best=4)
    for image in range(5):
        alone = beam_search(toy.step, (np.array([image]), np.array([BOS])), 1, BOS, EOS, 8,
                            beam=4, n_best=4)
        assert alone == together[image:image + 1]


@pytest.mark.parametrize('beam', [2, 3, 5])
def test_as_many_captions_as_asked_for_come_back_ranked_and_different(beam):
    for seed in range(20):
        toy = Toy(seed, n_words=9, sharpness=3.)
        for found in beam_search(toy.step, toy.start(), 3, BOS, EOS, 7, beam, n_best=beam):
            assert len({h.words for h in found}) == beam
            assert all(a.score >= b.score for a, b in itertools.pairwise(found))


def test_it_does_not_stop_while_a_longer_caption_can_still_win():
    # Ending at once has p = 0.5; ten words of p = 0.49 ** 0.1 ... are far better in the mean.
    def step(state, words):
        t = int(state[0][0])
        p = [0, 0, .5, .5] if t == 0 else [0, 0, .01, .99] if t < 10 else [0, 0, 1., 0]
        with np.errstate(divide='ignore'):
            return (state[0] + 1,), np.log(np.tile(p, (len(words), 1)))
    (best,), = beam_search(step, (np.zeros(1),), 1, BOS, EOS, 20, beam=2, length_penalty=1.)
    assert best.words == (3,) * 10
    (best,), = beam_search(step, (np.zeros(1),), 1, BOS, EOS, 20, beam=2, length_penalty=0.)
    assert best.words == ()


def test_it_stops_as_soon_as_nothing_can_win_any_more():
    steps = []
    table = np.log(np.array([.01, .01, .9, .08]))

    def step(state, words):
        steps.append(len(words))
        return state, np.tile(table, (len(words), 1))
    (best,), = beam_search(step, (np.zeros(1),), 1, BOS, EOS, 1000, beam=3, length_penalty=0.)
    assert best.words == () and len(steps) == 1


@pytest.mark.parametrize('decode', [greedy, beam_search, sample])
def test_a_model_that_never_ends_is_ended_with_the_probability_of_the_end_word(decode):
    step, state, n = from_rows([[.5, 0, 1e-9, .5]])
    found = decode(step, state, n, BOS, EOS, 4)[0]
    found = found if isinstance(found, Hypothesis) else found[0]
    assert len(found.words) == 4
    assert found.log_probability == pytest.approx(math.log(.5 ** 4 * 1e-9))


@pytest.mark.parametrize('decode', [greedy, beam_search, sample])
def test_begin_word_and_banned_words_are_never_said(decode):
    step, state, n = from_rows([[.3, .5, .05, .02, .1, .03]] * 6)
    for found in decode(step, state, n, BOS, EOS, 12, banned=(UNK, 5)):
        for h in [found] if isinstance(found, Hypothesis) else found:
            assert set(h.words) <= {3, 4}
            # nothing is made up for what was banned
            assert h.log_probability == pytest.approx(
                sum(math.log({3: .02, 4: .1}[w]) for w in h.words) + math.log(.05))


def test_the_model_keeps_its_own_scores_when_words_are_banned():
    scores = np.log(np.array([[.3, .1, .3, .3]]))
    before = scores.copy()
    greedy(lambda state, words: (state, scores), (np.zeros(1),), 1, BOS, EOS, 2, banned=(UNK,))
    np.testing.assert_array_equal(scores, before)


def test_of_equal_words_those_of_lowest_id_win():
    step, state, n = from_rows([[.1, .1, .1, .175, .175, .175, .175]])
    assert greedy(step, state, n, BOS, EOS, 2)[0].words == (3, 3)
    found, = beam_search(step, state, n, BOS, EOS, 2, beam=3, n_best=3, banned=(UNK,))
    assert [h.words for h in found] == [(3, 3), (3, 4), (3, 5)]


@pytest.mark.parametrize('k', [1, 2, 5, 11])
def test_top_k_is_a_stable_sort_cut_off(k):
    values = np.random.RandomState(0).randint(-3, 3, (40, 11)).astype('float32')
    values[3] = 7.
    values[4, 2:] = -np.inf
    ids, top = top_k(values, k)
    expected = np.argsort(-values, axis=1, kind='stable')[:, :k]
    np.testing.assert_array_equal(top, np.take_along_axis(values, expected, axis=1))
    np.testing.assert_array_equal(ids[top > -np.inf], expected[top > -np.inf])


def test_samples_come_as_often_as_the_model_says():
    p = np.array([.1, .1, .2, .1, .3, .2])
    step, state, n = from_rows([p] * 20000)
    found = sample(step, state, n, BOS, EOS, 1, random_state=0, banned=(UNK,))
    first = np.array([h.words[0] if h.words else EOS for h in found])
    share = np.bincount(first, minlength=6) / n
    allowed = np.where(np.isin(np.arange(6), (UNK, BOS)), 0, p)
    np.testing.assert_allclose(share, allowed / allowed.sum(), atol=.015)   # 4 sigma
    assert share[UNK] == share[BOS] == 0


def test_temperature_sharpens_and_flattens():
    step, state, n = from_rows([[0, 0, .2, .3, .5]] * 20000)
    for temperature in (.5, 2.):
        found = sample(step, state, n, BOS, EOS, 1, temperature, random_state=1)
        share = np.mean([h.words == (4,) for h in found])
        p = np.array([.2, .3, .5]) ** (1 / temperature)
        assert share == pytest.approx(p[2] / p.sum(), abs=.015)
        assert found[0].log_probability == pytest.approx(
            math.log({(): 1., (3,): .3, (4,): .5}[found[0].words]) + math.log(.2))


def test_a_low_temperature_is_greedy_and_a_seed_repeats_itself():
    toy = Toy(2, n_words=15, n_images=6)
    arguments = toy.step, toy.start(), 6, BOS, EOS, 7
    assert sample(*arguments, temperature=1e-6, random_state=3) == greedy(*arguments)
    assert sample(*arguments, random_state=7) == sample(*arguments, random_state=7)
    assert sample(*arguments, random_state=7) != sample(*arguments, random_state=8)
    generator = np.random.default_rng(7)
    assert sample(*arguments, random_state=generator) == sample(*arguments, random_state=7)


@pytest.mark.parametrize('decode', [greedy, beam_search, sample])
def test_no_images_give_no_captions(decode):
    toy = Toy(0)
    assert decode(toy.step, (np.zeros(0, int), np.zeros(0, int)), 0, BOS, EOS, 3) == []


@pytest.mark.parametrize('decode', [greedy, beam_search, sample])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_scores_that_are_not_finite_are_an_error(decode, value):
    step, state, n = from_rows([[.2, .2, .2, .4]] * 2)

    def broken(state, words):
        state, scores = step(state, words)
        scores = scores.copy()
        scores[-1, 3] = value
        return state, scores
    with pytest.raises(NotFinite, match='decoding: the model gave NaN or infinite'):
        decode(broken, state, n, BOS, EOS, 3)


@pytest.mark.parametrize('decode', [greedy, beam_search, sample])
def test_a_model_that_can_say_nothing_is_an_error(decode):
    step, state, n = from_rows([[.5, .5, 0., 0.]])
    with pytest.raises(NotFinite, match='probability 0'):
        decode(step, state, n, BOS, EOS, 3, banned=(UNK,))


@pytest.mark.parametrize('decode', [greedy, beam_search, sample])
def test_a_banned_word_is_not_said_even_if_no_other_has_any_probability(decode):
    step, state, n = from_rows([[.2, .2, .2, .4], [1., 0., 0., 0.]])
    with pytest.raises(NotFinite, match='probability 0'):
        decode(step, state, n, BOS, EOS, 3, banned=(UNK,))


def test_the_largest_of_a_row_leave_out_what_is_banned():
    values = np.array([[5., 9, 7, 7, 1], [1, 2, 3, 4, 5]])
    ids, top = top_k(values, 3, (1, 4))
    np.testing.assert_array_equal(ids, [[2, 3, 0], [3, 2, 0]])
    np.testing.assert_array_equal(top, [[7, 7, 5], [4, 3, 1]])
    assert values[0, 1] == 9


@pytest.mark.parametrize('change, message', [
    ({'max_length': 0}, 'max_length >= 1'),
    ({'length_penalty': -1.}, 'length_penalty >= 0'),
    ({'banned': (EOS,)}, 'neither bos nor banned'),
    ({'eos': BOS}, 'neither bos nor banned'),
    ({'banned': (99,)}, 'below 6'),
    ({'beam': 0}, 'beam >= 1'),
    ({'beam': 2, 'n_best': 3}, 'n_best <= beam'),
])
def test_arguments_out_of_range_are_refused(change, message):
    toy = Toy(0)
    arguments = {'bos': BOS, 'eos': EOS, 'max_length': 3} | change
    with pytest.raises(InvalidArgument, match=message):
        beam_search(toy.step, toy.start(), 3, **arguments)


@pytest.mark.parametrize('decode', [greedy, sample, beam_search])
@pytest.mark.parametrize('max_length, penalty', [(3, 1e3), (10 ** 400, 1)])
def test_lengths_whose_power_is_no_float_are_refused(decode, max_length, penalty):
    toy = Toy(0)
    with pytest.raises(InvalidArgument, match='length_penalty is finite expected'):
        decode(toy.step, toy.start(), 3, BOS, EOS, max_length, length_penalty=penalty)


@pytest.mark.parametrize('decode', [greedy, sample, beam_search])
@pytest.mark.parametrize('result', [None, np.zeros((3, 9)), ((), np.zeros((3, 9)), 0)])
def test_a_step_that_does_not_return_two_things_is_named(decode, result):
    with pytest.raises(InvalidType, match=r'\(state, log_probabilities\) expected from step'):
        decode(lambda state, words: result, (np.zeros(3),), 3, BOS, EOS, 3)


@pytest.mark.parametrize('temperature', [0., -1., np.nan, np.inf])
def test_a_temperature_must_be_above_zero(temperature):
    toy = Toy(0)
    with pytest.raises(InvalidArgument, match='temperature above 0'):
        sample(toy.step, toy.start(), 3, BOS, EOS, 3, temperature)


@pytest.mark.parametrize('result', [
    np.zeros((2, 9)), np.zeros(9), np.zeros((3, 2)), np.zeros((3, 9), int), [[0.] * 9] * 3])
def test_what_is_no_table_of_log_probabilities_is_refused(result):
    with pytest.raises(InvalidType, match='log_probabilities of floats'):
        greedy(lambda state, words: (state, result), (np.zeros(3),), 3, BOS, EOS, 3)


@pytest.mark.parametrize('decode', [greedy, beam_search, sample])
def test_on_a_gpu_it_decodes_the_same(decode):
    toy = Toy(4, n_words=9, n_images=4, sharpness=1.)
    toy.table[..., 5] = toy.table[..., 4]       # ties
    options = {'random_state': 0} if decode is sample else {}
    expected = decode(toy.step, toy.start(), 4, BOS, EOS, 6, banned=(UNK,), **options)
    with strict_cupy.installed() as cupy:
        table = cupy.asarray(toy.table)

        def step(state, words):
            image, before = state
            return (image, words), table[image, before, words]
        state = tuple(map(cupy.asarray, toy.start()))
        assert decode(step, state, 4, BOS, EOS, 6, banned=(UNK,), **options) == expected

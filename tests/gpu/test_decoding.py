"""Decoding on a device by kernels says what it says on the CPU, without waiting at every step."""
import numpy as np
import pytest

import minichain
from minichain import decoding
from minichain.errors import InvalidType, NotFinite
from minichain.gpu.beam_search import Beams
from minichain.gpu.simulator.arrays import ndarray
from minichain.gpu.simulator.builder import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))
SIM = minichain.get_device('sim')
UNK, BOS, EOS = 0, 1, 2
N_WORDS = 11


class Toy:
    """A model whose next word depends on the image and on the last two words, by a table."""

    def __init__(self, seed, n, ties=False, ends=0.):
        scores = np.random.default_rng(seed).standard_normal((n, N_WORDS, N_WORDS, N_WORDS))
        scores[..., EOS] += ends
        if ties:    # sums of eighths are exact, so that sums that are equal are so everywhere
            self.table = np.round(2 * scores - 6) / 8
        else:
            self.table = 2 * scores
            self.table -= np.log(np.exp(self.table).sum(axis=-1, keepdims=True))
        self.table, self.n = self.table.astype('float32'), n

    def run(self, decode, device, *arguments, **options):
        table, images, words = (device.send(array) for array in (
            self.table, np.arange(self.n), np.full(self.n, BOS)))

        def step(state, last):
            image, before = state
            return (image, last), table[image, before, last]
        return decode(step, (images, words), self.n, BOS, EOS, *arguments, **options)


@pytest.fixture
def by_kernels(monkeypatch):
    """Return a list that grows when beams are continued by kernels."""
    launched, advance = [], Beams.advance
    monkeypatch.setattr(Beams, 'advance', lambda self, *arguments, **options: (
        launched.append(1) or advance(self, *arguments, **options)))
    return launched


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('beam', range(1, 9))
@pytest.mark.parametrize('n', range(1, 6))
def test_beams_find_the_same_captions_of_the_same_scores(n, beam, ties, by_kernels):
    for ends, length in ((-3., 3), (1., 9)):
        toy = Toy(10 * n + beam, n, ties, ends)
        for n_best, penalty in ((1, 1.), (beam, .5)):
            arguments = length, beam, n_best, penalty, (UNK,)
            expected = toy.run(decoding.beam_search, minichain.get_device('cpu'), *arguments)
            assert not by_kernels
            assert toy.run(decoding.beam_search, SIM, *arguments) == expected
            assert 1 <= len(by_kernels) <= length + 1
            by_kernels.clear()


@pytest.mark.parametrize('ties', [False, True])
@pytest.mark.parametrize('n', range(1, 6))
def test_greedy_says_the_same(n, ties, by_kernels):
    toy = Toy(n, n, ties, .5)
    expected = toy.run(decoding.greedy, minichain.get_device('cpu'), 9, banned=(UNK,))
    assert toy.run(decoding.greedy, SIM, 9, banned=(UNK,)) == expected and by_kernels


def test_a_search_ends_when_there_is_nothing_to_hope_for(by_kernels):
    toy = Toy(0, 2, ends=30.)
    found = toy.run(decoding.beam_search, SIM, 40, 3)
    assert [best.words for best, in found] == [(), ()] and len(by_kernels) == decoding.PEEK


def test_the_host_looks_at_every_fourth_step_only(monkeypatch):
    looks, get = [], ndarray.get
    monkeypatch.setattr(ndarray, 'get', lambda self: looks.append(1) or get(self))
    toy = Toy(0, 3, ends=-30.)
    toy.run(decoding.beam_search, SIM, 11, 3)
    assert len(looks) == 3


@pytest.mark.parametrize('value', [np.nan, np.inf])
@pytest.mark.parametrize('before', [BOS, 5])
def test_scores_that_are_not_finite_are_an_error(value, before):
    toy = Toy(0, 2)
    toy.table[1, :, before] = value
    if before == 5:     # which is said first
        toy.table[1, :, BOS, 5] = 9
    for decode in decoding.greedy, decoding.beam_search:
        with pytest.raises(NotFinite, match='NaN or infinite'):
            toy.run(decode, SIM, 9)


def test_a_model_that_can_say_nothing_is_an_error():
    toy = Toy(0, 2)
    toy.table[1] = -np.inf
    for decode in decoding.greedy, decoding.beam_search:
        with pytest.raises(NotFinite, match='every word that may be said'):
            toy.run(decode, SIM, 5)


def test_a_model_whose_words_become_fewer_is_refused_before_a_kernel_reads_them():
    scores = SIM.send(np.zeros((6, N_WORDS), 'float32'))

    def step(state, words):
        return state, scores[:len(words), :N_WORDS - (len(words) > 2)]
    with pytest.raises(InvalidType, match='of 11 words, as at first, expected from step, got 10'):
        decoding.beam_search(step, (SIM.send(np.zeros(2)),), 2, BOS, EOS, 5, 3)


def test_a_double_precision_model_goes_the_generic_way(by_kernels):
    toy = Toy(3, 2)
    toy.table = toy.table.astype('float64')
    expected = toy.run(decoding.beam_search, minichain.get_device('cpu'), 6)
    assert toy.run(decoding.beam_search, SIM, 6) == expected and not by_kernels

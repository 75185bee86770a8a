"""Dropout beyond its formula: published vectors, what repeats and what does not."""
import numpy as np
import pytest

from minichain.errors import InvalidArgument
from minichain.gpu.dropout import dropout, dropout_next_step, new_dropout_state
from minichain.gpu.simulator.builder import missing
from tests.gpu.cases.dropout import philox

ONES = 2 ** 32 - 1
pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def zeros(state, place=0, ratio=.5, count=4000):
    y = np.full(count, np.nan, np.float32)
    dropout(np.ones(count, np.float32), y, state, place, ratio)
    return y == 0


@pytest.mark.parametrize('counter, key, words', [
    ((0, 0, 0, 0), (0, 0), '6627e8d5 e169c58d bc57ac4c 9b00dbd8'),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), '408f276d 41c83b0e a20bc7c6 6d5451fd'),
    ((0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344), (0xa4093822, 0x299f31d0),
     'd16cfe09 94fdcceb 5001e420 24126ea1'),
])
def test_the_reference_gives_the_words_that_its_authors_published(counter, key, words):
    assert ' '.join(f'{word:08x}' for word in philox(counter, key)) == words


def test_the_same_zeros_come_again_until_seed_place_or_step_change():
    state = new_dropout_state(np, 3)
    first = zeros(state)
    assert np.array_equal(first, zeros(state))
    others = [zeros(state, place=1), zeros(new_dropout_state(np, 4))]
    dropout_next_step(state)
    others.append(zeros(state))
    for other in others:
        assert abs(np.mean(first == other) - .5) < .05   # as chance has it


@pytest.mark.parametrize('ratio', [.1, .5, .9])
def test_as_many_zeros_come_as_were_asked_for(ratio):
    found = zeros(new_dropout_state(np, 5), ratio=ratio)
    assert abs(found.mean() - ratio) < 5 * np.sqrt(ratio * (1 - ratio) / found.size)


def test_without_probability_everything_stays():
    assert not zeros(new_dropout_state(np, 6), ratio=0).any()


@pytest.mark.parametrize('start', [0, 1])
def test_an_array_may_be_its_own_result_and_begin_anywhere(start):
    state, memory = new_dropout_state(np, 7), np.ones(102, np.float32)
    x = memory[start:start + 100]
    dropout(x, x, state, 0, .5)
    assert np.array_equal(x == 0, zeros(state, count=100)) and set(x) == {0, 2}


@pytest.mark.parametrize('ratio', [-.1, 1, np.nan])
def test_a_probability_out_of_range_is_refused(ratio):
    with pytest.raises(InvalidArgument, match='0 <= ratio < 1 expected'):
        zeros(new_dropout_state(np, 0), ratio=ratio)

"""Pooling beyond its formula: NaN, infinities, windows of padding alone, nothing kept."""
import numpy as np
import pytest

from minichain.gpu.pooling import (
    average_pooling_forward,
    max_pooling_backward,
    max_pooling_forward,
)
from minichain.gpu.simulator import simulation
from minichain.gpu.simulator.builder import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def largest(row, windows, k, stride=1, pad=0):
    x = np.array(row, np.float32).reshape(1, 1, 1, -1)
    y, winners = np.zeros((1, 1, 1, windows), np.float32), np.zeros((1, 1, 1, windows), np.int32)
    max_pooling_forward(x, y, winners, (1, k), (1, stride), (0, pad))
    return y.ravel().tolist(), winners.ravel().tolist()


def test_nan_wins_and_the_first_of_two():
    y, winners = largest([1, np.nan, 3, np.nan, 2], 3, 3)
    assert np.isnan(y).all() and winners == [1, 1, 3]


def test_of_minus_infinity_alone_the_first_wins_and_of_padding_alone_nothing():
    y, winners = largest([-np.inf, -np.inf], 3, 2, 2, 2)
    assert y == [-np.inf] * 3 and winners == [-1, 0, -1]
    gx = np.full((1, 1, 1, 2), np.nan, np.float32)
    max_pooling_backward(np.ones((1, 1, 1, 3), np.float32), np.array(winners, 'i').reshape(
        1, 1, 1, 3), gx, (1, 2), (1, 2), (0, 2))
    assert gx.ravel().tolist() == [1, 0]


def test_a_mean_of_padding_alone_is_zero():
    x, y = np.ones((1, 1, 1, 2), np.float32), np.full((1, 1, 1, 3), np.nan, np.float32)
    for counts_padding in (True, False):
        average_pooling_forward(x, y, (1, 2), (1, 2), (0, 2), counts_padding)
        assert y.ravel().tolist() == [0, 1, 0]


def test_without_a_backward_pass_no_winners_are_kept():
    x = np.arange(24, dtype=np.float32).reshape(1, 4, 3, 2)
    y = np.zeros((1, 2, 2, 2), np.float32)
    with simulation(sanitizer=None if missing('address') else 'address'):
        max_pooling_forward(x, y, None, (3, 2), (1, 1), (0, 0), channels_last=True)
    assert y.tolist() == [[[[14, 15], [16, 17]], [[20, 21], [22, 23]]]]

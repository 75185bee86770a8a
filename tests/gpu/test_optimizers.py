"""Flat updates beyond their formula: bits, edges of the norm, many steps, odd addresses."""
import types

import numpy as np
import pytest

from minichain.gpu.optimizers import (
    adam,
    adam_rates,
    are_gradients,
    gradient_norm,
    norm_blocks,
    sgd,
)
from minichain.gpu.simulator import ORDERS, simulation
from minichain.gpu.simulator.builder import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def norm_and_factor(g, threshold):
    sums = np.full(norm_blocks(g.size), np.nan, np.float32)
    norm, factor = np.full((2, 1), np.nan, np.float32)
    gradient_norm(g, sums, threshold, norm, factor)
    return float(norm[0]), float(factor[0])


def test_a_norm_has_the_same_bits_in_any_order_of_threads():
    g = np.random.default_rng(0).standard_normal(5001).astype(np.float32)
    results = set()
    for seed, order in enumerate(ORDERS):
        with simulation(order, seed):
            results.add(norm_and_factor(g, 1))
    assert len(results) == 1


def test_a_factor_never_enlarges_and_never_divides_by_zero():
    assert norm_and_factor(np.zeros(9, np.float32), 0) == (0, 1)
    assert norm_and_factor(np.full(4, 3, np.float32), 12) == (6, 1)
    assert norm_and_factor(np.full(4, 3, np.float32), 1.5) == (6, .25)
    assert norm_and_factor(np.full(4, 3, np.float32), np.inf) == (6, 1)


def test_a_gradient_that_is_no_number_shows_in_the_norm():
    assert np.isnan(norm_and_factor(np.array([1, np.nan, 2], np.float32), 1)[0])


def test_ten_steps_of_adam_follow_the_formula():
    random = np.random.default_rng(1)
    x, settings = random.standard_normal(50).astype(np.float32), np.array([.01, 1, .1], np.float32)
    m, v, rates = np.zeros(50, np.float32), np.zeros(50, np.float32), np.zeros(2, np.float32)
    step, factor = np.zeros(1, np.int64), np.ones(1, np.float32)
    expected, first, second = x.astype(np.float64), 0, 0
    for t in range(1, 11):
        g = random.standard_normal(50).astype(np.float32)
        adam_rates(settings, step, rates)
        adam(x, g, m, v, rates, factor)
        first, second = .9 * first + .1 * g, .999 * second + .001 * g.astype(np.float64) ** 2
        mean, square = first / (1 - .9 ** t), second / (1 - .999 ** t)
        corrected_eps = 1e-8 / np.sqrt(1 - .999 ** t)
        expected = expected * (1 - .1) - .01 * mean / (np.sqrt(square) + corrected_eps)
    assert step[0] == 10 and np.allclose(x, expected, rtol=0, atol=3e-6)


@pytest.mark.parametrize('start', [1, 2, 3])
def test_arrays_that_begin_between_two_packs_are_updated_as_others(start):
    memory, one = np.arange(64, dtype=np.float32), np.ones(1, np.float32)
    x = memory[start:start + 50]
    with simulation(sanitizer=None if missing('address') else 'address'):
        sgd(x, np.ones(50, np.float32), one, one)
    assert np.array_equal(x, np.arange(start, start + 50) - 1)
    assert memory[:start].tolist() == list(range(start)) and memory[start + 50] == start + 50


def test_no_parameters_need_no_update():
    empty, one = np.zeros(0, np.float32), np.ones(1, np.float32)
    sgd(empty, empty, one, one)
    assert norm_and_factor(empty, 1) == (0, 1)


def test_gradients_on_two_gpus_are_not_found_by_their_addresses():
    """A kernel that follows the address of another GPU's array may end the program."""
    one, other = (types.SimpleNamespace(dtype=np.dtype('f4'), device=gpu) for gpu in range(2))
    assert are_gradients(one, [one], 5., None) and not are_gradients(one, [one, other], 5., None)

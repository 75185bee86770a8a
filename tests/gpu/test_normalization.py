"""Normalization beyond its formula: means far from zero, the same bits, nothing to normalize."""
import numpy as np
import pytest

from minichain.gpu.normalization import (
    batch_norm_part_count,
    batch_norm_statistics,
    layer_norm_forward,
    layer_norm_parameters,
)
from minichain.gpu.simulator import ORDERS, simulation
from minichain.gpu.simulator.builder import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def statistics(x, parts=None):
    room = np.full((2, x.shape[1], parts or batch_norm_part_count(x)), np.nan, np.float32)
    mean, var = np.full((2, x.shape[1]), np.nan, np.float32)
    batch_norm_statistics(x, room, mean, var)
    return mean, var


def test_a_mean_far_from_zero_takes_no_digits_from_the_variance():
    x = 1e3 + np.random.default_rng(0).integers(0, 2, (3, 2, 700)).astype(np.float32)
    expected = x.astype(np.float64).var(axis=(0, 2))
    for parts in (1, 5):
        _, var = statistics(x, parts)
        assert np.allclose(var, expected, rtol=1e-4, atol=0)
    rows, ones = x.reshape(6, 700), np.ones(700, np.float32)
    means, rs = np.zeros((2, 6), np.float32)
    layer_norm_forward(rows, ones, ones * 0, rows.copy(), means, rs, eps=0)
    assert np.allclose(rs, rows.astype(np.float64).std(axis=1) ** -1, rtol=1e-4, atol=0)


def test_more_parts_than_numbers_do_no_harm():
    x = np.array([[[1, 2, 6]]], np.float32)
    mean, var = statistics(x, parts=7)
    assert mean[0] == 3 and var[0] == pytest.approx(14 / 3, rel=1e-6)


def test_statistics_and_gradients_have_the_same_bits_in_any_order_of_threads():
    random, results = np.random.default_rng(1), set()
    x, gy = random.standard_normal((2, 90, 45)).astype(np.float32)
    means, rs = x.mean(axis=1), 1 / x.std(axis=1)
    for order in ORDERS:
        ggamma, gbeta = np.full((2, 45), np.nan, np.float32)
        with simulation(order, 2):
            layer_norm_parameters(x, gy, means, rs, ggamma, gbeta)
            mean, var = statistics(x.reshape(30, 3, 45), parts=4)
        results.add(b''.join(array.tobytes() for array in (ggamma, gbeta, mean, var)))
    assert len(results) == 1


def test_a_block_goes_on_to_further_columns_when_its_sums_have_been_read(monkeypatch):
    monkeypatch.setattr('minichain.gpu.normalization.blocks_for', lambda count, block: 1)
    gy = np.random.default_rng(2).standard_normal((3, 70)).astype(np.float32)
    ones, (ggamma, gbeta) = np.ones(3, np.float32), np.full((2, 70), np.nan, np.float32)
    with simulation('random', 1, None if missing('thread') else 'thread'):
        layer_norm_parameters(gy, gy, 0 * ones, ones, ggamma, gbeta)
    assert np.allclose(gbeta, gy.sum(axis=0), rtol=0, atol=1e-6)
    assert np.allclose(ggamma, (gy ** 2).sum(axis=0), rtol=0, atol=1e-5)


def test_without_rows_gradients_of_parameters_are_zero():
    none, empty = np.zeros((0, 5), np.float32), np.zeros(0, np.float32)
    ggamma, gbeta = np.full((2, 5), np.nan, np.float32)
    layer_norm_parameters(none, none, empty, empty, ggamma, gbeta)
    assert not ggamma.any() and not gbeta.any()

"""LSTM steps beyond their formula: where arrays may be the same, and the whole way back."""
import numpy as np
import pytest

from minichain.gpu.lstm import lstm_backward, lstm_forward
from minichain.gpu.simulator.builder import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def test_cells_and_gradients_of_gates_may_take_the_place_of_what_they_come_from():
    random = np.random.default_rng(0)
    gates = random.standard_normal((3, 20)).astype(np.float32)
    cells, h = random.standard_normal((3, 5)).astype(np.float32), np.zeros((3, 5), np.float32)
    other_gates, c, other_h = gates.copy(), np.zeros_like(cells), np.zeros_like(h)
    lstm_forward(other_gates, cells, c, other_h)
    before = cells.copy()
    lstm_forward(gates, cells, cells, h)
    assert np.array_equal(cells, c) and np.array_equal(h, other_h)
    ggates, gc, other_gc = np.zeros_like(gates), np.ones_like(h), np.ones_like(h)
    lstm_backward(gates, before, c, h, gc, ggates)
    lstm_backward(gates, before, c, h, other_gc, gates)
    assert np.array_equal(gates, ggates) and np.array_equal(gc, other_gc)


def test_backward_is_the_derivative_of_forward():
    """Differences of  sum(gh h) + sum(gc c)  in float64, against what the two kernels compute."""
    random = np.random.default_rng(1)
    x, c0 = random.standard_normal((2, 12)), random.standard_normal((2, 3))
    gh, gc = random.standard_normal((2, 2, 3))

    def loss(x, c0):
        i, f, o = (1 / (1 + np.exp(-x[:, 3 * k:3 * k + 3])) for k in range(3))
        c = c0 * f + i * np.tanh(x[:, 9:])
        return (gh * o * np.tanh(c)).sum() + (gc * c).sum()

    def difference(array, step=1e-5):
        result = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            kept = array[place]
            array[place] = kept + step
            high = loss(x, c0)
            array[place] = kept - step
            result[place] = (high - loss(x, c0)) / (2 * step)
            array[place] = kept
        return result

    gates, cells = x.astype(np.float32), c0.astype(np.float32)
    c, h, ggates = np.zeros_like(cells), np.zeros_like(cells), np.zeros_like(gates)
    gc_before = gc.astype(np.float32)
    lstm_forward(gates, cells, c, h)
    lstm_backward(gates, cells, c, gh.astype(np.float32), gc_before, ggates)
    assert np.allclose(ggates, difference(x), rtol=0, atol=1e-5)
    assert np.allclose(gc_before, difference(c0), rtol=0, atol=1e-5)


def test_gates_that_saturate_stay_finite():
    gates = np.array([[-200, 200, -200, 200]], np.float32)
    c, h = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32)
    lstm_forward(gates, np.ones((1, 1), np.float32), c, h)
    assert gates.tolist() == [[0, 1, 0, 1]] and c[0, 0] == 1 and h[0, 0] == 0

"""Cross entropy beyond its formula: large scores, absent labels, more rows than blocks."""
import numpy as np
import pytest

from minichain.gpu import softmax_cross_entropy as module
from minichain.gpu.error_flag import new_error_flag
from minichain.gpu.simulator.builder import missing
from minichain.gpu.softmax_cross_entropy import softmax_cross_entropy

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def run(x, labels, **options):
    x = np.array(x, np.float32)
    losses, error = np.full(len(x), np.nan, np.float32), new_error_flag()
    softmax_cross_entropy(x, np.array(labels, np.int32), losses, np.ones(1, np.float32), error,
                          **options)
    return losses, x, int(error[0])


def test_large_scores_do_not_overflow():
    losses, gradients, _ = run([[1e4, 0, -1e4], [-1e4, -1e4, -1e4]], [1, 2])
    assert losses.tolist() == pytest.approx([1e4, np.log(3)], rel=1e-6)
    assert gradients.ravel().tolist() == pytest.approx([1, -1, 0, 1 / 3, 1 / 3, -2 / 3], abs=1e-6)


def test_a_label_that_is_not_there_is_reported_and_has_no_gradient():
    losses, gradients, error = run(np.ones((4, 3)), [0, 3, -1, 2])
    assert np.isnan(losses).tolist() == [False, True, False, False] and losses[2] == 0
    assert error == 2 and not gradients[1:3].any() and gradients[[0, 3]].all()


def test_another_label_can_be_ignored():
    losses, gradients, error = run(np.ones((2, 3)), [2, -1], ignore_label=2)
    assert losses[0] == 0 and not gradients[0].any() and np.isnan(losses[1]) and error == 2


def test_blocks_go_on_to_further_rows(monkeypatch):
    monkeypatch.setattr(module, 'MOST_BLOCKS', 2)
    x = np.random.default_rng(0).standard_normal((7, 50))
    labels = np.arange(7)
    losses, _, _ = run(x, labels)
    x = x.astype(np.float32).astype(np.float64)
    expected = np.log(np.exp(x).sum(axis=1)) - x[labels, labels]
    assert np.allclose(losses, expected, rtol=0, atol=1e-5)


def test_no_rows_have_no_losses():
    losses, gradients, error = run(np.zeros((0, 3)), [])
    assert losses.size == gradients.size == error == 0

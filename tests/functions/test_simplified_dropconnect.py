import numpy as np
import pytest

import minichain
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import simplified_dropconnect
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X, W, b = RANDOM.randn(2, 3), RANDOM.randn(4, 3), RANDOM.randn(4)
MASK = RANDOM.rand(2, 4, 3) > .4


def test_a_mask_for_every_sample():
    def reference(x, W, b=0):
        return np.array([(W * mask / .6) @ row for row, mask in zip(x, MASK)]) + b

    def function(x, W, b=None):
        return simplified_dropconnect(x, W, b, .4, mask=x.xp.asarray(MASK))
    check_function(function, [X, W, b], reference)
    check_function(function, [X, W], reference)


def test_a_mask_for_all_samples():
    check_function(lambda x, W, b: simplified_dropconnect(
        x, W, b, .4, mask=x.xp.asarray(MASK[0]), use_batchwise_mask=False), [X, W, b],
        lambda x, W, b: x @ (W * MASK[0]).T / .6 + b)


def test_axes_after_the_first_are_flattened():
    y = simplified_dropconnect(X.reshape(2, 3, 1), W, b, .4, mask=MASK)
    np.testing.assert_array_equal(y.array, simplified_dropconnect(X, W, b, .4, mask=MASK).array)


@pytest.mark.parametrize('batchwise', [True, False])
def test_the_mean_over_many_draws_is_the_affine_map(batchwise):
    np.random.seed(0)
    ys = [simplified_dropconnect(X, W, b, .3, use_batchwise_mask=batchwise).array
          for _ in range(3000)]
    np.testing.assert_allclose(np.mean(ys, axis=0), X @ W.T + b, atol=.2)
    assert np.std(ys, axis=0).min() > .1


def test_nothing_is_dropped_unless_training():
    expected = X @ W.T + b
    np.testing.assert_allclose(simplified_dropconnect(X, W, b, train=False).array, expected)
    with minichain.using_config('train', False):
        np.testing.assert_allclose(simplified_dropconnect(X, W, b).array, expected)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidArgument, match='0 <= ratio < 1'):
        simplified_dropconnect(X, W, ratio=1)
    with pytest.raises(InvalidType, match=r'mask.shape \(2, 4, 3\) expected, got \(4, 3\)'):
        simplified_dropconnect(X, W, mask=MASK[0])
    with pytest.raises(InvalidType, match=r'x.shape \(any, 2\) expected'):
        simplified_dropconnect(X, W[:, :2])

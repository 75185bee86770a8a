import numpy as np
import pytest

import minichain
from minichain import Variable
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import dropout
from tests.functions.check import check_function

X = np.random.RandomState(0).randn(2, 4)
MASK = np.array([[0, 2, 2, 0], [2, 0, 2, 2.]])


def test_a_given_mask_multiplies():
    check_function(lambda x: dropout(x, mask=x.xp.asarray(MASK, x.dtype)), [X], lambda x: x * MASK)


@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64'])
def test_the_share_of_zeros_is_the_ratio_and_the_rest_is_scaled(dtype):
    x = Variable(np.ones((100, 100), dtype))
    np.random.seed(0)
    y, mask = dropout(x, .3, return_mask=True)
    assert y.dtype == mask.dtype == dtype
    assert abs((y.array == 0).mean() - .3) < .02
    np.testing.assert_allclose(y.array[y.array != 0], 1 / .7, rtol=1e-3)
    y.grad = y.array
    y.backward()
    np.testing.assert_array_equal(x.grad, y.array * mask)


def test_a_seed_repeats_the_draw_and_another_call_draws_again():
    masks = []
    for _ in range(2):
        np.random.seed(1)
        masks.append([dropout(X, return_mask=True)[1].tolist() for _ in range(2)])
    assert masks[0] == masks[1] and masks[0][0] != masks[0][1]


def test_nothing_happens_unless_training():
    with minichain.using_config('train', False):
        y, mask = dropout(X, .5, return_mask=True)
        assert mask is None
        np.testing.assert_array_equal(y.array, X)
        np.testing.assert_array_equal(dropout(X, .5).array, X)


def test_ratio_0_keeps_everything():
    np.testing.assert_array_equal(dropout(X, 0).array, X)


@pytest.mark.parametrize('ratio', [1, -.1, 1.5])
def test_a_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(InvalidArgument, match='0 <= ratio < 1'):
        dropout(X, ratio)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(InvalidType, match=r'mask.shape \(2, 4\) expected'):
        dropout(X, mask=MASK[:1])

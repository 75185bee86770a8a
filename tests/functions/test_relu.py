import numpy as np
import pytest

import minichain
from minichain import Variable
from minichain import functions as F
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X = np.array([[-3.2, -.4, .3], [1.5, 4.1, 7.7]])


@pytest.mark.parametrize('function, reference', [
    (F.relu, lambda x: x * (x > 0)),
    (F.relu6, lambda x: np.minimum(x * (x > 0), 6)),
    (lambda x: F.clipped_relu(x, 4), lambda x: np.minimum(x * (x > 0), 4)),
    (F.leaky_relu, lambda x: np.where(x > 0, x, .2 * x)),
    (lambda x: F.leaky_relu(x, -1.5), lambda x: np.where(x > 0, x, -1.5 * x)),
    (F.crelu, lambda x: np.concatenate([x * (x > 0), -x * (x < 0)], 1)),
    (lambda x: F.crelu(x, -2), lambda x: np.concatenate([x * (x > 0), -x * (x < 0)], 0)),
], ids=['relu', 'relu6', 'clipped', 'leaky', 'leaky_negative', 'crelu', 'crelu_axis'])
def test_rectifiers_are_their_formulas(function, reference):
    check_function(function, [X], reference)


@pytest.mark.parametrize('function', [F.relu, F.relu6, F.leaky_relu])
@pytest.mark.parametrize('shape', [(), (0, 3)])
def test_rectifiers_take_numbers_and_empty_arrays(function, shape):
    check_function(function, [np.full(shape, 1.25)], lambda x: x)


@pytest.mark.parametrize('function, gradient', [
    (F.relu, [0, 1]), (F.clipped_relu, [0, 0]), (F.leaky_relu, [.2, 1])])
def test_gradients_at_the_kinks_are_chainers(function, gradient):
    x = Variable(np.array([0., 20.]))
    y = function(x)
    y.grad = np.ones(2)
    y.backward()
    np.testing.assert_array_equal(x.grad, gradient)


@pytest.mark.parametrize('shape', [(), (3,), (3, 2)])
def test_prelu_learns_a_slope_for_each_position_behind_the_first_axis(shape):
    x, W = RANDOM.uniform(-2, 2, (2, 3, 2)), RANDOM.uniform(-1, 1, shape)
    check_function(F.prelu, [x, W], lambda x, W: np.where(
        x >= 0, x, x * W.reshape(shape + (1,) * (2 - len(shape)))))


def test_prelu_refuses_slopes_that_do_not_fit():
    with pytest.raises(InvalidType, match=r'prelu.*\(4,\)'):
        F.prelu(np.ones((2, 3)), np.ones(4))


def test_rrelu_draws_slopes_in_training_and_takes_their_mean_in_test_mode():
    x = np.full((40, 50), -1.)
    y, r = F.rrelu(x, return_r=True)
    np.testing.assert_array_equal(y.array, -r)
    assert 1 / 8 <= r.min() < .13 and .32 < r.max() <= 1 / 3
    with minichain.using_config('train', False):
        np.testing.assert_allclose(F.rrelu(x).array, -11 / 48)
    check_function(lambda x: F.rrelu(x, r=x.xp.full(x.shape, .3, x.dtype)), [X],
                   lambda x: np.where(x > 0, x, .3 * x))


def test_senseless_limits_are_refused():
    with pytest.raises(InvalidArgument, match='l < u'):
        F.rrelu(X, .5, .5)
    with pytest.raises(InvalidArgument, match='z > 0'):
        F.clipped_relu(X, 0)

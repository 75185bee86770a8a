import numpy as np
import pytest

from minichain import Variable
from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


def logistic(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize('shape', [(2, 3), (), (0, 2)])
def test_sigmoid_is_the_logistic_function(shape):
    check_function(F.sigmoid, [RANDOM.uniform(-3, 3, shape)], logistic)


def test_sigmoid_of_huge_numbers_is_zero_and_one_without_overflow():
    x = np.array([-1e30, -1000, 0, 1000, 1e30], 'float32')
    np.testing.assert_array_equal(F.sigmoid(x).array, np.array([0, 0, .5, 1, 1], 'float32'))


def test_hard_sigmoid_is_flat_outside_of_plus_minus_two_and_a_half():
    x = np.array([-4, -2.4, -.3, 1, 2.4, 3])
    check_function(F.hard_sigmoid, [x], lambda x: np.clip(.2 * x + .5, 0, 1))
    x = Variable(np.array([-2.5, 2.5]))
    y = F.hard_sigmoid(x)
    y.grad = np.ones(2)
    y.backward()
    np.testing.assert_array_equal(x.grad, 0)


@pytest.mark.parametrize('shape', [(), (3,), (3, 2)])
def test_swish_has_a_slope_for_each_position_behind_the_first_axis(shape):
    x, beta = RANDOM.uniform(-2, 2, (2, 3, 2)), RANDOM.uniform(.5, 2, shape)
    wide = beta.reshape(shape + (1,) * (2 - len(shape)))
    check_function(F.swish, [x, beta], lambda x, beta: x * logistic(wide * x))


def test_swish_refuses_slopes_that_do_not_fit():
    with pytest.raises(InvalidType, match=r'swish.*\(3,\)'):
        F.swish(np.ones((2, 4)), np.ones(3))

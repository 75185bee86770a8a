import numpy as np
import pytest

from minichain import functions as F
from tests.functions.check import check_function

X = np.array([[-3.2, -.4, .3], [1.5, 4.1, 7.7]])


@pytest.mark.parametrize('alpha', [1., .5, -2.])
def test_elu_is_its_formula(alpha):
    check_function(lambda x: F.elu(x, alpha), [X],
                   lambda x: np.where(x > 0, x, alpha * (np.exp(x) - 1)))


def test_selu_keeps_mean_zero_and_variance_one():
    y = F.selu(np.random.RandomState(0).randn(1000, 1000)).array
    assert abs(y.mean()) < .005 and abs(y.var() - 1) < .01
    check_function(F.selu, [X])


def test_elu_of_huge_numbers_does_not_overflow():
    np.testing.assert_array_equal(F.elu(np.array([-1e4, 1e4], 'float32')).array, [-1, 1e4])

import numpy as np
import pytest

from minichain import functions as F
from tests.functions.check import check_function


@pytest.mark.parametrize('beta', [1., 2.5])
def test_softplus_is_its_formula(beta):
    x = np.random.RandomState(0).uniform(-3, 3, (2, 3))
    check_function(lambda x: F.softplus(x, beta), [x],
                   lambda x: np.log(1 + np.exp(beta * x)) / beta)


def test_softplus_of_huge_numbers_does_not_overflow():
    np.testing.assert_array_equal(F.softplus(np.array([-1e4, 1e4], 'float32')).array, [0, 1e4])

import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
ZEROS = np.array([[1., 0, 3, 2], [4, 5, 6, 7], [0, 0, 2, 0]])


@pytest.mark.parametrize('keepdims', [False, True])
@pytest.mark.parametrize('axis', [None, 1, -1, (0, 2), (2, 0), ()])
def test_prod_is_numpys(axis, keepdims):
    check_function(lambda x: F.prod(x, axis, keepdims), [RANDOM.uniform(.5, 1.5, (2, 2, 3))],
                   lambda x: np.prod(x, axis, keepdims=keepdims))


@pytest.mark.parametrize('axis', [None, 0, 1, -1])
def test_running_sums_and_products_are_numpys(axis):
    x = RANDOM.uniform(.5, 1.5, (2, 5))
    check_function(lambda x: F.cumsum(x, axis), [x], lambda x: np.cumsum(x, axis))
    check_function(lambda x: F.cumprod(x, axis), [x], lambda x: np.cumprod(x, axis))


@pytest.mark.parametrize('function', [F.prod, F.cumprod])
def test_zeros_are_differentiated_correctly_twice(function):
    check_function(lambda x: function(x, 1), [ZEROS])


@pytest.mark.parametrize('function', [F.prod, F.cumprod, F.cumsum])
def test_empty_arrays_are_taken(function):
    check_function(lambda x: function(x, 1), [np.zeros((2, 0))], double=False)
    check_function(lambda x: function(x, 0), [np.zeros((2, 0))], double=False)


def test_integers_and_wrong_axes_are_refused():
    with pytest.raises(InvalidType, match='cumsum.*floating'):
        F.cumsum(np.arange(3))
    with pytest.raises(InvalidType, match='cumprod: axis'):
        F.cumprod(np.ones(3), 1)

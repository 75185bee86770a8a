import numpy as np
import pytest

from minichain.errors import InvalidType
from minichain.functions import mean_squared_error, squared_error
from tests.functions.check import check_function

X0, X1 = np.random.RandomState(0).uniform(-1, 1, (2, 2, 3))


def test_squared_error():
    check_function(squared_error, [X0, X1], lambda x, y: (x - y) ** 2)


def test_mean_squared_error():
    check_function(mean_squared_error, [X0, X1], lambda x, y: ((x - y) ** 2).mean())


def test_the_sum_of_float16_squares_does_not_overflow():
    x = np.full(100, 100, 'float16')
    assert mean_squared_error(x, -x).array == 40000


def test_no_elements_give_zero():
    assert mean_squared_error(X0[:0], X1[:0]).array == 0


@pytest.mark.parametrize('function', [squared_error, mean_squared_error])
def test_operands_that_differ_are_refused(function):
    with pytest.raises(InvalidType, match=r'x0 \(2, 3\), x1 \(1, 3\)'):
        function(X0, X1[:1])
    with pytest.raises(InvalidType, match='x0 float64, x1 float32'):
        function(X0, X1.astype('float32'))

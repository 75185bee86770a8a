import numpy as np
import pytest

from minichain import Variable
from minichain.errors import InvalidType
from minichain.functions import absolute_error, mean_absolute_error
from tests.functions.check import check_function

X0, X1 = np.random.RandomState(0).uniform(-1, 1, (2, 2, 3))


def test_absolute_error():
    check_function(absolute_error, [X0, X1], lambda x, y: np.abs(x - y))


def test_mean_absolute_error():
    check_function(mean_absolute_error, [X0, X1], lambda x, y: np.abs(x - y).mean())


def test_equal_operands_have_no_gradient():
    x = Variable(X0)
    mean_absolute_error(x, X0).backward()
    assert not x.grad.any()


@pytest.mark.parametrize('function', [absolute_error, mean_absolute_error])
def test_shapes_that_differ_are_refused_with_their_names(function):
    with pytest.raises(InvalidType, match=r'x0 \(2, 3\), x1 \(3,\)'):
        function(X0, X1[0])

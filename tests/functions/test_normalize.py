import numpy as np
import pytest

import minichain
from minichain import Variable
from minichain.errors import InvalidType
from minichain.functions import normalize
from tests.functions.check import check_function

X = np.random.RandomState(0).uniform(-1, 1, (2, 3, 2))


@pytest.mark.parametrize('axis', [1, -1, (1, 2), (0,)], ids=str)
@pytest.mark.parametrize('eps', [1e-5, .1])
def test_vectors_get_length_1(axis, eps):
    check_function(lambda x: normalize(x, eps, axis), [X], lambda x: x / (
        np.sqrt((x * x).sum(axis=axis, keepdims=True)) + eps))


def test_vectors_of_zeros_stay_zeros_and_have_finite_gradients():
    x = Variable(np.array([[0., 0.], [3., 4.]]))
    y = normalize(x)
    np.testing.assert_allclose(y.array, [[0, 0], [.6, .8]], rtol=1e-5)
    minichain.functions.sum(y).backward()
    np.testing.assert_allclose(x.grad, [[1e5, 1e5], [.032, -.024]], rtol=1e-4)


def test_the_squares_of_float16_do_not_overflow():
    y = normalize(np.array([[30000, 40000]], 'float16'))
    np.testing.assert_allclose(y.array, [[.6, .8]], rtol=1e-3)


def test_an_axis_that_is_not_there_is_refused():
    with pytest.raises(InvalidType, match='axis from -1 to 0'):
        normalize(X[0, 0])

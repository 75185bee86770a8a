import numpy as np
import pytest

from minichain import Variable
from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X = RANDOM.permutation(np.linspace(-2, 2, 24)).reshape(2, 3, 4)


@pytest.mark.parametrize('name', ['max', 'min'])
@pytest.mark.parametrize('keepdims', [False, True])
@pytest.mark.parametrize('axis', [None, 1, -1, (0, 2)])
def test_extrema_are_numpys(name, axis, keepdims):
    check_function(lambda x: getattr(F, name)(x, axis, keepdims), [X],
                   lambda x: getattr(np, name)(x, axis, keepdims=keepdims))


def test_equal_extrema_each_get_the_gradient():
    x = Variable(np.array([[1., 3, 3], [2, 2, 2]]))
    F.sum(F.max(x, axis=1)).backward()
    np.testing.assert_array_equal(x.grad, [[0, 1, 1], [1, 1, 1]])


@pytest.mark.parametrize('name', ['argmax', 'argmin'])
@pytest.mark.parametrize('axis', [None, 1, -1])
def test_places_of_extrema_are_int32_constants(name, axis):
    y = getattr(F, name)(Variable(X), axis)
    np.testing.assert_array_equal(y.array, getattr(np, name)(X, axis))
    assert y.dtype == np.int32 and not y.requires_grad


@pytest.mark.parametrize('name', ['max', 'min', 'argmax', 'argmin'])
def test_the_extremum_of_nothing_is_refused(name):
    with pytest.raises(InvalidType, match='at least one element'):
        getattr(F, name)(np.ones((0, 3)), axis=0)
    assert getattr(F, name)(np.ones((0, 3)), axis=1).shape == (0,)

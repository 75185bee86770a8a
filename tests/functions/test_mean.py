import numpy as np
import pytest

from minichain import Variable
from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('keepdims', [False, True])
@pytest.mark.parametrize('axis', [None, 1, -1, (0, 2), ()])
def test_average_without_weights_is_numpys_mean(axis, keepdims):
    check_function(lambda x: F.average(x, axis, keepdims=keepdims), [RANDOM.randn(2, 3, 4)],
                   lambda x: np.mean(x, axis, keepdims=keepdims))


@pytest.mark.parametrize('keepdims', [False, True])
@pytest.mark.parametrize('axis, shape', [(1, (3,)), (-1, (4,)), ((0,), (2,)), (None, (2, 3, 4))])
def test_weights_weigh(axis, shape, keepdims):
    x, w = RANDOM.randn(2, 3, 4), RANDOM.uniform(.5, 2, shape)
    numpys = axis[0] if isinstance(axis, tuple) else axis
    check_function(lambda x, w: F.average(x, axis, w, keepdims), [x, w],
                   lambda x, w: np.average(x, numpys, w, keepdims=keepdims))


def test_a_variable_knows_its_mean():
    x = RANDOM.randn(2, 3)
    np.testing.assert_allclose(Variable(x).mean(axis=1).array, x.mean(1))
    assert F.mean is F.average


@pytest.mark.parametrize('axis, shape', [(1, (4,)), ((0, 1), (2, 3)), (None, (3,))])
def test_weights_that_do_not_fit_are_refused(axis, shape):
    with pytest.raises(InvalidType, match='weights'):
        F.average(np.ones((2, 3)), axis, np.ones(shape))


def test_the_mean_of_nothing_and_of_integers_is_refused():
    with pytest.raises(InvalidType, match='at least one element'):
        F.mean(np.ones((0, 3)), 0)
    with pytest.raises(InvalidType, match='floating'):
        F.mean(np.arange(3))

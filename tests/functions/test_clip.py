import numpy as np
import pytest

from minichain import Variable
from minichain import functions as F
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('limits', [(-.5, .4), (None, .4), (-.5, None), (0, 1)])
def test_clip_is_numpys(limits):
    check_function(lambda x: F.clip(x, *limits), [RANDOM.uniform(-1, 1, (2, 5))],
                   lambda x: np.clip(x, *limits))


def test_limits_as_numpy_scalars_keep_the_dtype():
    assert F.clip(np.ones(2, 'f'), np.float64(0), np.float64(2)).dtype == np.float32


def test_elements_at_the_limits_get_the_gradient():
    x = Variable(np.array([-2., -1, 0, 1, 2]))
    F.sum(F.clip(x, -1., 1.)).backward()
    np.testing.assert_array_equal(x.grad, [0, 1, 1, 1, 0])


@pytest.mark.parametrize('limits', [(None, None), (1, 1), (2, 1)])
def test_senseless_limits_are_refused(limits):
    with pytest.raises(InvalidArgument, match='clip'):
        F.clip(np.ones(2), *limits)


@pytest.mark.parametrize('name', ['maximum', 'minimum'])
@pytest.mark.parametrize('shapes', [((2, 3), (2, 3)), ((2, 3), (3,)), ((), (2, 1)), ((0,), ())])
def test_maximum_and_minimum_broadcast(name, shapes):
    check_function(getattr(F, name), [RANDOM.randn(*shape) for shape in shapes],
                   getattr(np, name))


@pytest.mark.parametrize('function', [F.maximum, F.minimum])
def test_a_tie_goes_to_the_first(function):
    x, y = Variable(np.ones(())), Variable(np.ones(()))
    function(x, y).backward()
    assert x.grad == 1 and y.grad == 0


def test_numbers_and_other_dtypes_are_refused():
    with pytest.raises(InvalidType):
        F.maximum(np.ones(2), 1.)
    with pytest.raises(InvalidType, match='minimum.*float32'):
        F.minimum(np.ones(2), np.ones(2, 'f'))

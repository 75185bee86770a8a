import numpy as np
import pytest

from minichain import Variable
from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('shapes', [((2, 3),) * 3, ((2, 1), (2, 3), (3,)), ((2, 3), (), (1,)),
                                    ((), (2,), (2,)), ((0,), (0,), ())])
def test_where_chooses_and_broadcasts(shapes):
    condition = np.asarray(RANDOM.rand(*shapes[0]) < .5)
    x, y = (RANDOM.randn(*shape) for shape in shapes[1:])
    check_function(F.where, [condition, x, y], np.where)


def test_a_gradient_that_is_not_finite_stays_on_its_side():
    x, y = Variable(np.array([1., 2])), Variable(np.array([3., 4]))
    z = F.where(np.array([True, False]), x, y)
    z.grad = np.array([np.inf, 1])
    z.backward()
    np.testing.assert_array_equal(x.grad, [np.inf, 0])
    np.testing.assert_array_equal(y.grad, [0, 1])


@pytest.mark.parametrize('condition', [np.array([1, 0]), True, [True, False]])
def test_a_condition_that_is_not_boolean_is_refused(condition):
    with pytest.raises(InvalidType, match='where: condition'):
        F.where(condition, np.ones(2), np.ones(2))


def test_two_dtypes_are_refused():
    with pytest.raises(InvalidType, match='where.*float32'):
        F.where(np.array([True]), np.ones(1), np.ones(1, 'f'))

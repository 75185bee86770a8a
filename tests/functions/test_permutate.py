import numpy as np
import pytest

from minichain import Variable
from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X = RANDOM.randn(3, 4)


@pytest.mark.parametrize('axis', [0, 1, -1])
def test_slices_change_places_and_go_back(axis):
    indices = RANDOM.permutation(X.shape[axis])
    check_function(lambda x, i: F.permutate(x, i, axis), [X, indices],
                   lambda x, i: np.take(x, i, axis))
    y = F.permutate(F.permutate(X, indices, axis), indices, axis, inv=True)
    np.testing.assert_array_equal(y.array, X)
    check_function(lambda x, i: F.permutate(x, i, axis, inv=True), [X, indices])


@pytest.mark.parametrize('indices', [[0, 0, 1], [0, 1, 3], [0, 1], [0., 1., 2.]])
def test_what_is_no_permutation_is_refused(indices):
    with pytest.raises(InvalidType, match='permutate'):
        F.permutate(X, np.array(indices))


def test_one_element_of_each_row_is_selected():
    t = np.array([3, 0, 3], 'int32')
    check_function(F.select_item, [X, t], lambda x, t: x[[0, 1, 2], t])
    np.testing.assert_array_equal(F.select_item(X, Variable(t)).array, X[[0, 1, 2], t])


@pytest.mark.parametrize('t', [[0, 4, 1], [0, 1], [0., 1., 2.]])
def test_elements_that_are_not_there_are_refused(t):
    with pytest.raises(InvalidType, match='select_item|index'):
        F.select_item(X, np.array(t))

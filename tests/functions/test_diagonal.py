import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

X = np.random.RandomState(0).randn(3, 4, 2)


@pytest.mark.parametrize('place', [(), (1,), (-1,), (5,), (0, 1, 2), (1, 2, 0), (0, -1, -3)])
def test_diagonal_is_numpys(place):
    check_function(lambda x: F.diagonal(x, *place), [X], lambda x: np.diagonal(x, *place))


@pytest.mark.parametrize('place', [(0, 1, 1), (0, 0, 3)])
def test_axes_that_make_no_matrix_are_refused(place):
    with pytest.raises(InvalidType, match='diagonal'):
        F.diagonal(X, *place)

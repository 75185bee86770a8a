import numpy as np
import pytest

from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import hinge
from tests.functions.check import check_function

X = np.random.RandomState(0).uniform(-2, 2, (4, 3))
T = np.array([0, 2, 1, 0])


def losses(x, t, power):
    y = np.empty(x.shape)
    for i, j in np.ndindex(x.shape):
        y[i, j] = max(0, 1 - x[i, j] if t[i] == j else 1 + x[i, j]) ** power
    return y


@pytest.mark.parametrize('norm, power', [('L1', 1), ('L2', 2)])
def test_hinge(norm, power):
    check_function(lambda x, t: hinge(x, t, norm), [X, T],
                   lambda x, t: losses(x, t, power).sum() / 4)
    check_function(lambda x, t: hinge(x, t, norm, reduce='no'), [X, T],
                   lambda x, t: losses(x, t, power))


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidArgument, match="'L3'"):
        hinge(X, T, 'L3')
    with pytest.raises(InvalidArgument, match="'sum'"):
        hinge(X, T, reduce='sum')
    with pytest.raises(InvalidType, match='labels from 0 to 2 expected, got 0 to 3'):
        hinge(X, np.array([0, 3, 1, 0]))

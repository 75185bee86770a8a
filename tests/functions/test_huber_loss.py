import numpy as np
import pytest

from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import huber_loss
from tests.functions.check import check_function

X, T = np.random.RandomState(0).uniform(-1, 1, (2, 3, 4))


def losses(x, t):
    a = np.abs(x - t)
    return np.where(a < .5, a ** 2 / 2, .5 * (a - .25))


def test_losses_of_all_elements():
    assert len(set((np.abs(X - T) < .5).ravel())) == 2
    check_function(lambda x, t: huber_loss(x, t, .5, reduce='no'), [X, T], losses)


def test_the_sum_along_the_second_axis():
    check_function(lambda x, t: huber_loss(x, t, .5), [X, T],
                   lambda x, t: losses(x, t).sum(axis=1))


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidArgument, match='delta > 0'):
        huber_loss(X, T, 0)
    with pytest.raises(InvalidArgument, match="'mean'"):
        huber_loss(X, T, 1, reduce='mean')
    with pytest.raises(InvalidType, match='axis'):
        huber_loss(X[0], T[0], 1)

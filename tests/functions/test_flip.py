import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

X = np.random.RandomState(0).randn(2, 3, 2)


@pytest.mark.parametrize('axis', [0, 1, -1])
def test_flip_is_numpys(axis):
    check_function(lambda x: F.flip(x, axis), [X], lambda x: np.flip(x, axis))


def test_up_and_down_left_and_right():
    check_function(F.flipud, [X], np.flipud)
    check_function(F.fliplr, [X], np.fliplr)


@pytest.mark.parametrize('apply', [lambda: F.flip(X, 3), lambda: F.fliplr(X[0, 0]),
                                   lambda: F.flipud(X[0, 0, 0])])
def test_missing_axes_are_refused(apply):
    with pytest.raises(InvalidType, match='flip'):
        apply()

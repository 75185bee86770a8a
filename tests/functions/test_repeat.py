import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function

X = np.random.RandomState(0).randn(2, 3)


@pytest.mark.parametrize('reps', [2, 0, (2, 1), (2,), (1, 2, 2), (2, 0), ()])
def test_tile_is_numpys(reps):
    check_function(lambda x: F.tile(x, reps), [X], lambda x: np.tile(x, reps))


@pytest.mark.parametrize('repeats, axis', [
    (2, None), (2, 1), (2, -2), (0, 0), ((1, 0, 2), 1), ((2,), 0), ((1, 2, 0, 1, 1, 3), None)])
def test_repeat_is_numpys(repeats, axis):
    check_function(lambda x: F.repeat(x, repeats, axis), [X],
                   lambda x: np.repeat(x, repeats, axis))


def test_numbers_are_repeated():
    check_function(lambda x: F.tile(x, (2, 3)), [np.array(2.)], lambda x: np.tile(x, (2, 3)))
    check_function(lambda x: F.repeat(x, 3), [np.array(2.)], lambda x: np.repeat(x, 3))


@pytest.mark.parametrize('apply', [lambda: F.tile(X, -1), lambda: F.repeat(X, (1, -1), 0),
                                   lambda: F.repeat(X, (1, 2), 1), lambda: F.tile(X, (1.5,))])
def test_senseless_counts_are_refused(apply):
    with pytest.raises(InvalidArgument, match='tile|repeat'):
        apply()


def test_a_missing_axis_is_refused():
    with pytest.raises(InvalidType, match='repeat: axis'):
        F.repeat(X, 2, 2)

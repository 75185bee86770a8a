import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidArgument
from tests.functions.check import check_function

X = np.random.RandomState(0).randn(2, 4)


@pytest.mark.parametrize('shape, strides, offset', [
    ((3, 2), (1, 2), None), ((2, 2), (1, 1), 3), ((2,), (-2,), 5),
    ((2, 0), (99, 1), 0), ((), (), 7)])
def test_as_strided_is_numpys(shape, strides, offset):
    def reference(x):
        flat = x.ravel()[offset or 0:]
        return np.lib.stride_tricks.as_strided(flat, shape, [8 * stride for stride in strides])
    check_function(lambda x: F.as_strided(x, shape, strides, offset), [X], reference)


@pytest.mark.parametrize('arguments', [((3, 3), (1, 4)), ((2,), (-1,)), ((2, 2), (1,))])
def test_views_outside_of_the_array_are_refused(arguments):
    with pytest.raises(InvalidArgument, match='as_strided'):
        F.as_strided(X, *arguments)

import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

A = np.random.RandomState(0).randn(3, 4)


@pytest.mark.parametrize('slices', [
    0, (slice(None), 1), [1, 1, 0], ([0, 0], [2, 2]), (Ellipsis, slice(None, None, 2)),
    np.array([True, False, True])])
def test_elements_are_added_as_often_as_picked(slices):
    def reference(a, b):
        y = a.copy()
        np.add.at(y, slices, b)
        return y
    check_function(lambda a, b: F.scatter_add(a, slices, b), [A, np.ones(A[slices].shape)],
                   reference)


@pytest.mark.parametrize('slices, b', [(3, np.ones(4)), (0, np.ones(3)), (0, np.ones(4, 'f'))])
def test_what_does_not_fit_is_refused(slices, b):
    with pytest.raises(InvalidType, match='scatter_add'):
        F.scatter_add(A, slices, b)

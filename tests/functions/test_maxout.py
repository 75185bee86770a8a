import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function


@pytest.mark.parametrize('axis', [1, -1])
def test_the_largest_of_each_group_stays(axis):
    x = np.random.RandomState(0).permutation(np.linspace(-1, 1, 24)).reshape(2, 6, 2)

    def reference(x):
        parts = np.split(x, x.shape[axis] // 2, axis)
        return np.concatenate([part.max(axis, keepdims=True) for part in parts], axis)
    check_function(lambda x: F.maxout(x, 2, axis), [x], reference)


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(InvalidType, match='pool_size = 2'):
        F.maxout(np.ones((2, 5)), 2)
    with pytest.raises(InvalidArgument, match='pool_size'):
        F.maxout(np.ones((2, 5)), 0)

import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function


@pytest.mark.parametrize('keepdims', [False, True])
@pytest.mark.parametrize('axis', [None, 1, -1, (0, 2), ()])
def test_sum_is_numpys(axis, keepdims):
    x = np.random.RandomState(0).randn(2, 3, 4)
    check_function(lambda x: F.sum(x, axis, keepdims), [x],
                   lambda x: np.sum(x, axis, keepdims=keepdims))


def test_a_number_and_an_empty_array_have_sums():
    check_function(F.sum, [np.array(2.5)], lambda x: x)
    check_function(F.sum, [np.zeros((0, 3))], np.sum)


def test_float16_is_added_up_in_float32():
    assert F.sum(np.full(4096, .1, 'float16')).array == np.float16(409.5)


@pytest.mark.parametrize('axis, message', [
    (2, 'axis from -2 to 1'), ((0, -2), 'each axis once'), ('x', 'an int for axis')])
def test_wrong_axes_are_refused(axis, message):
    with pytest.raises(InvalidType, match=message):
        F.sum(np.ones((2, 3)), axis)

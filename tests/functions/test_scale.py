import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('axis, shape', [(1, (3,)), (1, (3, 4)), (0, (2,)), (0, (2, 3)), (2, ())])
def test_scale_and_bias_align_from_an_axis(axis, shape):
    x, y = RANDOM.randn(2, 3, 4), RANDOM.randn(*shape)
    wide = shape + (1,) * (3 - axis - len(shape))
    check_function(lambda x, y: F.scale(x, y, axis), [x, y], lambda x, y: x * y.reshape(wide))
    check_function(lambda x, y: F.bias(x, y, axis), [x, y], lambda x, y: x + y.reshape(wide))


@pytest.mark.parametrize('function', [F.scale, F.bias])
@pytest.mark.parametrize('axis', [0, -1])
def test_what_does_not_align_is_refused(function, axis):
    with pytest.raises(InvalidType, match=function.__name__):
        function(np.ones((2, 3)), np.ones(3), axis)

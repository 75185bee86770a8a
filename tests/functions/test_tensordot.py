import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('a, b, axes', [
    ((2, 3, 4), (3, 4, 2), 2), ((2, 3), (3, 4), 1), ((2,), (3,), 0), ((2, 3), (4, 3), (1, 1)),
    ((2, 3, 4), (4, 2, 5), ([0, 2], [1, 0])), ((2, 3), (3, 2), ((-1, 0), (0, -1))),
    ((2, 0), (0, 3), 1)])
def test_tensordot_is_numpys(a, b, axes):
    check_function(lambda a, b: F.tensordot(a, b, axes), [RANDOM.randn(*a), RANDOM.randn(*b)],
                   lambda a, b: np.tensordot(a, b, axes))


@pytest.mark.parametrize('axes', [3, 1, ((0, 1), (0,)), (2, 0)])
def test_axes_that_do_not_meet_are_refused(axes):
    with pytest.raises(InvalidType, match='tensordot'):
        F.tensordot(np.ones((2, 3)), np.ones((2, 3)), axes)

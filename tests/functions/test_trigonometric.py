import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('name', ['sin', 'cos', 'tan', 'arcsin', 'arccos', 'arctan'])
@pytest.mark.parametrize('shape', [(2, 3), (), (0, 2)])
def test_trigonometric_functions_are_numpys(name, shape):
    check_function(getattr(F, name), [RANDOM.uniform(-.8, .8, shape)], getattr(np, name))


@pytest.mark.parametrize('shapes', [((2, 3), (2, 3)), ((2, 1), (3,)), ((), (2,))])
def test_arctan2_knows_all_quadrants_and_broadcasts(shapes):
    x1, x2 = (RANDOM.choice([-1, 1], shape) * RANDOM.uniform(.5, 2, shape) for shape in shapes)
    check_function(F.arctan2, [x1, x2], np.arctan2)


def test_arctan2_of_two_dtypes_is_refused():
    with pytest.raises(InvalidType, match='arctan2.*float32'):
        F.arctan2(np.ones(2, 'f'), np.ones(2))

import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function


@pytest.mark.parametrize('name', ['tanh', 'sinh', 'cosh', 'arctanh'])
@pytest.mark.parametrize('shape', [(2, 3), (), (0, 2)])
def test_hyperbolic_functions_are_numpys(name, shape):
    x = np.random.RandomState(0).uniform(-.8, .8, shape)
    check_function(getattr(F, name), [x], getattr(np, name))


def test_integers_are_refused_by_name():
    with pytest.raises(InvalidType, match='tanh: x of a floating dtype'):
        F.tanh(np.arange(3))

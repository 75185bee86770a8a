import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function


@pytest.mark.parametrize('name, reference', [
    ('sqrt', np.sqrt), ('rsqrt', lambda x: x ** -.5), ('square', lambda x: x ** 2)])
@pytest.mark.parametrize('shape', [(2, 3), (), (0, 2)])
def test_roots_and_squares_are_powers(name, reference, shape):
    x = np.random.RandomState(0).uniform(.5, 2, shape)
    check_function(getattr(F, name), [x], reference)


def test_integers_are_refused():
    with pytest.raises(InvalidType, match='sqrt'):
        F.sqrt(np.arange(3))

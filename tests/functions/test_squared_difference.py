import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function


def test_the_squared_difference_is_its_formula():
    x, y = np.random.RandomState(0).randn(2, 2, 3)
    check_function(F.squared_difference, [x, y], lambda x, y: (x - y) ** 2)


def test_other_shapes_are_refused():
    with pytest.raises(InvalidType, match='squared_difference'):
        F.squared_difference(np.ones((2, 3)), np.ones(3))

import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function


def test_the_mix_is_its_formula():
    p, x, y = np.random.RandomState(0).rand(3, 2, 4)
    check_function(F.linear_interpolate, [p, x, y], lambda p, x, y: p * x + (1 - p) * y)


def test_other_shapes_and_dtypes_are_refused():
    for p in (np.ones(3), np.ones(2, 'f')):
        with pytest.raises(InvalidType, match='linear_interpolate'):
            F.linear_interpolate(p, np.ones(2), np.ones(2))

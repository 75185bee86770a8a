import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function


@pytest.mark.parametrize('shape', [(2, 3), (2, 3, 2), (0, 2)])
def test_each_row_has_its_squared_length(shape):
    check_function(F.batch_l2_norm_squared, [np.random.RandomState(0).randn(*shape)],
                   lambda x: (x ** 2).sum(tuple(range(1, x.ndim))))


def test_vectors_are_refused():
    with pytest.raises(InvalidType, match='two axes'):
        F.batch_l2_norm_squared(np.ones(3))

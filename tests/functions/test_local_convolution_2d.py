import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function


@pytest.mark.parametrize('stride', [1, 2])
def test_every_position_has_its_own_filters(stride):
    random = np.random.RandomState(0)
    oh, ow = (3, 2) if stride == 1 else (2, 1)
    arrays = [random.uniform(-1, 1, shape) for shape in (
        (2, 2, 4, 3), (2, oh, ow, 2, 2, 2), (2, oh, ow))]

    def reference(x, W, b):
        y = np.empty((2, 2, oh, ow))
        for i in range(oh):
            for j in range(ow):
                seen = x[:, :, i * stride:i * stride + 2, j * stride:j * stride + 2]
                y[:, :, i, j] = np.einsum('nchw,ochw->no', seen, W[:, i, j])
        return y + b

    check_function(lambda *xs: F.local_convolution_2d(*xs, stride=stride), arrays, reference)


def test_filters_for_another_number_of_positions_are_refused():
    with pytest.raises(InvalidType, match=r'\(O, 3, 3, 2, kh, kw\) expected'):
        F.local_convolution_2d(np.ones((1, 2, 4, 4)), np.ones((1, 2, 3, 2, 2, 2)))

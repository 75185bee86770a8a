import numpy as np
import pytest

from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import bilinear
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
E1, E2, W, V1, V2, b = (RANDOM.uniform(-1, 1, shape) for shape in (
    (2, 3), (2, 2), (3, 2, 2), (3, 2), (2, 2), (2,)))


def reference(e1, e2, W, V1=0., V2=0., b=0.):
    e1, e2 = e1.reshape(len(e1), -1), e2.reshape(len(e2), -1)
    y = np.array([[row1 @ W[:, :, k] @ row2 for k in range(W.shape[2])]
                  for row1, row2 in zip(e1, e2)])
    return y if np.isscalar(V1) else y + e1 @ V1 + e2 @ V2 + b


def test_with_and_without_linear_terms():
    check_function(bilinear, [E1, E2, W], reference)
    check_function(bilinear, [E1, E2, W, V1, V2, b], reference)


def test_axes_after_the_first_are_flattened():
    check_function(bilinear, [RANDOM.randn(2, 1, 3), RANDOM.randn(2, 2, 1), W], reference)


def test_no_rows_give_no_rows():
    assert bilinear(E1[:0], E2[:0], W).shape == (0, 2)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidArgument, match='all three or none'):
        bilinear(E1, E2, W, V1)
    with pytest.raises(InvalidType, match=r'e2.shape \(2, 2\) expected, got \(2, 1\)'):
        bilinear(E1, E2[:, :1], W)
    with pytest.raises(InvalidType, match=r'V2.shape \(2, 2\) expected'):
        bilinear(E1, E2, W, V1, V1, b)

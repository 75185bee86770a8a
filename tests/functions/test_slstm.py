import numpy as np
import pytest

from minichain.errors import InvalidType
from minichain.functions import slstm
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
C1, C2, X1, X2 = (RANDOM.randn(2, n) for n in (2, 2, 8, 8))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(c1, c2, x1, x2):
    c, h = np.empty(c1.shape), np.empty(c1.shape)
    for n, k in np.ndindex(c1.shape):
        (a1, i1, f1, o1), (a2, i2, f2, o2) = x1[n, 4 * k:4 * k + 4], x2[n, 4 * k:4 * k + 4]
        c[n, k] = (np.tanh(a1) * sigmoid(i1) + np.tanh(a2) * sigmoid(i2)
                   + c1[n, k] * sigmoid(f1) + c2[n, k] * sigmoid(f2))
        h[n, k] = sigmoid(o1 + o2) * np.tanh(c[n, k])
    return c, h


def test_two_branches_are_joined():
    check_function(slstm, [C1, C2, X1, X2], reference)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidType, match=r'x2.shape \(2, 8\) expected, got \(2, 6\)'):
        slstm(C1, C2, X1, X2[:, :6])
    with pytest.raises(InvalidType, match=r'c_prev2.shape \(2, 2\) expected'):
        slstm(C1, C2[:1], X1, X2)
    with pytest.raises(InvalidType, match=r'\(N, H\) expected, got \(2,\)'):
        slstm(C1[0], C2[0], X1[0], X2[0])

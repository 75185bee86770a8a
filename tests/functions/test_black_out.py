import numpy as np
import pytest

from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import black_out
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X, W = RANDOM.uniform(-1, 1, (2, 3)), RANDOM.uniform(-1, 1, (5, 3))
T, SAMPLES = np.array([1, 4]), np.array([[0, 2], [3, 0]])


def losses(x, t, W, samples):
    y = np.zeros(len(x))
    for n in range(len(x)):
        scores = np.exp([W[k] @ x[n] for k in (t[n], *samples[n])])
        p = scores / scores.sum()
        y[n] = -np.log(p[0]) - np.log(1 - p[1:]).sum()
    return y


def test_black_out():
    check_function(black_out, [X, T, W, SAMPLES], lambda *xs: losses(*xs).mean())
    check_function(lambda *xs: black_out(*xs, reduce='no'), [X, T, W, SAMPLES], losses)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidType, match='labels from 0 to 4 expected'):
        black_out(X, T + 1, W, SAMPLES)
    with pytest.raises(InvalidType, match=r'samples.shape \(2, any\) expected'):
        black_out(X, T, W, SAMPLES[:1])
    with pytest.raises(InvalidArgument, match="'sum'"):
        black_out(X, T, W, SAMPLES, reduce='sum')

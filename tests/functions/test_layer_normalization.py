import numpy as np
import pytest

from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import group_normalization, layer_normalization
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X, GAMMA, BETA = (RANDOM.uniform(-1, 1, shape) for shape in ((3, 4), 4, 4))


def rows(x, gamma, beta, eps=1e-5):
    return np.array([gamma * (row - row.mean()) / np.sqrt(row.var() + eps) + beta for row in x])


def groups(x, number, gamma, beta, eps=1e-5):
    y, size = np.empty(x.shape), x.shape[1] // number
    for n in range(len(x)):
        for start in range(0, x.shape[1], size):
            part = x[n, start:start + size]
            y[n, start:start + size] = (part - part.mean()) / np.sqrt(part.var() + eps)
    shape = (-1,) + (1,) * (x.ndim - 2)
    return y * gamma.reshape(shape) + beta.reshape(shape)


@pytest.mark.parametrize('eps', [1e-5, .1])
def test_layer_normalization(eps):
    check_function(lambda *xs: layer_normalization(*xs, eps=eps), [X, GAMMA, BETA],
                   lambda *xs: rows(*xs, eps))


@pytest.mark.parametrize('number', [1, 2, 4])
@pytest.mark.parametrize('shape', [(2, 4, 3), (2, 4, 2, 1)])
def test_group_normalization(number, shape):
    check_function(lambda x, *rest: group_normalization(x, number, *rest, eps=.01),
                   [RANDOM.uniform(-1, 1, shape), GAMMA, BETA],
                   lambda x, *rest: groups(x, number, *rest, .01))


def test_rows_of_one_value_become_the_shift():
    x = np.full((2, 4), 1000, 'float32')
    y = layer_normalization(x, GAMMA.astype('float32'), BETA.astype('float32'))
    np.testing.assert_array_equal(y.array, [BETA.astype('float32')] * 2)


def test_no_rows_give_no_rows():
    assert layer_normalization(X[:0], GAMMA, BETA).shape == (0, 4)
    assert group_normalization(np.ones((0, 4, 2)), 2, GAMMA, BETA).shape == (0, 4, 2)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidType, match='x with 2 axes'):
        layer_normalization(X[None], GAMMA, BETA)
    with pytest.raises(InvalidType, match=r'gamma.shape \(4\) expected, got \(3,\)'):
        layer_normalization(X, GAMMA[1:], BETA)
    with pytest.raises(InvalidArgument, match='divide 4 channels expected, got 3'):
        group_normalization(X, 3, GAMMA, BETA)
    with pytest.raises(InvalidType, match=r'\(N, C, ...\) expected, got \(4,\)'):
        group_normalization(X[0], 1, GAMMA, BETA)

import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function


def by_definition(x, n, k, alpha, beta):
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        near = x[:, max(0, c - n // 2):c + n // 2 + 1]
        y[:, c] = x[:, c] / (k + alpha * (near ** 2).sum(axis=1)) ** beta
    return y


@pytest.mark.parametrize('n, k, alpha, beta', [
    (5, 2, 1e-4, .75), (3, 1, .2, .75), (4, 1, .1, .5), (3, 2, .3, .25), (5, 1, .1, 1.3),
    (9, 1, .1, 1)])
@pytest.mark.parametrize('shape', [(2, 6, 2, 2), (2, 3), (1, 7, 3)], ids=str)
def test_it_is_its_definition_with_two_orders_of_gradients(n, k, alpha, beta, shape):
    x = np.random.RandomState(0).uniform(-3, 3, shape)
    check_function(lambda x: F.local_response_normalization(x, n, k, alpha, beta), [x],
                   lambda x: by_definition(x, n, k, alpha, beta))


def test_squares_of_float16_do_not_overflow():
    x = np.full((1, 1, 1, 1), 1000, 'float16')
    np.testing.assert_allclose(F.local_response_normalization(x).item(),
                               1000 / (2 + 1e-4 * 1e6) ** .75, rtol=1e-3)


def test_other_operands_and_options_are_refused():
    with pytest.raises(InvalidType, match=r'\(N, C, ...\)'):
        F.local_response_normalization(np.ones(3))
    with pytest.raises(InvalidType, match='floating'):
        F.local_response_normalization(np.ones((1, 3), int))
    with pytest.raises(InvalidArgument, match='n=0'):
        F.local_response_normalization(np.ones((1, 3)), n=0)

import numpy as np
import pytest

import minichain
import minichain.links as L
from tests.links.check import check_link

RANDOM = np.random.RandomState(0)
X, H = RANDOM.randn(3, 2), RANDOM.randn(3, 4)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def apply(linear, x):
    return x @ linear.W.array.T + linear.b.array


def step(link, h, x):
    r = sigmoid(apply(link.W_r, x) + apply(link.U_r, h))
    z = sigmoid(apply(link.W_z, x) + apply(link.U_z, h))
    return (1 - z) * h + z * np.tanh(apply(link.W, x) + apply(link.U, r * h))


def first_step(link, x):
    return sigmoid(apply(link.W_z, x)) * np.tanh(apply(link.W, x))


def test_the_caller_may_keep_the_state():
    check_link(lambda: L.StatelessGRU(2, 4), [H, X], step)
    check_link(lambda: L.StatelessGRU(None, 4), [H, X], step)


@pytest.mark.parametrize('kind', [L.StatefulGRU, L.GRU])
def test_the_state_goes_from_step_to_step_and_back(kind):
    check_link(lambda: kind(2, 4), [X], first_step)
    with minichain.using_config('dtype', np.float64):
        link = kind(2, 4, bias_init=.5)
    h = first_step(link, X)
    np.testing.assert_allclose(link(X).array, h)
    np.testing.assert_allclose(link(-X).array, step(link, h, -X))
    link.set_state(H)
    np.testing.assert_allclose(link(X).array, step(link, H, X))
    link.reset_state()
    assert link.h is None


def test_parameters_start_from_their_initializers():
    link = L.GRU(2, 3, init=1, inner_init=2, bias_init=3)
    assert all((each.W.array == 1).all() for each in (link.W, link.W_r, link.W_z))
    assert all((each.W.array == 2).all() for each in (link.U, link.U_r, link.U_z))
    assert all((each.b.array == 3).all() for each in link.children())

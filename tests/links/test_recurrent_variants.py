"""MGU, LSTM with peepholes or zoneout, and LSTMs of trees."""
import numpy as np
import pytest

import minichain
import minichain.links as L
from minichain.errors import InvalidArgument, InvalidType
from tests.links.check import check_link

RANDOM = np.random.RandomState(0)
X, H = RANDOM.randn(3, 2), RANDOM.randn(3, 4)
ZEROS = np.zeros((3, 4))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def apply(linear, x):
    return x @ linear.W.array.T + (0 if linear.b is None else linear.b.array)


def in_double(build):
    with minichain.using_config('dtype', np.float64):
        return build()


def mgu_step(link, h, x):
    f = sigmoid(apply(link.W_f, np.hstack([h, x])))
    return (1 - f) * h + f * np.tanh(apply(link.W_h, np.hstack([f * h, x])))


def test_minimal_gated_unit():
    check_link(lambda: L.StatelessMGU(2, 4), [H, X], mgu_step)
    check_link(lambda: L.StatefulMGU(2, 4), [X], lambda link, x: mgu_step(link, ZEROS, x))
    link = in_double(lambda: L.StatefulMGU(None, 4))
    h = link(X).array
    np.testing.assert_allclose(link(-X).array, mgu_step(link, h, -X))
    link.set_state(H)
    np.testing.assert_allclose(link(X).array, mgu_step(link, H, X))


def gates(link, h, x):
    rows = apply(link.upward, x) + apply(link.lateral, h)
    return [rows[:, k::4] for k in range(4)]


def peephole_step(link, c, h, x):
    a, i, f, o = gates(link, h, x)
    c = (np.tanh(a) * sigmoid(i + c @ link.peep_i.W.array.T)
         + c * sigmoid(f + c @ link.peep_f.W.array.T))
    return c, sigmoid(o + c @ link.peep_o.W.array.T) * np.tanh(c)


def lstm_step(link, c, h, x):
    a, i, f, o = gates(link, h, x)
    c = np.tanh(a) * sigmoid(i) + c * sigmoid(f)
    return c, sigmoid(o) * np.tanh(c)


@pytest.mark.parametrize('kind, step', [(L.StatefulPeepholeLSTM, peephole_step), (
    lambda *sizes: L.StatefulZoneoutLSTM(*sizes, 0, 0), lstm_step)])
def test_lstm_with_peepholes_and_without_zoneout(kind, step):
    check_link(lambda: kind(2, 4), [X], lambda link, x: step(link, ZEROS, ZEROS, x)[1])
    link = in_double(lambda: kind(None, 4))
    c = h = ZEROS
    for x in (X, -X, 2 * X):
        y = link(x).array
        c, h = step(link, c, h, x)
        np.testing.assert_allclose(y, h)
    link.set_state(H, -H)
    np.testing.assert_allclose(link(X).array, step(link, H, -H, X)[1])


def test_zoneout_keeps_former_values_while_training():
    link = in_double(lambda: L.StatefulZoneoutLSTM(2, 4, c_ratio=1, h_ratio=1))
    link.set_state(H, -H)
    np.testing.assert_array_equal(link(X).array, -H)
    np.testing.assert_array_equal(link.c.array, H)
    with minichain.using_config('train', False):
        np.testing.assert_allclose(link(X).array, lstm_step(link, H, -H, X)[1])


def unit(cs, aio, forget):
    a, i, o = np.split(aio, 3, axis=1)
    c = np.tanh(a) * sigmoid(i) + sum(sigmoid(f) * each for f, each in zip(forget, cs))
    return c, sigmoid(o) * np.tanh(c)


def child_sum(link, *states):
    *states, x = states
    cs, hs = states[:len(states) // 2], states[len(states) // 2:]
    rows = apply(link.W_x, x)
    return unit(cs, rows[:, :12] + apply(link.W_h_aio, sum(hs)),
                [rows[:, 12:] + apply(link.W_h_f, h) for h in hs])


def n_ary(link, *states):
    *states, x = states
    cs, hs = states[:len(states) // 2], states[len(states) // 2:]
    rows = apply(link.W_x, x) + sum(apply(link[f'W_h{k}'], h) for k, h in enumerate(hs, 1))
    return unit(cs, rows[:, :12], np.split(rows[:, 12:], len(cs), axis=1))


@pytest.mark.parametrize('kind, reference, children', [
    (L.ChildSumTreeLSTM, child_sum, 1), (L.ChildSumTreeLSTM, child_sum, 3),
    (L.NaryTreeLSTM, n_ary, 2), (lambda *sizes: L.NaryTreeLSTM(*sizes, n_ary=3), n_ary, 3)])
def test_trees(kind, reference, children):
    link = in_double(lambda: kind(2, 4))
    states = [RANDOM.randn(3, 4) for _ in range(2 * children)]
    for y, expected in zip(link(*states, X), reference(link, *states, X), strict=True):
        np.testing.assert_allclose(y.array, expected)
    nothing = [None] * 2 * children
    for y, expected in zip(link(*nothing, X), reference(link, *[ZEROS] * 2 * children, X)):
        np.testing.assert_allclose(y.array, expected)
    with pytest.raises(InvalidType, match='children'):
        link(*states[1:], X)
    with pytest.raises(InvalidType, match='children'):
        link(X)


def test_a_tree_of_both_states_is_a_link_like_others():
    class Output(minichain.Chain):
        def __init__(self, node):
            super().__init__(node=node)

        def forward(self, *states):
            c, h = self.node(*states)
            return c * h

    def reference(of):
        def product(link, *states):
            c, h = of(link.node, *states)
            return c * h
        return product
    states = [RANDOM.randn(3, 4) for _ in range(4)]
    check_link(lambda: Output(L.ChildSumTreeLSTM(None, 4)), [*states, X], reference(child_sum))
    check_link(lambda: Output(L.NaryTreeLSTM(2, 4)), [*states, X], reference(n_ary))
    with pytest.raises(InvalidArgument, match='n_ary'):
        L.NaryTreeLSTM(2, 4, 0)

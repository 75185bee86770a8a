import numpy as np
import pytest

import minichain
import minichain.links as L
from minichain import Variable
from minichain.errors import InvalidType
from tests.links.check import check_link

X = np.random.RandomState(0).randn(3, 2)
LSTMS = [L.LSTM, L.StatelessLSTM]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(link, c, h, x):
    """One step with interleaved gates, from the definition."""
    gates = x @ link.upward.W.array.T + link.upward.b.array + h @ link.lateral.W.array.T
    a, i, f, o = (gates[:, k::4] for k in range(4))
    c = np.tanh(a) * sigmoid(i) + c * sigmoid(f)
    return c, sigmoid(o) * np.tanh(c)


def test_a_step_follows_the_definition():
    check_link(lambda: L.LSTM(2, 4), [X],
               lambda link, x: step(link, np.zeros((3, 4)), np.zeros((3, 4)), x)[1])
    check_link(lambda: L.LSTM(4), [X])


def test_the_state_goes_from_step_to_step_and_back():
    with minichain.using_config('dtype', np.float64):
        link = L.LSTM(2, 4)
    c = h = np.zeros((3, 4))
    for x in (X, -X, X * 2):
        c, h = step(link, c, h, x)
        np.testing.assert_allclose(link(x).array, h)
    np.testing.assert_allclose(link.c.array, c)
    link.set_state(np.zeros((3, 4)), np.zeros((3, 4)))
    np.testing.assert_allclose(link(X).array, step(link, 0, np.zeros((3, 4)), X)[1])
    link.reset_state()
    assert link.c is None and link.h is None
    with pytest.raises(InvalidType, match='set_state'):
        link.set_state(np.zeros((3, 5)), np.zeros((3, 4)))


def test_finished_sequences_keep_their_state():
    link = L.LSTM(2, 4)
    link(X.astype('f'))
    before = link.h.array
    assert link(X[:1].astype('f')).shape == (1, 4)
    np.testing.assert_array_equal(link.h.array[1:], before[1:])


def test_the_caller_may_keep_the_state():
    random = np.random.RandomState(1)
    c, h = random.randn(3, 4), random.randn(3, 4)
    for build in (lambda: L.StatelessLSTM(2, 4), lambda: L.StatelessLSTM(None, 4)):
        with minichain.using_config('dtype', np.float64):
            link = build()
            for y in link(c, h, X):
                assert y.shape == (3, 4)
        for y, expected in zip(link(c, h, X), step(link, c, h, X)):
            np.testing.assert_allclose(y.array, expected)
        for y, expected in zip(link(None, None, X), step(link, 0, np.zeros((3, 4)), X)):
            np.testing.assert_allclose(y.array, expected)


@pytest.mark.parametrize('kind', LSTMS)
def test_gates_start_from_their_initializers(kind):
    link = kind(2, 3, lateral_init=1, upward_init=2, bias_init=3, forget_bias_init=4)
    np.testing.assert_array_equal(link.upward.b.array, [3, 3, 4, 3] * 3)
    assert (link.lateral.W.array == 1).all() and (link.upward.W.array == 2).all()
    assert kind(2, 3).upward.b.array.tolist() == [0, 0, 1, 0] * 3


def test_a_copy_with_new_values_draws_every_gate_anew():
    link = L.LSTM(2, 3)
    copies = link.repeat(2)
    for clone in copies:
        assert clone.upward.W.shape == (12, 2)
        assert np.ptp(clone.upward.W.array) > 0 and np.ptp(clone.lateral.W.array) > 0
        assert not np.array_equal(clone.upward.W.array, link.upward.W.array)
        np.testing.assert_array_equal(clone.upward.b.array, link.upward.b.array)
    assert not np.array_equal(copies[0].upward.W.array, copies[1].upward.W.array)


def test_truncated_backprop_stops_at_the_cut():
    link = L.LSTM(2, 4)
    first = Variable(X.astype('f'))
    minichain.functions.sum(link(first)).unchain_backward()
    minichain.functions.sum(link(X.astype('f'))).backward()
    assert first.grad is None and link.upward.W.grad is not None


def test_a_batch_that_grew_is_refused_with_what_to_do():
    link = L.LSTM(3, 2)
    link(np.zeros((2, 3), 'f'))
    with pytest.raises(InvalidType, match=r'at most 2 rows.*got 3.*reset_state'):
        link(np.zeros((3, 3), 'f'))

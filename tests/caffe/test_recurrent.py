"""Caffe's LSTM and RNN against their equations, step by step in NumPy."""

import numpy as np
import pytest

from minichain import Variable
from minichain.caffe import load, save
from minichain.errors import DataError

RANDOM = np.random.default_rng(10)
T, N, D, H, S = 5, 3, 4, 2, 6


def random(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


X, STATIC, H0, C0 = random(T, N, D), random(N, S), random(1, N, H), random(1, N, H)
CONT = np.ones((T, N), np.float32)
CONT[0] = 0
CONT[3, 1] = CONT[2, 0] = 0


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(W_xc, b_c, W_hc, W_static=None, h=None, c=None):
    h = np.zeros((N, H)) if h is None else h
    c = np.zeros((N, H)) if c is None else c
    ys = []
    for x, cont in zip(X, CONT):
        gates = x @ W_xc.T + b_c + (h * cont[:, None]) @ W_hc.T
        if W_static is not None:
            gates = gates + STATIC @ W_static.T
        i, f, o, g = np.split(gates, 4, axis=1)
        c = cont[:, None] * sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        ys.append(h)
    return np.array(ys), h, c


def test_lstm_equals_its_equations_with_restarts(run):
    W_xc, b_c, W_hc, W_static = random(4 * H, D), random(4 * H), random(4 * H, H), random(4 * H, S)
    y = run('LSTM', [X, CONT], [W_xc, b_c, W_hc], recurrent_param={'num_output': H})
    np.testing.assert_allclose(y, lstm(W_xc, b_c, W_hc)[0], rtol=1e-4, atol=1e-5)
    y = run('LSTM', [X, CONT, STATIC], [W_xc, b_c, W_static, W_hc],
            recurrent_param={'num_output': H})
    np.testing.assert_allclose(y, lstm(W_xc, b_c, W_hc, W_static)[0], rtol=1e-4, atol=1e-5)


def test_lstm_takes_and_gives_its_states_where_they_are_exposed(run):
    W_xc, b_c, W_hc = random(4 * H, D), random(4 * H), random(4 * H, H)
    y, h, c = run('LSTM', [X, CONT, H0, C0], [W_xc, b_c, W_hc], tops=3,
                  recurrent_param={'num_output': H, 'expose_hidden': True})
    expected = lstm(W_xc, b_c, W_hc, h=H0[0], c=C0[0])
    for actual, value in zip((y, h[0], c[0]), expected, strict=True):
        np.testing.assert_allclose(actual, value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('static', [False, True])
def test_rnn_equals_its_equations(run, static):
    W_xh, b_h, W_s, W_hh, W_ho, b_o = (
        random(H, D), random(H), random(H, S), random(H, H), random(H, H), random(H))
    y = run('RNN', [X, CONT, *[STATIC] * static], [W_xh, b_h, *[W_s] * static, W_hh, W_ho, b_o],
            recurrent_param={'num_output': H})
    h, expected = np.zeros((N, H)), []
    for x, cont in zip(X, CONT):
        h = np.tanh(x @ W_xh.T + b_h + static * (STATIC @ W_s.T) + (h * cont[:, None]) @ W_hh.T)
        expected.append(np.tanh(h @ W_ho.T + b_o))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_weights_have_caffes_names_and_gradients(tmp_path):
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    blobs = [random(4 * H, D), random(4 * H), random(4 * H, H)]
    save(*paths, [{'name': 'lstm1', 'type': 'LSTM', 'bottom': ['x', 'cont'], 'top': ['y'],
                   'recurrent_param': {'num_output': H}, 'blobs': blobs}], X.shape,
         input_name='x')
    net = load(*paths)
    names = dict(net.namedparams())
    assert list(names) == ['/lstm1/W_hc', '/lstm1/W_xc', '/lstm1/b_c']
    x = Variable(X)
    y, = net({'x': x, 'cont': CONT}, ['y'])
    y.grad = weights = random(*y.shape)
    y.backward()
    for position, name in enumerate(('/lstm1/W_xc', '/lstm1/b_c', '/lstm1/W_hc')):
        direction, values = RANDOM.standard_normal(blobs[position].shape), []
        for step in (1e-5, -1e-5):
            changed = [blob.astype(np.float64) for blob in blobs]
            changed[position] = changed[position] + step * direction
            values.append((lstm(*changed)[0] * weights).sum())
        assert (names[name].grad * direction).sum() == pytest.approx(
            (values[0] - values[1]) / 2e-5, rel=1e-3)


@pytest.mark.parametrize('xs, parameters, message', [
    ([X, CONT[:2]], {'num_output': H}, 'cont of shape'),
    ([X, CONT], {'num_output': 3}, 'expected, the file has'),
    ([X, CONT], {'num_output': 0}, 'num_output above 0'),
    ([X, CONT], {'num_output': H, 'expose_hidden': True}, '4 or 5 bottoms'),
    ([X[:0], CONT[:0]], {'num_output': H}, 'at least one step'),
])
def test_what_does_not_fit_is_refused(run, xs, parameters, message):
    blobs = [random(4 * H, D), random(4 * H), random(4 * H, H)]
    with pytest.raises(DataError, match=message):
        run('LSTM', xs, blobs, recurrent_param=parameters)

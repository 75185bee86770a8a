import copy

import numpy as np
import pytest

import minichain
import minichain.functions as F
import minichain.links as L
from minichain.errors import InvalidType
from tests import strict_cupy

RANDOM = np.random.RandomState(0)
XS = [RANDOM.randn(length, 2) for length in (2, 4, 0, 3)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(p, state, x):
    h, c = state
    i, f, a, o = (p[f'w{k}'] @ x + p[f'b{k}'] + p[f'w{k + 4}'] @ h + p[f'b{k + 4}']
                  for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(a)
    return sigmoid(o) * np.tanh(c), c


def gru(p, state, x):
    h, = state
    r, z = (sigmoid(p[f'w{k}'] @ x + p[f'b{k}'] + p[f'w{k + 3}'] @ h + p[f'b{k + 3}'])
            for k in range(2))
    new = np.tanh(p['w2'] @ x + p['b2'] + r * (p['w5'] @ h + p['b5']))
    return (1 - z) * new + z * h,


def tanh(p, state, x):
    return np.tanh(p['w0'] @ x + p['b0'] + p['w1'] @ state[0] + p['b1']),


def relu(p, state, x):
    return np.maximum(p['w0'] @ x + p['b0'] + p['w1'] @ state[0] + p['b1'], 0),


KINDS = [(L.NStepLSTM, L.NStepBiLSTM, lstm, 2), (L.NStepGRU, L.NStepBiGRU, gru, 1),
         (L.NStepRNNTanh, L.NStepBiRNNTanh, tanh, 1), (L.NStepRNNReLU, L.NStepBiRNNReLU, relu, 1)]
EVERY = [(kind[directions - 1], kind[2], kind[3], directions)
         for kind in KINDS for directions in (1, 2)]


def made(kind, n_layers, dropout=0.):
    with minichain.using_config('dtype', np.float64):
        link = kind(n_layers, 2, 3, dropout)
    for i, parameter in enumerate(link.params()):
        parameter.array[...] = np.random.RandomState(i).uniform(-1, 1, parameter.shape)
    return link


def by_hand(link, step, states, xs, directions):
    """One sequence, one layer, one direction at a time."""
    last, ys = np.zeros_like(states), list(xs)
    for b in range(len(xs)):
        for layer in range(link.n_layers):
            columns = []
            for direction in range(directions):
                place = layer * directions + direction
                p = {name: q.array for name, q in (
                    (name, getattr(link[place], name)) for name in sorted(link[place]._params))}
                state, out = tuple(each[place, b] for each in states), []
                for x in (ys[b][::-1] if direction else ys[b]):
                    state = step(p, state, x)
                    out.append(state[0])
                for k, each in enumerate(state):
                    last[k, place, b] = each
                columns.append(np.reshape(out[::-1] if direction else out, (len(out), 3)))
            ys[b] = np.concatenate(columns, axis=1)
    return last, ys


@pytest.mark.parametrize('kind, step, cells, directions', EVERY)
@pytest.mark.parametrize('given', [False, True])
def test_sequences_of_all_lengths_run_layer_by_layer(kind, step, cells, directions, given):
    link = made(kind, 2)
    states = np.zeros((cells, 2 * directions, 4, 3))
    if given:
        states = RANDOM.randn(*states.shape)
    *last, ys = link(*(states if given else [None] * cells), XS)
    expected, outputs = by_hand(link, step, states, XS, directions)
    for each, wanted in zip(last, expected):
        np.testing.assert_allclose(each.array, wanted)
    assert isinstance(ys, list)
    for y, wanted in zip(ys, outputs, strict=True):
        assert y.shape == wanted.shape
        np.testing.assert_allclose(y.array, wanted)


@pytest.mark.parametrize('kind, step, cells, directions', EVERY)
def test_gradients_reach_every_parameter(kind, step, cells, directions):
    link = made(kind, 2)

    def loss():
        *last, ys = link(*[None] * cells, XS)
        return F.sum(last[-1]) + sum(F.sum(y * y) for y in ys if y.size)
    loss().backward()
    for path, parameter in link.namedparams():
        direction = np.random.RandomState(1).uniform(-1, 1, parameter.shape)
        start, losses = parameter.array.copy(), []
        for move in (1e-5, -1e-5):
            parameter.array[...] = start + move * direction
            losses.append(float(loss().array))
        parameter.array[...] = start
        np.testing.assert_allclose((parameter.grad * direction).sum(),
                                   (losses[0] - losses[1]) / 2e-5, 1e-4, 1e-6, err_msg=path)


@pytest.mark.parametrize('kind, step, cells, directions', EVERY)
def test_the_gpu_gives_the_same(kind, step, cells, directions):
    link = made(kind, 2)
    *_, ys = link(*[None] * cells, XS)
    with strict_cupy.installed() as cupy:
        link = copy.deepcopy(link)
        link.to_gpu()
        *last, again = link(*[None] * cells, [cupy.asarray(x) for x in XS])
        for y, other in zip(again, ys):
            np.testing.assert_allclose(y.array.get(), other.array)
        *last, again = link(*last, [cupy.asarray(x) for x in XS])
        F.sum(again[0]).backward()


def test_dropout_acts_between_layers_while_training():
    link, calm = made(L.NStepLSTM, 2, .5), made(L.NStepLSTM, 2)
    np.random.seed(0)
    assert not np.allclose(link(None, None, XS)[2][1].array, calm(None, None, XS)[2][1].array)
    with minichain.using_config('train', False):
        np.testing.assert_array_equal(link(None, None, XS)[2][1].array,
                                      calm(None, None, XS)[2][1].array)


def test_copies_keep_their_own_weights():
    link = made(L.NStepGRU, 1)
    clone = copy.deepcopy(link)
    clone[0].w0.array[...] = 0
    assert clone.ws[0][0] is clone[0].w0 and link.ws[0][0].array.all()


def test_no_sequences_are_refused():
    with pytest.raises(InvalidType, match='at least one sequence'):
        made(L.NStepLSTM, 1)(None, None, [])


def test_states_of_another_number_of_sequences_are_refused():
    link, state = L.NStepLSTM(1, 3, 2, 0.), np.zeros((1, 2, 2), 'f')
    with pytest.raises(InvalidType, match=r'NStepLSTM: states \(1, 1, 2\) expected.*\(1, 2, 2\)'):
        link(state, None, [np.zeros((2, 3), 'f')])

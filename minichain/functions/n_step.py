"""Recurrent networks of several layers over whole batches of sequences of different lengths.

Sequences come sorted by falling length and step by step, as ``transpose_sequence`` makes them.
Inside they are one packed array, so that a layer's inputs are one matrix product. A layer that
runs backwards is one that runs forwards over reversed sequences.
"""
from itertools import accumulate

import numpy as np

from minichain.backend import get_device_from_array
from minichain.errors import InvalidType
from minichain.functions._loss import expect_choice
from minichain.functions.concat import concat, stack
from minichain.functions.dropout import dropout
from minichain.functions.hyperbolic import tanh
from minichain.functions.linear import linear
from minichain.functions.lstm_sequence import lstm_sequence
from minichain.functions.permutate import permutate
from minichain.functions.relu import relu
from minichain.functions.sigmoid import sigmoid
from minichain.functions.split import separate, split_axis
from minichain.type_check import (
    expect_float,
    expect_ndim,
    expect_same_dtype,
    expect_shape,
    refuse_former,
)


def _lstm_layer(x, ws, bs, states, batch_sizes):
    """Chainer's order of weights is i, f, a, o, that of lstm_sequence i, f, o, a."""
    inputs, recurrent = (concat([ws[k + gate] for gate in (0, 1, 3, 2)], axis=0) for k in (0, 4))
    b = concat([bs[gate] + bs[gate + 4] for gate in (0, 1, 3, 2)], axis=0)
    return lstm_sequence(linear(x, inputs, b), recurrent, *states, batch_sizes)


def _scan(step, xs, h, batch_sizes):
    """Call h = step(x, h) on the rows of every step; return all h packed, and each row's last."""
    hs, ended = [], []
    for x, n in zip(split_axis(xs, list(accumulate(batch_sizes))[:-1], axis=0), batch_sizes):
        if n < len(h):
            h, rest = split_axis(h, [n], axis=0)
            ended.append(rest)
        h = step(x, h)
        hs.append(h)
    return concat(hs, axis=0), concat([h, *reversed(ended)], axis=0)


def _gru_layer(x, ws, bs, states, batch_sizes):
    """r, z, new:  h = (1 - z) tanh(new + r (W h + b)) + z h."""
    inputs, recurrent = concat(ws[:3], axis=0), concat(ws[3:], axis=0)
    b_inputs, b_recurrent = concat(bs[:3], axis=0), concat(bs[3:], axis=0)

    def step(x, h):
        r, z, new = split_axis(x, 3, axis=1)
        r_h, z_h, new_h = split_axis(linear(h, recurrent, b_recurrent), 3, axis=1)
        r, z = sigmoid(r + r_h), sigmoid(z + z_h)
        new = tanh(new + r * new_h)
        return new + z * (h - new)
    return _scan(step, linear(x, inputs, b_inputs), states[0], batch_sizes)


def _rnn_layer(activation):
    expect_choice('n_step_rnn', 'activation', activation, ('tanh', 'relu'))
    function = tanh if activation == 'tanh' else relu

    def layer(x, ws, bs, states, batch_sizes):
        def step(x, h):
            return function(x + linear(h, ws[1]))
        return _scan(step, linear(x, ws[0], bs[0] + bs[1]), states[0], batch_sizes)
    return layer


def _reversal(batch_sizes):
    """Return where in the packed rows each row is once every sequence is reversed."""
    starts = np.cumsum([0, *batch_sizes])
    sizes = np.asarray(batch_sizes)
    lengths = (sizes[:, None] > np.arange(batch_sizes[0])).sum(axis=0)   # of every sequence
    return np.concatenate([starts[lengths[:n] - 1 - t] + np.arange(n)
                           for t, n in enumerate(batch_sizes)])


def _check(label, n_layers, directions, gates, states, ws, bs, xs):
    if not xs:
        raise InvalidType(f'{label}: at least one step expected, got no xs')
    expect_ndim(label, 2, **{f'xs[{t}]': x for t, x in enumerate(xs)})
    batch_sizes, width, stacks = [len(x) for x in xs], xs[0].shape[1], n_layers * directions
    if batch_sizes != sorted(batch_sizes, reverse=True):
        raise InvalidType(f'{label}: batches that never grow expected, as sequences are sorted by '
                          f'falling length, got {batch_sizes}. transpose_sequence makes them')
    for name, state in states.items():
        expect_ndim(label, 3, **{name: state})
        expect_shape(label, (stacks, batch_sizes[0], None), **{name: state})
    H = next(iter(states.values())).shape[2]
    expect_shape(label, (stacks, batch_sizes[0], H), **states)
    for name, nest in (('ws', ws), ('bs', bs)):
        counts = [len(each) for each in nest]
        if counts != [gates] * stacks:
            raise InvalidType(f'{label}: {gates} arrays in each of {stacks} {name} expected for '
                              f'{n_layers} layers and {directions} directions, got {counts}')
    for i in range(stacks):
        below = width if i < directions else H * directions
        for k in range(gates):
            shape = (H, below if k < gates // 2 else H)
            expect_shape(label, shape, **{f'ws[{i}][{k}]': ws[i][k]})
            expect_shape(label, (H,), **{f'bs[{i}][{k}]': bs[i][k]})
    expect_float(label, xs=xs[0])
    expect_same_dtype(label, xs=xs[0], **states, ws=ws[0][0], bs=bs[0][0])
    return batch_sizes


def _run(label, layer, gates, directions, n_layers, dropout_ratio, states, ws, bs, xs, former):
    """Return the last states, stacked by layer and direction, and the outputs of every step."""
    refuse_former(label, former)
    batch_sizes = _check(label, n_layers, directions, gates, states, ws, bs, xs)
    while not batch_sizes[-1] and len(batch_sizes) > 1:   # steps that no sequence has
        batch_sizes.pop()
    empty_steps = len(xs) - len(batch_sizes)
    x = concat(xs, axis=0)
    states = [separate(state, axis=0) for state in states.values()]
    if directions == 2:
        reversal = get_device_from_array(x).send(_reversal(batch_sizes))
    last = []
    for i in range(n_layers):
        outputs = []
        for k in range(i * directions, (i + 1) * directions):
            backwards = k % directions == 1
            y = dropout(x, dropout_ratio) if i and dropout_ratio else x   # for each direction
            y, *ends = layer(permutate(y, reversal) if backwards else y, ws[k], bs[k],
                             [state[k] for state in states], batch_sizes)
            outputs.append(permutate(y, reversal) if backwards else y)
            last.append(ends)
        x = concat(outputs, axis=1) if directions == 2 else outputs[0]
    cuts = list(accumulate(batch_sizes))[:-1] + [len(x)] * empty_steps
    return (*(stack(ends) for ends in zip(*last)), split_axis(x, cuts, axis=0))


def n_step_lstm(n_layers, dropout_ratio, hx, cx, ws, bs, xs, **former):
    """LSTM of several layers; the inputs of all steps of a layer are one matrix product.

        i = s(W0 x + b0 + W4 h + b4)      f = s(W1 x + b1 + W5 h + b5)
        a = tanh(W2 x + b2 + W6 h + b6)   o = s(W3 x + b3 + W7 h + b7)
        c = f c + i a                     h = o tanh(c)

    Args:
        n_layers: number L of layers.
        dropout_ratio: share of zeros in what goes from layer to layer while training.
        hx, cx: first states, (L, B, H), float.
        ws: for each layer W0 ... W7, (H, I) for the first four of the first layer, else (H, H).
        bs: for each layer b0 ... b7, (H,).
        xs: for each step the rows of those sequences that have it, (B_t, I); B_t never grows.
    Returns:
        (hy, cy, ys): last states of every sequence, (L, B, H), and a tuple of outputs, (B_t, H).
    Raises:
        InvalidType: shapes or dtypes do not fit, or batches grow.
        InvalidArgument: ``dropout_ratio`` is not in [0, 1).
    Gers et al. 2000, "Learning to forget", doi:10.1162/089976600300015015.
    """
    return _run('n_step_lstm', _lstm_layer, 8, 1, n_layers, dropout_ratio,
                {'hx': hx, 'cx': cx}, ws, bs, xs, former)


def n_step_bilstm(n_layers, dropout_ratio, hx, cx, ws, bs, xs, **former):
    """:func:`n_step_lstm` in both directions, whose outputs are put side by side.

    Args:
        hx, cx: first states, (2 L, B, H): layer 0 forwards, backwards, layer 1 forwards, ...
        ws, bs: in the same order; from the second layer on the input is 2 H wide.
        n_layers, dropout_ratio, xs: as of :func:`n_step_lstm`.
    Returns:
        (hy, cy, ys): (2 L, B, H), and a tuple of outputs, (B_t, 2 H).
    """
    return _run('n_step_bilstm', _lstm_layer, 8, 2, n_layers, dropout_ratio,
                {'hx': hx, 'cx': cx}, ws, bs, xs, former)


def n_step_gru(n_layers, dropout_ratio, hx, ws, bs, xs, **former):
    """Gated recurrent units of several layers.

        r = s(W0 x + b0 + W3 h + b3)   z = s(W1 x + b1 + W4 h + b4)
        h = (1 - z) tanh(W2 x + b2 + r (W5 h + b5)) + z h

    Args:
        hx: first state, (L, B, H), float.
        ws, bs: for each layer W0 ... W5 and b0 ... b5, shapes as of :func:`n_step_lstm`.
        n_layers, dropout_ratio, xs: as of :func:`n_step_lstm`.
    Returns:
        (hy, ys): last state of every sequence, (L, B, H), and a tuple of outputs, (B_t, H).
    Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder",
    arXiv:1406.1078.
    """
    return _run('n_step_gru', _gru_layer, 6, 1, n_layers, dropout_ratio, {'hx': hx}, ws, bs, xs,
                former)


def n_step_bigru(n_layers, dropout_ratio, hx, ws, bs, xs, **former):
    """:func:`n_step_gru` in both directions; operands and results as of :func:`n_step_bilstm`."""
    return _run('n_step_bigru', _gru_layer, 6, 2, n_layers, dropout_ratio, {'hx': hx}, ws, bs, xs,
                former)


def n_step_rnn(n_layers, dropout_ratio, hx, ws, bs, xs, activation='tanh', **former):
    """Plain recurrent network of several layers:  h = activation(W0 x + b0 + W1 h + b1).

    Args:
        hx: first state, (L, B, H), float.
        ws, bs: for each layer W0, W1 and b0, b1, shapes as of :func:`n_step_lstm`.
        n_layers, dropout_ratio, xs: as of :func:`n_step_lstm`.
        activation: 'tanh' or 'relu'.
    Returns:
        (hy, ys): last state of every sequence, (L, B, H), and a tuple of outputs, (B_t, H).
    """
    return _run('n_step_rnn', _rnn_layer(activation), 2, 1, n_layers, dropout_ratio, {'hx': hx},
                ws, bs, xs, former)


def n_step_birnn(n_layers, dropout_ratio, hx, ws, bs, xs, activation='tanh', **former):
    """:func:`n_step_rnn` in both directions; operands and results as of :func:`n_step_bilstm`."""
    return _run('n_step_birnn', _rnn_layer(activation), 2, 2, n_layers, dropout_ratio, {'hx': hx},
                ws, bs, xs, former)

"""LSTM, GRU and RNN of one layer, in one or both directions.

The rows of all steps are one packed array, as ``functions/n_step.py`` describes it, so that the
inputs of all steps are one matrix product. A direction that runs backwards packs its rows in the
opposite order.
"""
from itertools import accumulate

import numpy as np

import minichain.functions as F
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.budget import STEP, current
from minichain.onnx.operators.gathering import put_item
from minichain.onnx.operators.values import send_like, to_ints

# name -> (function of x, alpha and beta; which of alpha and beta it takes, with their defaults)
ACTIVATIONS = {
    'affine': (lambda x, a, b: a * x + b, {'alpha': 1., 'beta': 0.}),
    'elu': (lambda x, a, b: F.elu(x, a), {'alpha': 1.}),
    'hardsigmoid': (lambda x, a, b: F.clip(a * x + b, 0., 1.), {'alpha': .2, 'beta': .5}),
    'leakyrelu': (lambda x, a, b: F.leaky_relu(x, a), {'alpha': .01}),
    'relu': (lambda x, a, b: F.relu(x), {}),
    'scaledtanh': (lambda x, a, b: a * F.tanh(b * x), {'alpha': 1., 'beta': 1.}),
    'sigmoid': (lambda x, a, b: F.sigmoid(x), {}),
    'softplus': (lambda x, a, b: F.softplus(x), {}),
    'softsign': (lambda x, a, b: x / (1 + F.absolute(x)), {}),
    'tanh': (lambda x, a, b: F.tanh(x), {}),
    'thresholdedrelu': (lambda x, a, b: x * (x.array > a).astype(x.dtype), {'alpha': 1.}),
}
DIRECTIONS = {'forward': (False,), 'reverse': (True,), 'bidirectional': (False, True)}


def activations_of(node, defaults, directions):
    """A list of functions for each direction; alphas and betas go to those that take them.

    What is clipped is the sums that go into gates, not the cell of an LSTM, as in onnxruntime.
    """
    names = node.get('activations') or defaults * directions
    given = {key: iter(node.get(f'activation_{key}') or ()) for key in ('alpha', 'beta')}
    if len(names) != len(defaults) * directions:
        raise DataError(f'{len(defaults) * directions} activations expected, got {names}')
    functions = []
    for place, name in enumerate(names):
        if name.lower() not in ACTIVATIONS:
            raise DataError(f'the activation {name!r} is not known')
        functions.append(activation(name.lower(), given,
                                    node.get('clip') if place % len(defaults) < 2 else None))
    return [functions[start:start + len(defaults)]
            for start in range(0, len(functions), len(defaults))]


def activation(name, given, limit):
    function, takes = ACTIVATIONS[name]
    alpha, beta = (next(given[key], takes[key]) if key in takes else None
                   for key in ('alpha', 'beta'))
    if limit is None and not takes:
        plain = {'tanh': F.tanh, 'sigmoid': F.sigmoid, 'relu': F.relu}.get(name)
        if plain is not None:
            return plain
    if limit is None:
        return lambda x: function(x, alpha, beta)
    return lambda x: function(F.clip(x, -limit, limit), alpha, beta)


class Packing:
    """Where the rows of the steps of sequences of different lengths lie.

    Attributes:
        sizes: number of sequences that have step t, for each t that any has.
        order: the sequences by falling length.
        rows: for each packed row its row in x as (T * N, I); None if they are the same.
    """

    def __init__(self, steps, batch, lengths, backwards):
        self.shape = steps, batch
        self.order = self.rows = None
        self.sizes = [batch] * steps
        if lengths is not None and set(lengths) != {steps}:
            lengths = np.array(lengths, np.int64)
            self.order = np.argsort(-lengths, kind='stable')
            ordered = lengths[self.order]
            times = np.arange(steps)[:, None]
            alive = times < ordered
            rows = (ordered - 1 - times if backwards else times) * batch + self.order
            self.rows, self.sizes = rows[alive], alive.sum(axis=1)
            self.sizes = self.sizes[self.sizes > 0].tolist()
        self.turned = backwards and self.rows is None

    def pack(self, x):
        """(T, N, I) -> rows in the order of the steps."""
        if self.turned:
            x = x[::-1]
        x = x.reshape((x.shape[0] * x.shape[1], x.shape[2]))
        return x if self.rows is None else x[send_like(self.rows, x),]

    def unpack(self, y):
        """The packed rows -> (T, N, H), zeros behind the ends."""
        steps, batch = self.shape
        if self.rows is not None:
            xp = get_array_module(y)
            y = put_item(F.identity(xp.zeros((steps * batch, y.shape[1]), y.dtype)),
                         (self.rows,), y)
        y = y.reshape((steps, batch, y.shape[1]))
        return y[::-1] if self.turned else y

    def sort(self, state):
        return state if self.order is None else F.permutate(state, self.order)

    def unsort(self, state):
        return state if self.order is None else F.permutate(state, self.order, inv=True)


def recurrent(gates, activations, n_states, cell):
    """An operator from what one direction does.

    Args:
        gates: how many; W is (D, gates * H, I), R is (D, gates * H, H).
        activations: their names where the model does not say.
        n_states: 1 for h, 2 for h and c.
        cell: function (node, functions, x, W, R, B, P, states, sizes) -> (hs, states); the rows
            of x and hs are packed.
    """
    def operator(node, x, W, R, B=None, lengths=None, *others):
        others += (None,) * (n_states + 1 - len(others))
        backwards = DIRECTIONS.get(node.get('direction', 'forward'))
        batch_first = node.get('layout', 0)
        if backwards is None or x.ndim != 3:
            raise DataError(f'a direction of {", ".join(DIRECTIONS)} and inputs of three axes '
                            f'expected, got {node.get("direction")!r} and {x.shape}')
        if batch_first:
            x = x.transpose((1, 0, 2))
        steps, batch, H = x.shape[0], x.shape[1], R.shape[-1]
        D = len(backwards)
        expect('W', W, (D, gates * H, x.shape[2]))
        expect('R', R, (D, gates * H, H))
        expect('B', B, (D, 2 * gates * H))
        if node.get('hidden_size', H) != H:
            raise DataError(f'hidden_size is {node.get("hidden_size")}, but R is {R.shape}')
        lengths = None if lengths is None else to_ints(lengths)
        if lengths is not None and (len(lengths) != batch
                                    or any(not 0 <= n <= steps for n in lengths)):
            raise DataError(f'{batch} sequence_lens from 0 to {steps} expected, got '
                            f'{lengths!s:.200}')
        states = [first_state(state, x, batch_first, (D, batch, H)) for state in
                  others[:n_states]]
        P = others[n_states]
        functions = activations_of(node, activations, D)
        current().work(D * steps * (4 * STEP + 2 * batch * gates * H * (x.shape[2] + H)))
        outputs, last = [], []
        for d, back in enumerate(backwards):
            packing = Packing(steps, batch, lengths, back)
            hs, ends = cell(node, functions[d], packing.pack(x), W[d], R[d],
                            None if B is None else B[d], None if P is None else P[d],
                            [packing.sort(state[d]) for state in states], packing.sizes)
            outputs.append(packing.unpack(hs))
            last.append([packing.unsort(end) for end in ends])
        axis = 1 if batch_first else 0
        y = F.stack(outputs, 1)
        ends = [F.stack(end, axis) for end in zip(*last)]
        return (y.transpose((2, 0, 1, 3)) if batch_first else y, *ends)
    return operator


def expect(name, value, shape):
    if value is not None and value.shape != shape:
        raise DataError(f'{name} of the shape {shape} expected, got {value.shape}')


def first_state(state, x, batch_first, shape):
    if state is None:
        return F.identity(get_array_module(x).zeros(shape, x.dtype))
    if batch_first and state.ndim == 3:
        state = state.transpose((1, 0, 2))
    expect('the initial state', state, shape)
    return state


def halves(B):
    """The biases of the inputs and those of the recurrence."""
    return (None, None) if B is None else F.split_axis(B, 2, 0)


def scan(step, x, states, sizes):
    """states = step(rows of x, *states) for every step.

    Returns:
        (first states of all steps packed, [last states of every sequence]).
    """
    hs, ended = [], []
    for part, n in zip(F.split_axis(x, list(accumulate(sizes))[:-1], 0) if sizes else (), sizes):
        if n < len(states[0]):
            pairs = [F.split_axis(state, [n], 0) for state in states]
            states, rest = zip(*pairs)
            ended.append(rest)
        states = step(part, *states)
        hs.append(states[0])
    if ended:
        states = [F.concat([state, *reversed(rest)], 0)
                  for state, *rest in zip(states, *ended)]
    xp = get_array_module(x)
    empty = xp.zeros((0, states[0].shape[1]), x.dtype)
    return F.concat(hs, 0) if hs else F.identity(empty), states


def lstm(node, functions, x, W, R, B, P, states, sizes):
    """Gates i, o, f, c.

        i = f(W x + R h + Pi c)   f likewise   c' = f c + i g(W x + R h)
        o = f(W x + R h + Po c')  h' = o h(c')
    """
    b = None if B is None else F.add(*halves(B))
    H = R.shape[1]
    if P is not None:
        expect('P', P, (3 * H,))
    plain = functions == [F.sigmoid, F.tanh, F.tanh] and P is None
    # For a step or two the new order of the weights would take longer than the steps.
    if plain and not node.get('input_forget') and len(sizes) > 2:
        b = None if b is None else reordered(b, H)
        hs, h, c = F.lstm_sequence(F.linear(x, reordered(W, H), b), reordered(R, H), *states,
                                   sizes)
        return hs, (h, c)
    gate, candidate, output = functions
    Pi, Po, Pf = (None,) * 3 if P is None else F.split_axis(P, 3, 0)

    def step(x, h, c):
        i, o, f, a = F.split_axis(x + F.matmul(h, R, transb=True), 4, 1)
        i = gate(i if P is None else i + Pi * c)
        f = 1 - i if node.get('input_forget') else gate(f if P is None else f + Pf * c)
        c = f * c + i * candidate(a)
        o = gate(o if P is None else o + Po * c)
        return o * output(c), c
    return scan(step, F.linear(x, W, b), states, sizes)


def reordered(W, H):
    """From the order i, o, f, c of ONNX to i, f, o, c."""
    i, o, f, c = F.split_axis(W, 4, 0)
    return F.concat([i, f, o, c], 0)


def gru(node, functions, x, W, R, B, P, states, sizes):
    """Gates z, r, h:  h' = (1 - z) g(W x + r (R h + b)) + z h; r may come before R."""
    gate, candidate = functions
    b_inputs, b_recurrent = halves(B)
    H = R.shape[1]
    R_gates, R_new = F.split_axis(R, [2 * H], 0)
    b_gates, b_new = (None, None) if B is None else F.split_axis(b_recurrent, [2 * H], 0)

    def step_before(x, h):
        x_gates, new = F.split_axis(x, [2 * H], 1)
        z, r = F.split_axis(gate(x_gates + F.linear(h, R_gates, b_gates)), 2, 1)
        new = candidate(new + F.linear(r * h, R_new, b_new))
        return new + z * (h - new),

    def step_after(x, h):
        x_gates, new = F.split_axis(x, [2 * H], 1)
        h_gates, h_new = F.split_axis(F.linear(h, R, b_recurrent), [2 * H], 1)
        z, r = F.split_axis(gate(x_gates + h_gates), 2, 1)
        new = candidate(new + r * h_new)
        return new + z * (h - new),
    step = step_after if node.get('linear_before_reset') else step_before
    return scan(step, F.linear(x, W, b_inputs), states, sizes)


def rnn(node, functions, x, W, R, B, P, states, sizes):
    """h' = f(W x + R h)."""
    function, = functions
    b = None if B is None else F.add(*halves(B))

    def step(x, h):
        return function(x + F.matmul(h, R, transb=True)),
    return scan(step, F.linear(x, W, b), states, sizes)


OPERATORS = {
    'GRU': recurrent(3, ['Sigmoid', 'Tanh'], 1, gru),
    'LSTM': recurrent(4, ['Sigmoid', 'Tanh', 'Tanh'], 2, lstm),
    'RNN': recurrent(1, ['Tanh'], 1, rnn),
}

"""LSTM: one step, and whole packed sequences, both as ONNX's LSTM where weights are fixed."""
import numpy as np

from minichain.functions.linear import Linear
from minichain.functions.lstm import LSTM
from minichain.functions.lstm_sequence import LSTMSequence
from minichain.functions.operators import Add
from minichain.onnx.exporting.batch import Rows
from minichain.onnx.exporting.refusal import CannotExport

GATES = {'interleaved': 'aifo', 'blocks': 'ifoa'}   # of minichain's two functions


def onnx_gates(W, layout):
    """Return weights (4H, ...) with gates in ONNX's order, blocks i, o, f, a."""
    rest = W.shape[1:]
    if layout == 'interleaved':
        W = W.reshape(-1, 4, *rest).swapaxes(0, 1)
    else:
        W = W.reshape(4, -1, *rest)
    order = [GATES[layout].index(gate) for gate in 'iofa']
    return W[order].reshape(-1, *rest)


def add_lstm(graph, x, weights, layout, states, lengths=''):
    """Add an LSTM node.

    Args:
        x: tensor (T, B, I).
        weights: W (4H, I), R (4H, H) and b (4H,) or None: numbers of constant values, or arrays.
        layout: of the rows of the weights, a key of GATES.
        states: tensors h, c, (1, B, H), or ''.
        lengths: tensor of the sequences' lengths, (B,), int32, or ''.
    Returns:
        tensors (T, 1, B, H), (1, B, H), (1, B, H): outputs, last h, last c.
    """
    def in_order(weight, more=0):
        def make(array):
            array = onnx_gates(array, layout)
            return np.concatenate([array, np.zeros(more, array.dtype)] if more else [array])[None]
        if isinstance(weight, int):
            return graph.derived(weight, 'iofc', make)
        return graph.constant(make(weight))

    W, R, b = weights
    H = (graph.traces[0].arrays[R] if isinstance(R, int) else R).shape[1]
    operands = [in_order(W), in_order(R), '' if b is None else in_order(b, 4 * H)]
    return graph.add('LSTM', [x, *operands, lengths, *states], 3, hidden_size=H)


def _input_weights(graph, node, place):
    """Return (x, W, b) of the linear function that computes an operand, or None."""
    linear = node.producer(place)
    if linear is None or not isinstance(linear.function, Linear) or not all(
            linear.is_constant(k) for k in range(1, len(linear.operands))):
        return None
    x, W, *b = linear.operands
    return x, W, b[0] if b else None


def _state(graph, node, place):
    """Return an initial state (B, H) as (1, B, H); '' if it is zero, which is ONNX's default."""
    if node.is_constant(place) and not node.array(place).any():
        return ''
    return graph.add('Unsqueeze', [node.inputs[place], graph.ints([0])])


def lstm(graph, node):
    c_shape, x_shape = node.input_shapes
    if len(c_shape) == 2 and c_shape[0] == x_shape[0]:
        parts = _step_weights(graph, node)
        if parts:
            (x, W, b), R, h = parts
            x = graph.add('Unsqueeze', [graph.tensor(x), graph.ints([0])])
            states = [h and graph.add('Unsqueeze', [graph.tensor(h), graph.ints([0])]),
                      _state(graph, node, 0)]
            _, h, c = add_lstm(graph, x, (W, R, b), 'interleaved', _both(graph, node, states))
            return [graph.add('Squeeze', [state, graph.ints([0])]) for state in (c, h)]
    return _lstm_written_out(graph, node)


def _both(graph, node, states):
    """Return h and c, with zeros for one of them if only the other is given."""
    if not any(states) or all(states):
        return states
    shape = (1, *node.input_shapes[0])
    zeros = graph.add('Expand', [graph.constant(0, dtype=node.dtype), graph.shape(shape)])
    return [state or zeros for state in states]


def _step_weights(graph, node):
    """Return ((x, W, b), R, h) if gates are linear(x) + linear(h) or linear(x), else None."""
    alone = _input_weights(graph, node, 1)
    H = node.input_shapes[0][1]
    if alone:
        return alone, np.zeros((4 * H, H), node.dtype), ''
    total = node.producer(1)
    if total is None or not isinstance(total.function, Add):
        return None
    upward, lateral = (_input_weights(graph, total, k) for k in (0, 1))
    if not upward or not lateral or lateral[2] is not None or (
            graph.traces[0].arrays[lateral[1]].shape[1] != H):
        return None
    rows = {shape[0] for shape in total.input_shapes}
    return (upward, lateral[1], lateral[0]) if len(rows) == 1 else None


def _lstm_written_out(graph, node):
    """c = tanh(a) s(i) + c_prev s(f), h = s(o) tanh(c), rows beyond those of x passed through."""
    c_shape, (rows, width, *rest) = node.input_shapes
    c, x = node.inputs
    gates = graph.shape((rows, width // 4, 4, *rest))
    parts = graph.add('Split', [graph.add('Reshape', [x, gates]), graph.ints([1] * 4)], 4, axis=2)
    a, i, f, o = (graph.add('Squeeze', [part, graph.ints([2])]) for part in parts)
    ended = None
    if c_shape[0] != rows:
        if isinstance(rows, Rows) or isinstance(c_shape[0], Rows):
            raise CannotExport('fewer rows than the state has, in a share of the batch')
        c, ended = graph.slice(c, 0, 0, rows), graph.slice(c, 0, rows, c_shape[0])
    c = graph.add('Add', [
        graph.add('Mul', [graph.add('Tanh', [a]), graph.add('Sigmoid', [i])]),
        graph.add('Mul', [c, graph.add('Sigmoid', [f])])])
    h = graph.add('Mul', [graph.add('Sigmoid', [o]), graph.add('Tanh', [c])])
    return [c if ended is None else graph.add('Concat', [c, ended], axis=0), h]


def lstm_sequence(graph, node):
    if not node.is_constant(1):
        raise CannotExport('recurrent weights that are computed from the inputs')
    gates, _, h_shape, _ = node.input_shapes
    x, W, b = _input_weights(graph, node, 0) or (
        node.operands[0], np.eye(gates[1], dtype=node.dtype), None)
    weights, H = (W, node.operands[1], b), h_shape[1]
    width = (graph.traces[0].arrays[W] if isinstance(W, int) else W).shape[1]
    x, sizes = graph.tensor(x), [function.batch_sizes for function in node.functions]
    if not sizes[0]:
        raise CannotExport('sequences without a step')
    if all(len(set(each)) == 1 for each in sizes) and len(sizes[0]) == len(sizes[-1]) and all(
            each[0] == trace.arrays[node.operands[2]].shape[0]
            for each, trace in zip(sizes, graph.traces)):
        steps = len(sizes[0])
        x = graph.reshape(x, (steps, h_shape[0], width))
        states = _both_states(graph, node)
        hs, h, c = add_lstm(graph, x, weights, 'blocks', states)
        hs = graph.reshape(hs, (*gates[:1], H))
    else:
        sizes = node.attribute('batch_sizes')
        hs, h, c = _of_several_lengths(graph, node, x, width, H, weights, sizes)
    return [hs, *(graph.add('Squeeze', [state, graph.ints([0])]) for state in (h, c))]


def _both_states(graph, node):
    states = [_state(graph, node, place) for place in (2, 3)]
    if all(states) or not any(states):
        return states
    return [graph.add('Unsqueeze', [node.inputs[place], graph.ints([0])]) for place in (2, 3)]


def _of_several_lengths(graph, node, x, width, H, weights, sizes):
    """Pad packed sequences to one length, run, and pack again; the lengths are fixed."""
    steps, running, rows = len(sizes), sizes[0], node.input_shapes[2][0]
    starts = np.cumsum([0, *sizes[:-1]])
    exists = np.asarray(sizes)[:, None] > np.arange(running)
    where = np.where(exists, starts[:, None] + np.arange(running), 0)
    x = graph.add('Gather', [x, graph.ints(where.ravel())], axis=0)
    x = graph.reshape(x, (steps, running, width))
    lengths = graph.constant(exists.sum(axis=0), dtype='int32')
    states, ended = _both_states(graph, node), None
    if running < rows and any(states):   # sequences without a step keep their state
        ended = [graph.slice(state, 1, running, rows) for state in states]
        states = [graph.slice(state, 1, 0, running) for state in states]
    hs, *last = add_lstm(graph, x, weights, 'blocks', states, lengths)
    if running < rows:
        ended = ended or [graph.constant(np.zeros((1, rows - running, H), node.dtype))] * 2
        last = [graph.add('Concat', pair, axis=1) for pair in zip(last, ended)]
    hs = graph.reshape(hs, (steps * running, H))
    return [graph.add('Gather', [hs, graph.ints(np.flatnonzero(exists))], axis=0), *last]


CONVERTERS = {LSTM: lstm, LSTMSequence: lstm_sequence}

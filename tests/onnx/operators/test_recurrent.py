"""LSTM, GRU and RNN against the formulas of the specification, row by row and step by step."""
import numpy as np
import pytest

import minichain as mc
from minichain.errors import DataError
from tests.onnx.building import load, model, run

T, N, INPUTS, H = 4, 3, 2, 5
GATES = {'LSTM': 4, 'GRU': 3, 'RNN': 1}
FUNCTIONS = {
    'Tanh': lambda x, a, b: np.tanh(x), 'Sigmoid': lambda x, a, b: 1 / (1 + np.exp(-x)),
    'Relu': lambda x, a, b: np.maximum(x, 0), 'Affine': lambda x, a, b: a * x + b,
    'LeakyRelu': lambda x, a, b: np.where(x < 0, a * x, x),
    'ThresholdedRelu': lambda x, a, b: np.where(x > a, x, 0),
    'ScaledTanh': lambda x, a, b: a * np.tanh(b * x),
    'HardSigmoid': lambda x, a, b: np.clip(a * x + b, 0, 1),
    'Elu': lambda x, a, b: np.where(x < 0, a * (np.exp(x) - 1), x),
    'Softsign': lambda x, a, b: x / (1 + abs(x)), 'Softplus': lambda x, a, b: np.log1p(np.exp(x))}
DEFAULTS = {'LSTM': ['Sigmoid', 'Tanh', 'Tanh'], 'GRU': ['Sigmoid', 'Tanh'], 'RNN': ['Tanh']}


def arrays(op_type, directions, seed=0, peepholes=False, dtype=np.float64):
    rng, gates = np.random.default_rng(seed), GATES[op_type]
    shapes = [(T, N, INPUTS), (directions, gates * H, INPUTS), (directions, gates * H, H),
              (directions, 2 * gates * H)]
    shapes += [(directions, N, H)] * (1 + (op_type == 'LSTM'))
    values = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    values.insert(4, None)
    if peepholes:
        values.append(rng.normal(size=(directions, 3 * H)).astype(dtype))
    return values


def function(chosen, limit):
    name, alpha, beta = chosen
    return lambda x: FUNCTIONS[name](np.clip(x, -limit, limit), alpha, beta)


def by_definition(op_type, x, W, R, B=None, lengths=None, h0=None, c0=None, P=None,
                  functions=None, before=False, limit=np.inf, coupled=False, backwards=(False,)):
    """Y, Y_h, Y_c, one sequence and one step after the other."""
    steps, rows, directions = x.shape[0], x.shape[1], len(W)
    zeros = np.zeros((directions, rows, H))
    h0, c0 = zeros if h0 is None else h0, zeros if c0 is None else c0
    B = np.zeros((directions, 2 * GATES[op_type] * H)) if B is None else B
    P = np.zeros((directions, 3 * H)) if P is None else P
    functions = functions or [(name, 0, 0) for name in DEFAULTS[op_type] * directions]
    each = len(functions) // directions
    Y, Y_h, Y_c = np.zeros((steps, directions, rows, H)), h0.copy(), c0.copy()
    for d in range(directions):
        f, *more = [function(chosen, limit if place < 2 else np.inf) for place, chosen in
                    enumerate(functions[d * each:(d + 1) * each])]
        for row in range(rows):
            h, c = h0[d, row], c0[d, row]
            length = steps if lengths is None else lengths[row]
            for t in range(length)[::-1 if backwards[d] else 1]:
                a = np.split(W[d] @ x[t, row] + B[d, :len(B[d]) // 2], GATES[op_type])
                r = np.split(R[d] @ h + B[d, len(B[d]) // 2:], GATES[op_type])
                if op_type == 'RNN':
                    h = f(a[0] + r[0])
                elif op_type == 'GRU':
                    z, reset = f(a[0] + r[0]), f(a[1] + r[1])
                    b_new = B[d, 5 * H:]
                    new = more[0](a[2] + (reset * r[2] if before else
                                          R[d, 2 * H:] @ (reset * h) + b_new))
                    h = (1 - z) * new + z * h
                else:
                    i = f(a[0] + r[0] + P[d, :H] * c)
                    forget = 1 - i if coupled else f(a[2] + r[2] + P[d, 2 * H:] * c)
                    c = forget * c + i * more[0](a[3] + r[3])
                    h = f(a[1] + r[1] + P[d, H:2 * H] * c) * more[1](c)
                Y[t, d, row] = h
            Y_h[d, row], Y_c[d, row] = h, c
    return (Y, Y_h, Y_c) if op_type == 'LSTM' else (Y, Y_h)


def compare(op_type, values, results, **keywords):
    for y, expected in zip(results, by_definition(op_type, *values, **keywords), strict=True):
        np.testing.assert_allclose(y, expected, atol=1e-10)


DIRECTIONS = {'forward': (False,), 'reverse': (True,), 'bidirectional': (False, True)}


@pytest.mark.parametrize('op_type', GATES)
@pytest.mark.parametrize('direction', DIRECTIONS)
@pytest.mark.parametrize('lengths', [None, (4, 4, 4), (2, 4, 1), (3, 0, 2)])
def test_directions_states_and_lengths(op_type, direction, lengths):
    values = arrays(op_type, len(DIRECTIONS[direction]))
    values[4] = None if lengths is None else np.array(lengths, np.int32)
    results = run(op_type, *values, n_outputs=2 + (op_type == 'LSTM'), hidden_size=H,
                  direction=direction)
    compare(op_type, values, results, backwards=DIRECTIONS[direction])


@pytest.mark.parametrize('op_type', GATES)
@pytest.mark.parametrize('opset', [7, 14])
def test_only_the_weights_need_be_there(op_type, opset):
    values = arrays(op_type, 1)[:3]
    results = run(op_type, *values, n_outputs=2 + (op_type == 'LSTM'), hidden_size=H, opset=opset)
    compare(op_type, values, results)


@pytest.mark.parametrize('op_type', GATES)
def test_the_batch_may_come_first(op_type):
    values = arrays(op_type, 2)
    values[4] = np.array([4, 1, 3], np.int32)
    turned = [v.swapaxes(0, 1) if place in (0, 5, 6) else v for place, v in enumerate(values)]
    y, *ends = run(op_type, *turned, n_outputs=2 + (op_type == 'LSTM'), hidden_size=H, layout=1,
                   direction='bidirectional')
    results = y.transpose(1, 2, 0, 3), *(end.swapaxes(0, 1) for end in ends)
    compare(op_type, values, results, backwards=(False, True))


@pytest.mark.parametrize('coupled', [0, 1])
@pytest.mark.parametrize('lengths', [None, (2, 4, 1)])
def test_lstm_with_peepholes_and_coupled_gates(coupled, lengths):
    values = arrays('LSTM', 2, peepholes=True)
    values[4] = None if lengths is None else np.array(lengths, np.int32)
    results = run('LSTM', *values, n_outputs=3, hidden_size=H, direction='bidirectional',
                  input_forget=coupled)
    compare('LSTM', values, results, coupled=coupled, backwards=(False, True))


@pytest.mark.parametrize('before', [0, 1])
def test_gru_resets_before_or_after_the_product(before):
    values = arrays('GRU', 1)
    results = run('GRU', *values, n_outputs=2, hidden_size=H, linear_before_reset=before)
    compare('GRU', values, results, before=before)


@pytest.mark.parametrize('op_type', GATES)
def test_what_goes_into_gates_is_clipped(op_type):
    values = arrays(op_type, 1)
    results = run(op_type, *values, n_outputs=2 + (op_type == 'LSTM'), hidden_size=H, clip=.5)
    compare(op_type, values, results, limit=.5)


@pytest.mark.parametrize('name', FUNCTIONS)
def test_activations_by_name_in_any_case(name):
    values = arrays('RNN', 1)
    values[0] *= .3
    results = run('RNN', *values, n_outputs=2, hidden_size=H, activations=[name.lower()],
                  activation_alpha=[.75], activation_beta=[.5])
    compare('RNN', values, results, functions=[(name, .75, .5)])


def test_alphas_and_betas_go_to_the_activations_that_take_them():
    values = arrays('LSTM', 2)
    results = run('LSTM', *values, n_outputs=3, hidden_size=H, direction='bidirectional',
                  activations=['HardSigmoid', 'Tanh', 'LeakyRelu', 'Sigmoid', 'Affine', 'Elu'],
                  activation_alpha=[.25, .125, .5], activation_beta=[.375, .0625])
    functions = [('HardSigmoid', .25, .375), ('Tanh', 0, 0), ('LeakyRelu', .125, 0),
                 ('Sigmoid', 0, 0), ('Affine', .5, .0625), ('Elu', 1, 0)]
    compare('LSTM', values, results, functions=functions, backwards=(False, True))


@pytest.mark.parametrize('op_type', GATES)
@pytest.mark.parametrize('lengths', [None, (2, 4, 1)])
def test_gradients_flow_to_inputs_weights_biases_and_states(op_type, lengths):
    values = arrays(op_type, 2, peepholes=op_type == 'LSTM')
    if lengths:
        values[4] = np.array(lengths, np.int32)
    count = 2 + (op_type == 'LSTM')
    net = load(op_type, values, count, hidden_size=H, direction='bidirectional')
    rng = np.random.default_rng(5)
    weights = [rng.normal(size=y.shape) for y in by_definition(
        op_type, *values, backwards=(False, True))]

    def loss(values):
        results = net(*(value for value in values if value is not None))
        return sum(mc.functions.sum(y * weight) for y, weight in zip(results, weights))
    variables = [mc.Variable(value) if value is not None and value.dtype.kind == 'f' else value
                 for value in values]
    loss(variables).backward()
    for place, variable in enumerate(variables):
        if not isinstance(variable, mc.Variable):
            continue
        direction = rng.normal(size=variable.shape)
        ends = [loss([value + sign * 1e-6 * direction if i == place else value
                      for i, value in enumerate(values)]).array for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose((variable.grad * direction).sum(), slope, rtol=1e-6,
                                   err_msg=str(place))


@pytest.mark.parametrize('op_type', GATES)
def test_no_steps_and_no_rows(op_type):
    values = arrays(op_type, 1)
    empty = [values[0][:0], *values[1:]]
    y, h, *_ = run(op_type, *empty, n_outputs=2 + (op_type == 'LSTM'), hidden_size=H)
    assert y.shape == (0, 1, N, H)
    np.testing.assert_array_equal(h, values[5])
    y, *_ = run(op_type, values[0][:, :0], *values[1:3], n_outputs=2, hidden_size=H)
    assert y.shape == (T, 1, 0, H)


@pytest.mark.parametrize('change, message', [
    ({2: np.zeros((1, 4 * H, H + 1))}, 'of the shape'), ({3: np.zeros((1, 8))}, 'B of the shape'),
    ({4: np.array([5, 1, 1], np.int32)}, 'sequence_lens from 0 to 4'),
    ({5: np.zeros((1, N, 1))}, 'initial state')])
def test_what_does_not_fit_is_refused(change, message):
    values = arrays('LSTM', 1)
    for place, value in change.items():
        values[place] = value
    with pytest.raises(DataError, match=message):
        run('LSTM', *values, n_outputs=3, hidden_size=H)
    with pytest.raises(DataError, match='activation'):
        run('LSTM', *arrays('LSTM', 1), n_outputs=3, hidden_size=H, activations=['Tanh'])


@pytest.mark.parametrize('op_type', GATES)
@pytest.mark.parametrize('keywords', [
    {}, {'direction': 'bidirectional'}, {'direction': 'reverse', 'clip': .7},
    {'linear_before_reset': 1}, {'lengths': (2, 4, 1), 'direction': 'bidirectional'}])
def test_results_are_those_of_onnxruntime(op_type, keywords):
    runtime = pytest.importorskip('onnxruntime', reason='onnxruntime is the reference here')
    keywords = {**keywords, 'hidden_size': H}
    if op_type != 'GRU':
        keywords.pop('linear_before_reset', None)
    values = arrays(op_type, 2 if keywords.get('direction') == 'bidirectional' else 1,
                    dtype=np.float32)
    lengths = keywords.pop('lengths', None)
    values[4] = None if lengths is None else np.array(lengths, np.int32)
    count = 2 + (op_type == 'LSTM')
    graph = model(op_type, values, count, opset=14, **keywords)
    graph.ir_version = 8
    for output in graph.graph.output:
        output.type.tensor_type.elem_type = 1
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(graph.SerializeToString(), options,
                                       providers=['CPUExecutionProvider'])
    expected = session.run(None, {f'x{place}': value for place, value in enumerate(values)
                                  if value is not None})
    for y, other in zip(run(op_type, *values, n_outputs=count, opset=14, **keywords), expected):
        np.testing.assert_allclose(y, other, atol=2e-5)

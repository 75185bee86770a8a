import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain import Variable
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function

GATES = {'lstm': 8, 'gru': 6, 'rnn': 2}
STATES = {'lstm': 2, 'gru': 1, 'rnn': 1}
NAMES = [(kind, directions) for kind in GATES for directions in (1, 2)]


def operands(kind, layers, directions, batch_sizes, I=2, H=2, seed=0):
    """Return states, weights and inputs of every step, in one flat list."""
    random, gates = np.random.RandomState(seed), GATES[kind]
    shapes = [(layers * directions, batch_sizes[0], H)] * STATES[kind]
    for layer in range(layers):
        for _ in range(directions):
            width = H * directions if layer else I
            shapes += [(H, width)] * (gates // 2) + [(H, H)] * (gates // 2) + [(H,)] * gates
    return [random.uniform(-1, 1, shape) for shape in shapes + [(n, I) for n in batch_sizes]]


def run(kind, layers, directions, *xs, dropout=0., **options):
    gates, states, rest = GATES[kind], xs[:STATES[kind]], list(xs[STATES[kind]:])
    ws, bs = [], []
    for _ in range(layers * directions):
        ws.append([rest.pop(0) for _ in range(gates)])
        bs.append([rest.pop(0) for _ in range(gates)])
    function = getattr(F, f'n_step_{"bi" * (directions - 1)}{kind}')
    *last, ys = function(layers, dropout, *states, ws, bs, rest, **options)
    return (*last, *ys)


@pytest.mark.parametrize('kind, layers, directions, batch_sizes, options', [
    ('lstm', 1, 1, [2, 1], {}), ('gru', 1, 1, [2, 1], {}), ('rnn', 2, 1, [2, 1], {}),
    ('rnn', 1, 2, [2, 2, 1], {}), ('rnn', 1, 1, [2, 1], {'activation': 'relu'})], ids=str)
def test_two_orders_of_gradients(kind, layers, directions, batch_sizes, options):
    check_function(lambda *xs: run(kind, layers, directions, *xs, **options),
                   operands(kind, layers, directions, batch_sizes))


@pytest.mark.parametrize('layers', [1, 2])
@pytest.mark.parametrize('kind, directions', NAMES)
def test_values_and_gradients_agree_with_torch(kind, directions, layers):
    torch = pytest.importorskip('torch', reason='PyTorch is the reference')
    lengths, I, H = [5, 5, 3, 1], 3, 4
    xs = [Variable(x) for x in operands(
        kind, layers, directions, [sum(n > t for n in lengths) for t in range(5)], I, H)]
    net = getattr(torch.nn, kind.upper())(I, H, layers, bidirectional=directions == 2).double()
    count, gates = STATES[kind], GATES[kind]
    steps = [torch.tensor(x.array, requires_grad=True) for x in xs[-5:]]
    sequences = [torch.stack([steps[t][n] for t in range(length)])
                 for n, length in enumerate(lengths)]
    states = [torch.tensor(x.array, requires_grad=True) for x in xs[:count]]
    with torch.no_grad():
        rest = [x.array for x in xs[count:]]
        for theirs in zip(*[iter(net.parameters())] * 4):   # W_x, W_h, b_x, b_h of each stack
            half = gates // 2
            for k, parameter in enumerate(theirs):
                parameter.copy_(torch.tensor(np.concatenate(rest[k * half:(k + 1) * half])))
            rest = rest[2 * gates:]
    theirs, last = net(torch.nn.utils.rnn.pack_sequence(sequences),
                       tuple(states) if count == 2 else states[0])
    last = last if count == 2 else (last,)

    ours = run(kind, layers, directions, *xs)
    for y, expected in zip(ours, (*last, *torch.split(
            theirs.data, [len(step) for step in steps]))):
        np.testing.assert_allclose(y.array, expected.detach().numpy(), rtol=1e-9, atol=1e-12)
    (sum((y * y).sum() for y in last) + (theirs.data ** 2).sum()).backward()
    sum(F.sum(y * y) for y in ours).backward()
    for x, expected in zip(xs[:count] + xs[-5:], states + steps):
        np.testing.assert_allclose(x.grad, expected.grad.numpy(), rtol=1e-7, atol=1e-12)
    rest = [x.grad for x in xs[count:]]
    for parameters in zip(*[iter(net.parameters())] * 4):
        for k, parameter in enumerate(parameters):
            np.testing.assert_allclose(np.concatenate(rest[k * half:(k + 1) * half]),
                                       parameter.grad.numpy(), rtol=1e-7, atol=1e-12)
        rest = rest[2 * gates:]


def test_dropout_acts_between_layers_and_only_while_training():
    xs = operands('lstm', 2, 1, [3, 2], H=50)
    plain = run('lstm', 2, 1, *xs)
    np.random.seed(0)
    dropped = run('lstm', 2, 1, *xs, dropout=.5)
    np.testing.assert_array_equal(dropped[0].array[0], plain[0].array[0])   # first layer
    assert abs(dropped[0].array[1] - plain[0].array[1]).max() > 1e-3
    with minichain.using_config('train', False):
        np.testing.assert_array_equal(run('lstm', 2, 1, *xs, dropout=.5)[0].array, plain[0].array)


def test_dropout_draws_for_each_direction():
    *xs, x = operands('rnn', 2, 2, [1], I=50, H=50)
    xs[0][:] = 0
    xs[5:9], xs[13:] = xs[1:5], xs[9:13]   # both directions do the same to one step
    forwards, backwards = np.split(run('rnn', 2, 2, *xs, x)[-1].array, 2, axis=1)
    np.testing.assert_array_equal(forwards, backwards)
    forwards, backwards = np.split(run('rnn', 2, 2, *xs, x, dropout=.5)[-1].array, 2, axis=1)
    assert abs(forwards - backwards).max() > 1e-3


@pytest.mark.parametrize('kind, directions', NAMES)
def test_steps_that_no_sequence_has_give_no_rows(kind, directions):
    *_, first, second = run(kind, 1, directions, *operands(kind, 1, directions, [2, 0]))
    assert first.shape == (2, 2 * directions) and second.shape == (0, 2 * directions)


@pytest.mark.parametrize('batch_sizes', [[1, 2], [1, 0, 1]])
def test_batches_that_grow_are_refused_with_the_remedy(batch_sizes):
    with pytest.raises(InvalidType, match='transpose_sequence'):
        run('gru', 1, 1, *operands('gru', 1, 1, batch_sizes))


@pytest.mark.parametrize('index, shape, message', [
    (0, (2, 2, 2), r'hx.shape \(1, 2, any\) expected, got \(2, 2, 2\)'),
    (1, (1, 2, 3), r'cx.shape \(1, 2, 2\) expected, got \(1, 2, 3\)'),
    (4, (2, 3), r'ws\[0\]\[2\].shape \(2, 2\) expected, got \(2, 3\)'),
    (17, (3,), r'bs\[0\]\[7\].shape \(2\) expected, got \(3,\)'),
    (18, (2,), r'xs\[0\] with 2 axes expected')])
def test_a_wrong_shape_is_named(index, shape, message):
    xs = operands('lstm', 1, 1, [2, 1])
    xs[index] = np.zeros(shape)
    with pytest.raises(InvalidType, match=message):
        run('lstm', 1, 1, *xs)


def test_other_arguments_that_do_not_fit_are_refused():
    xs = operands('rnn', 2, 1, [2, 1])
    with pytest.raises(InvalidArgument, match="'sigmoid'"):
        run('rnn', 2, 1, *xs, activation='sigmoid')
    with pytest.raises(InvalidArgument, match='ratio'):
        run('rnn', 2, 1, *xs, dropout=1.)
    with pytest.raises(InvalidType, match='at least one step'):
        run('rnn', 2, 1, *xs[:-2])
    with pytest.raises(InvalidType, match=r'2 arrays in each of 2 ws expected .* got \[2\]'):
        F.n_step_rnn(2, 0., xs[0], [xs[1:3]], [xs[3:5]], xs[-2:])

import numpy as np
import pytest

import minichain
from minichain import Variable
from minichain.errors import InvalidType
from minichain.functions import lstm_sequence
from minichain.functions.lstm_sequence import lstm_steps
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
H = 2


def operands(batch_sizes, rows, H=H):
    return [RANDOM.uniform(-1, 1, shape) for shape in
            ((sum(batch_sizes), 4 * H), (4 * H, H), (rows, H), (rows, H))]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(x, W, h0, c0, batch_sizes):
    """Sequence by sequence."""
    h, c, hs = h0.copy(), c0.copy(), np.zeros((len(x), h0.shape[1]))
    for n in range(len(h0)):
        for t, start in enumerate(np.cumsum([0, *batch_sizes[:-1]])):
            if n < batch_sizes[t]:
                i, f, o, a = np.split(x[start + n] + W @ h[n], 4)
                c[n] = sigmoid(f) * c[n] + sigmoid(i) * np.tanh(a)
                h[n] = hs[start + n] = sigmoid(o) * np.tanh(c[n])
    return hs, h, c


BATCHES = [([3, 2, 1], 3), ([2, 2], 2), ([2, 1], 3), ([1], 1)]


@pytest.mark.parametrize('batch_sizes, rows', BATCHES, ids=str)
def test_values_and_gradients_of_all_results(batch_sizes, rows):
    check_function(lambda *xs: lstm_sequence(*xs, batch_sizes), operands(batch_sizes, rows),
                   lambda *xs: reference(*xs, batch_sizes))


@pytest.mark.parametrize('which', range(3))
def test_one_result_alone_has_two_orders_of_gradients(which):
    check_function(lambda *xs: lstm_sequence(*xs, [2, 1])[which], operands([2, 1], 2),
                   lambda *xs: reference(*xs, [2, 1])[which])


@pytest.mark.parametrize('wanted', [range(4), range(2)], ids=['states too', 'x and W'])
@pytest.mark.parametrize('batch_sizes', [[3, 2, 1], [3, 3], [2]], ids=str)
def test_states_of_zeros_make_no_difference_to_gradients(wanted, batch_sizes):
    arrays = operands(batch_sizes, 3)
    arrays[2:] = np.zeros((3, H)), np.zeros((3, H))
    weights = [RANDOM.randn(sum(batch_sizes), H), RANDOM.randn(3, H), RANDOM.randn(3, H)]
    found = []
    for function in (lstm_sequence, lstm_steps):
        xs = [Variable(x, requires_grad=i in wanted) for i, x in enumerate(arrays)]
        ys = function(*xs, batch_sizes)
        sum(minichain.functions.sum(y * w) for y, w in zip(ys, weights)).backward()
        found.append([y.array for y in ys] + [xs[i].grad for i in wanted])
    for ours, expected in zip(*found):
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-13)


def test_the_steps_written_out_give_the_same():
    check_function(lambda *xs: lstm_steps(*xs, [3, 1]), operands([3, 1], 3),
                   lambda *xs: reference(*xs, [3, 1]), double=False)


def test_no_steps_return_the_initial_states():
    x, W, h0, c0 = operands([], 2)
    for sizes in ([], [0, 0]):
        hs, h, c = lstm_sequence(x, W, h0, c0, sizes)
        assert hs.shape == (0, H)
        np.testing.assert_array_equal(h.array, h0)
        np.testing.assert_array_equal(c.array, c0)


def test_operands_are_left_as_they_are_and_backward_runs_twice():
    arrays = operands([3, 2], 3)
    copies = [x.copy() for x in arrays]
    xs = [Variable(x) for x in arrays]
    y = minichain.functions.sum(lstm_sequence(*xs, [3, 2])[0])
    gradients = []
    for _ in range(2):
        for x in xs:
            x.cleargrad()
        y.backward()
        gradients.append([x.grad.copy() for x in xs])
    for first, second in zip(*gradients):
        np.testing.assert_array_equal(first, second)
    for x, copy in zip(arrays, copies):
        np.testing.assert_array_equal(x, copy)


def test_third_order_gradients_agree_with_the_steps_written_out():
    arrays = operands([2, 1], 2)

    def third(function):
        xs = [Variable(x) for x in arrays]
        y = minichain.functions.sum(function(*xs, [2, 1])[0])
        for _ in range(2):
            gradients = minichain.grad([y], xs, enable_double_backprop=True)
            y = sum(minichain.functions.sum(gx * gx * gx) for gx in gradients)
        return [gx.array for gx in minichain.grad([y], xs)]
    for gx, expected in zip(third(lstm_sequence), third(lstm_steps)):
        np.testing.assert_allclose(gx, expected, rtol=1e-9, atol=1e-12)


def test_operands_computed_from_each_other_have_the_same_gradient_when_it_is_recorded():
    x, W, _, c0 = (Variable(x) for x in operands([2, 1], 2))
    y = minichain.functions.sum(lstm_sequence(x, W, x[:2, :2] * 2, c0, [2, 1])[0])
    plain, = minichain.grad([y], [x])
    recorded, = minichain.grad([y], [x], enable_double_backprop=True)
    np.testing.assert_allclose(recorded.array, plain.array, rtol=1e-12)


def test_packed_sequences_agree_with_torch():
    torch = pytest.importorskip('torch', reason='PyTorch is the reference')
    lengths, I, H = [7, 7, 4, 2, 1], 3, 6
    batch_sizes = [sum(n > t for n in lengths) for t in range(7)]
    net = torch.nn.LSTM(I, H).double()   # gates i, f, a, o in blocks
    order = np.r_[:2 * H, 3 * H:4 * H, 2 * H:3 * H]   # theirs, in our order
    sequences = [torch.tensor(RANDOM.randn(n, I), requires_grad=True) for n in lengths]
    packed = torch.nn.utils.rnn.pack_sequence(sequences)
    states = [torch.tensor(RANDOM.randn(1, 5, H), requires_grad=True) for _ in range(2)]
    ys, (h, c) = net(packed, tuple(states))
    weights = RANDOM.randn(*ys.data.shape)
    ((ys.data * torch.tensor(weights)).sum() + (h * h).sum() + (c * c).sum()).backward()

    def ours(tensor):
        return tensor.detach().numpy()
    W_x, W_h, b_x, b_h = (Variable(ours(w)[order]) for w in net.parameters())
    x = minichain.functions.linear(ours(packed.data), W_x, b_x + b_h)
    h0, c0 = (Variable(ours(state)[0]) for state in states)
    hs, h_last, c_last = lstm_sequence(x, W_h, h0, c0, batch_sizes)
    np.testing.assert_allclose(hs.array, ours(ys.data), rtol=1e-10)
    np.testing.assert_allclose(c_last.array, ours(c)[0], rtol=1e-10)
    total = minichain.functions.sum
    (total(hs * weights) + total(h_last * h_last) + total(c_last * c_last)).backward()
    for variable, theirs in zip((W_x, W_h, b_x, b_h), net.parameters()):
        np.testing.assert_allclose(variable.grad, theirs.grad.numpy()[order], rtol=1e-8,
                                   atol=1e-12)
    for variable, theirs in zip((h0, c0), states):
        np.testing.assert_allclose(variable.grad, theirs.grad.numpy()[0], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize('batch_sizes, rows, message', [
    ([1, 2], 3, r'never grow, at most 3 .* got \[1, 2\]'), ([3], 2, 'at most 2'),
    ([2, 2], 2, r'x.shape \(4, 8\) expected, got \(3, 8\)')])
def test_batch_sizes_that_do_not_fit_are_refused(batch_sizes, rows, message):
    x, W, h0, c0 = operands([2, 1], rows)
    with pytest.raises(InvalidType, match=message):
        lstm_sequence(x, W, h0, c0, batch_sizes)

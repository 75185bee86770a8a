import numpy as np
import pytest

import minichain
from minichain import Variable
from minichain.errors import InvalidType
from minichain.functions import lstm
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
C, X = RANDOM.randn(3, 2), RANDOM.randn(3, 8)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(c_prev, x):
    """One unit after the other: its inputs a, i, f, o lie next to each other."""
    c, h = c_prev.copy(), np.zeros((len(x), *c_prev.shape[1:]))
    for n in np.ndindex(h.shape):
        a, i, f, o = (x[(n[0], 4 * n[1] + k, *n[2:])] for k in range(4))
        c[n] = np.tanh(a) * sigmoid(i) + c_prev[n] * sigmoid(f)
        h[n] = sigmoid(o) * np.tanh(c[n])
    return c, h


@pytest.mark.parametrize('rows', [3, 2, 0])
def test_rows_of_ended_sequences_are_passed_through(rows):
    check_function(lstm, [C, X[:rows]], step)


@pytest.mark.parametrize('which', [0, 1])
def test_one_result_alone_has_two_orders_of_gradients(which):
    check_function(lambda c, x: lstm(c, x)[which], [C, X[:2]], lambda c, x: step(c, x)[which])


def test_positions_of_images():
    check_function(lstm, [RANDOM.randn(2, 2, 2, 1), RANDOM.randn(2, 8, 2, 1)], step)


def test_steps_in_a_row():
    def steps(c, *xs):
        hs = []
        for x in xs:
            c, h = lstm(c, x)
            hs.append(h)
        return (c, *hs)

    def reference(c, *xs):
        hs = []
        for x in xs:
            c, h = step(c, x)
            hs.append(h)
        return (c, *hs)
    check_function(steps, [C, X, RANDOM.randn(2, 8), RANDOM.randn(1, 8)], reference)


def test_values_and_gradients_agree_with_torch():
    torch = pytest.importorskip('torch', reason='PyTorch is the reference')
    x = RANDOM.randn(5, 3, 4)
    cell = torch.nn.LSTMCell(1, 3, bias=False).double()   # gates i, f, a, o in blocks
    with torch.no_grad():
        cell.weight_hh.zero_()
        cell.weight_ih.zero_()
    c, gates = RANDOM.randn(5, 3), x[:, :, [1, 2, 0, 3]].transpose(0, 2, 1).reshape(5, 12)
    theirs = [torch.tensor(each, requires_grad=True) for each in (c, gates)]
    i, f, a, o = theirs[1].chunk(4, dim=1)
    expected_c = theirs[0] * f.sigmoid() + i.sigmoid() * a.tanh()
    expected_h = o.sigmoid() * expected_c.tanh()
    (expected_c + 2 * expected_h).sum().backward()
    ours = Variable(c), Variable(x.reshape(5, 12))
    c, h = lstm(*ours)
    minichain.functions.sum(c + h * 2).backward()
    np.testing.assert_allclose(h.array, expected_h.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(ours[0].grad, theirs[0].grad.numpy(), rtol=1e-10)
    np.testing.assert_allclose(
        ours[1].grad.reshape(5, 3, 4)[:, :, [1, 2, 0, 3]].transpose(0, 2, 1).reshape(5, 12),
        theirs[1].grad.numpy(), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize('value', [1e4, -1e4])
def test_gates_of_any_size_do_not_overflow(value):
    c, h = lstm(np.ones((1, 1), 'float32'), np.full((1, 4), value, 'float32'))
    expected = (2., np.tanh(2)) if value > 0 else (0., 0.)
    np.testing.assert_allclose([c.array.item(), h.array.item()], expected, rtol=1e-6)


@pytest.mark.parametrize('c, x, message', [
    (C, X[:, :6], r'got 6 and 4 \* 2'), (C[:2], X, 'rows of x'),
    (C, X.astype('float32'), 'c_prev float64, x float32'), (C[0], X, 'axes')])
def test_what_does_not_fit_is_refused(c, x, message):
    with pytest.raises(InvalidType, match=message):
        lstm(c, x)

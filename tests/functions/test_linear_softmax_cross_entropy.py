import tracemalloc

import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain import Variable
from minichain.errors import DeviceError, InvalidType
from minichain.functions import linear_softmax_cross_entropy
from minichain.functions import linear_softmax_cross_entropy as function
from tests import strict_cupy
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X, W, B = (RANDOM.uniform(-1, 1, shape) for shape in ((5, 3), (4, 3), (4,)))
T = np.array([1, -1, 3, 0, 0], 'int32')


def reference(x, W, b, t):
    """From the definition, row by row."""
    losses = []
    for row, label in zip(x, t):
        scores = [sum(row * w) + (0 if b is None else b[k]) for k, w in enumerate(W)]
        if label >= 0:
            losses.append(np.log(sum(np.exp(scores))) - scores[label])
    return sum(losses) / len(losses)


def test_values_and_gradients():
    check_function(lambda x, W, b: linear_softmax_cross_entropy(x, W, b, x.xp.asarray(T)),
                   [X, W, B], lambda x, W, b: reference(x, W, b, T))


def test_without_bias():
    check_function(lambda x, W: linear_softmax_cross_entropy(x, W, None, x.xp.asarray(T)), [X, W],
                   lambda x, W: reference(x, W, None, T))


@pytest.mark.parametrize('shape', [(300, 20, 1000), (1, 7, 3), (700, 3, 5)])
@pytest.mark.parametrize('scale', [1, 300])
def test_blocks_of_rows_agree_with_the_two_functions_it_replaces(shape, scale):
    n, width, classes = shape
    arrays = [(scale * RANDOM.randn(*s)).astype('float32')
              for s in ((n, width), (classes, width), (classes,))]
    t, results = RANDOM.randint(-1, classes, n), []
    t[0] = 0
    for fused in (True, False):
        xs = [Variable(array) for array in arrays]
        loss = linear_softmax_cross_entropy(*xs, t) if fused else F.softmax_cross_entropy(
            F.linear(*xs), t)
        (loss * 3).backward()
        results.append([loss.array, *(x.grad for x in xs)])
        with minichain.no_backprop_mode():
            alone = linear_softmax_cross_entropy(*xs, t)
        np.testing.assert_allclose(alone.array, loss.array, rtol=1e-5)
    for ours, expected in zip(*results):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


def test_it_agrees_with_torch():
    torch = pytest.importorskip('torch', reason='PyTorch is the reference')
    arrays = [RANDOM.randn(*s).astype('float32') for s in ((90, 30), (400, 30), (400,))]
    t = RANDOM.randint(-1, 400, 90)
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    expected = torch.nn.functional.cross_entropy(torch.nn.functional.linear(*theirs),
                                                 torch.tensor(t), ignore_index=-1)
    expected.backward()
    ours = [Variable(array) for array in arrays]
    loss = linear_softmax_cross_entropy(*ours, t)
    loss.backward()
    np.testing.assert_allclose(loss.array, expected.item(), rtol=1e-5)
    for x, y in zip(ours, theirs):
        np.testing.assert_allclose(x.grad, y.grad.numpy(), rtol=1e-3, atol=1e-6)


def test_backward_twice_gives_the_same_gradients_and_operands_stay():
    xs = [Variable(x.copy()) for x in (X, W, B)]
    loss, gradients = linear_softmax_cross_entropy(*xs, T), []
    for _ in range(2):
        for x in xs:
            x.cleargrad()
        loss.backward()
        gradients.append([x.grad for x in xs])
    for first, second in zip(*gradients):
        np.testing.assert_array_equal(first, second)
    for x, before in zip(xs, (X, W, B)):
        np.testing.assert_array_equal(x.array, before)


def test_only_the_gradients_that_are_wanted_are_computed():
    W_ = Variable(W)
    loss = linear_softmax_cross_entropy(X, W_, B, T)
    loss.backward()
    all_of_them = [Variable(x) for x in (X, W, B)]
    linear_softmax_cross_entropy(*all_of_them, T).backward()
    np.testing.assert_array_equal(W_.grad, all_of_them[1].grad)


def test_it_holds_one_array_of_the_scores_size_and_a_part_of_it_without_backward():
    xs = [Variable(np.zeros(s, 'float32')) for s in ((3000, 4), (1000, 4), (1000,))]
    t, size = np.zeros(3000, 'int32'), 3000 * 1000 * 4
    tracemalloc.start()
    loss = linear_softmax_cross_entropy(*xs, t)
    loss.backward()
    peak = tracemalloc.get_traced_memory()[1]
    del loss
    tracemalloc.reset_peak()
    with minichain.no_backprop_mode():
        linear_softmax_cross_entropy(*xs, t)
    alone = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * size
    assert alone < .3 * size


@pytest.mark.parametrize('backprop', [True, False])
def test_no_rows_and_rows_that_are_all_ignored_give_zero(backprop):
    for n in (0, 2):
        xs = [Variable(x) for x in (X[:n], W, B)]
        with minichain.using_config('enable_backprop', backprop):
            loss = linear_softmax_cross_entropy(*xs, np.full(n, -1))
        assert loss.array == 0
        if backprop:
            loss.backward()
            assert all(not x.grad.any() for x in xs)


@pytest.mark.parametrize('change, message', [
    ({'x': X[:, :2]}, r'x.shape \(any, 3\) expected'), ({'b': B[:3]}, r'b.shape \(4\) expected'),
    ({'t': T[:2]}, r't.shape \(5\) expected'), ({'t': T + 2}, 'got 5 in row 2 of 5'),
    ({'t': T - 1}, 'got -2 in row 1 of 5'), ({'t': T / 1}, 'integer dtype'),
    ({'W': W.astype('float32')}, 'one dtype'), ({'W': W[:0], 'b': B[:0]}, 'V > 0')])
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(InvalidType, match=message):
        function(**{'x': X, 'W': W, 'b': B, 't': T, **change})


def test_labels_on_another_device_are_refused():
    with strict_cupy.installed() as cupy, pytest.raises(DeviceError, match='on one device'):
        function(X, W, B, cupy.asarray(T))

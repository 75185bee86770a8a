import tracemalloc

import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain import Variable
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import softmax_cross_entropy
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X = RANDOM.uniform(-2, 2, (5, 4))
T = np.array([1, -1, 3, 0, 0], 'int32')
WEIGHT = np.array([.5, 2., 1., 3.])


def losses(x, t, weight=None):
    """Negative log likelihoods one by one, the classes on the last axis; 0 where t is -1."""
    y = np.zeros(t.shape)
    for i in np.ndindex(t.shape):
        if t[i] >= 0:
            y[i] = np.log(sum(np.exp(x[i] - x[i][t[i]]))) * (1 if weight is None else weight[t[i]])
    return y


@pytest.mark.parametrize('cache', [True, False])
@pytest.mark.parametrize('options, reference', [
    ({}, lambda x, t: losses(x, t).sum() / 4),
    ({'normalize': False}, lambda x, t: losses(x, t).sum() / 5),
    ({'class_weight': WEIGHT}, lambda x, t: losses(x, t, WEIGHT).sum() / 4),
    ({'reduce': 'no'}, losses),
    ({'reduce': 'no', 'class_weight': WEIGHT}, lambda x, t: losses(x, t, WEIGHT)),
    ({'ignore_label': 0, 'reduce': 'no'}, lambda x, t: losses(x, np.where(t == 0, -1, t)))],
    ids=str)
def test_labels(options, reference, cache):
    t = np.where(T < 0, 2, T) if 'ignore_label' in options else T
    check_function(lambda x, t: softmax_cross_entropy(x, t, cache_score=cache, **options), [X, t],
                   reference)


@pytest.mark.parametrize('reduce', ['mean', 'no'])
def test_scores_of_images_have_their_classes_on_axis_1(reduce):
    x, t = RANDOM.randn(2, 3, 2, 2), RANDOM.randint(-1, 3, (2, 2, 2))
    assert (t == -1).any()

    def reference(x, t):
        y = losses(x.transpose(0, 2, 3, 1), t)
        return y if reduce == 'no' else y.sum() / (t >= 0).sum()
    check_function(lambda x, t: softmax_cross_entropy(x, t, reduce=reduce), [x, t], reference)


@pytest.mark.parametrize('loss', ['cross-entropy', 'kl-divergence'])
@pytest.mark.parametrize('reduce', ['mean', 'no'])
def test_soft_targets(loss, reduce):
    target = RANDOM.uniform(.1, 1, (3, 4))

    def reference(x):
        p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        y = -(target * np.log(p)).sum(axis=1)
        if loss == 'kl-divergence':
            y += (target * np.log(target)).sum(axis=1)
        return y if reduce == 'no' else y.mean()
    check_function(lambda x: softmax_cross_entropy(x, x.xp.asarray(target, x.dtype), reduce=reduce,
                                                   soft_target_loss=loss), [X[:3]], reference)


@pytest.mark.parametrize('rows, classes', [(300, 1000), (70_000, 4), (5000, 63), (4200, 64)])
def test_blocks_of_rows_agree_with_the_formula(rows, classes):
    x = RANDOM.randn(rows, classes).astype('float32')
    t, ours = RANDOM.randint(-1, classes, rows), Variable(x)
    loss = softmax_cross_entropy(ours, t)
    loss.backward()
    kept, numbers = t >= 0, np.arange(rows)
    p = np.exp(x.astype('float64'))
    p /= p.sum(axis=1, keepdims=True)
    expected = -np.log(p[numbers, t][kept]).mean()
    p[numbers[kept], t[kept]] -= 1
    np.testing.assert_allclose(loss.array, expected, rtol=1e-6)
    np.testing.assert_allclose(ours.grad, p * kept[:, None] / kept.sum(), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize('cache', [True, False])
def test_forward_and_backward_make_one_copy_of_the_scores(cache):
    x, t = Variable(np.zeros((2000, 1000), 'float32')), np.zeros(2000, 'int32')
    tracemalloc.start()
    loss = softmax_cross_entropy(x, t, cache_score=cache)
    after_forward = tracemalloc.get_traced_memory()[0]
    loss.backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert after_forward < (1.1 if cache else .1) * x.array.nbytes
    assert peak < 1.3 * x.array.nbytes


def test_a_mean_over_many_rows_does_not_overflow_float16():
    x = Variable(np.tile(np.array([[0, 20]], 'float16'), (10000, 1)))
    loss = softmax_cross_entropy(x, np.zeros(10000, 'int32'))
    assert loss.dtype == np.float16 and loss.array == 20


def test_third_order_gradients_agree_with_differences():
    def second(x):
        x = Variable(x)
        loss = softmax_cross_entropy(x, T)
        gx, = minichain.grad([loss], [x], enable_double_backprop=True)
        gx, = minichain.grad([F.sum(gx * gx * WEIGHT)], [x], enable_double_backprop=True)
        return x, F.sum(gx * gx)
    x, y = second(X)
    gx, = minichain.grad([y], [x])
    for i in [(0, 1), (2, 0), (4, 3)]:
        step = np.zeros_like(X)
        step[i] = 1e-5
        expected = (second(X + step)[1].array - second(X - step)[1].array) / 2e-5
        np.testing.assert_allclose(gx.array[i], expected, rtol=1e-4, atol=1e-8)


def test_backward_twice_gives_the_same_gradient():
    x = Variable(X)
    loss = softmax_cross_entropy(x, T)
    gradients = []
    for _ in range(2):
        x.cleargrad()
        loss.backward()
        gradients.append(x.grad)
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-12)
    np.testing.assert_array_equal(x.array, X)


def test_scores_of_any_size_and_labels_all_ignored():
    x = Variable(np.array([[1000., 0., -1000.], [-1000., 1000., 0.]]))
    loss = softmax_cross_entropy(x, np.zeros(2, 'int32'))
    loss.backward()
    assert loss.array == 1000
    np.testing.assert_array_equal(x.grad, [[0, 0, 0], [-.5, .5, 0]])
    x.cleargrad()
    loss = softmax_cross_entropy(x, -np.ones(2, 'int32'))
    loss.backward()
    assert loss.array == 0 and not x.grad.any()


def test_no_rows_give_zero():
    loss = softmax_cross_entropy(Variable(np.zeros((0, 3), 'float32')), np.zeros(0, 'int32'))
    loss.backward()
    assert loss.array == 0


@pytest.mark.parametrize('label', [4, -2])
def test_a_label_out_of_range_is_named_with_its_row(label):
    with pytest.raises(InvalidType, match=f'got {label} in row 1 of 2'):
        softmax_cross_entropy(X[:2], np.array([0, label]))


@pytest.mark.parametrize('t, options, error, message', [
    (T[:2], {}, InvalidType, r't.shape \(5\) expected, got \(2,\)'),
    (T > 0, {}, InvalidType, 'integer dtype'),
    (T, {'reduce': 'sum'}, InvalidArgument, "'sum'"),
    (T, {'class_weight': WEIGHT[:2]}, InvalidType, 'class_weight'),
    (X, {'soft_target_loss': 'other'}, InvalidArgument, "'other'")])
def test_what_does_not_fit_is_refused(t, options, error, message):
    with pytest.raises(error, match=message):
        softmax_cross_entropy(X, t, **options)


def test_lists_are_refused_by_what_they_are():
    with pytest.raises(InvalidType, match='softmax_cross_entropy: .*array expected, got list'):
        F.softmax_cross_entropy([[1., 2.]], [0])


def test_a_label_out_of_range_is_an_index_error():
    with pytest.raises(IndexError, match='labels from 0 to 2'):
        F.softmax_cross_entropy(np.zeros((2, 3), 'f'), np.array([0, 3]))

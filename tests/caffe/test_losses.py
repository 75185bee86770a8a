"""Caffe's losses against loops over samples, and their gradients."""

import numpy as np
import pytest

from minichain import Variable
from minichain.caffe import load, save
from minichain.errors import DataError, MinichainError

RANDOM = np.random.default_rng(11)
X = RANDOM.standard_normal((3, 4)).astype(np.float32)
Y = RANDOM.standard_normal((3, 4)).astype(np.float32)
T = np.array([[2], [0], [3]], np.float32)


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@pytest.mark.parametrize('norm, power', [('L1', 1), ('L2', 2)])
def test_hinge_loss_is_one_class_against_the_rest(run, norm, power):
    total = 0
    for scores, label in zip(X, T[:, 0].astype(int)):
        for k, score in enumerate(scores):
            total += max(0, 1 - (score if k == label else -score)) ** power
    y = run('HingeLoss', [X, T], hinge_loss_param={'norm': norm})
    np.testing.assert_allclose(y, total / 3, rtol=1e-5)


@pytest.mark.parametrize('legacy', [False, True])
def test_contrastive_loss_pulls_pairs_together_and_apart(run, legacy):
    alike, total = np.array([1, 0, 0], np.float32), 0
    near = X + 0.1 * Y
    for a, b, same in zip(X, near, alike):
        squared = ((a - b) ** 2).sum()
        gap = max(0.5 - squared, 0) if legacy else max(0.5 - squared ** 0.5, 0) ** 2
        total += squared if same else gap
    y = run('ContrastiveLoss', [X, near, alike],
            contrastive_loss_param={'margin': 0.5, 'legacy_version': legacy})
    np.testing.assert_allclose(y, total / 6, rtol=1e-4)


def test_infogain_loss_weighs_log_probabilities_by_rows_of_its_matrix(run):
    matrix = RANDOM.random((4, 4)).astype(np.float32)
    logarithms = np.log(softmax(X, 1))
    losses = [-(matrix[int(label)] * row).sum() for row, label in zip(logarithms, T[:, 0])]
    y = run('InfogainLoss', [X, T, matrix.reshape(1, 1, 4, 4)])
    np.testing.assert_allclose(y, np.mean(losses), rtol=1e-5)
    y = run('InfogainLoss', [X, T, matrix], loss_param={'ignore_label': 0})
    np.testing.assert_allclose(y, (losses[0] + losses[2]) / 2, rtol=1e-5)
    with pytest.raises(DataError, match='matrix as third bottom'):
        run('InfogainLoss', [X, T], infogain_loss_param={'source': 'infogain.binaryproto'})


def test_multinomial_logistic_loss_takes_probabilities(run):
    p = softmax(X, 1)
    y = run('MultinomialLogisticLoss', [p, T])
    np.testing.assert_allclose(y, -np.log([p[0, 2], p[1, 0], p[2, 3]]).mean(), rtol=1e-5)
    sure = np.array([[0, 1]], np.float32)
    y = run('MultinomialLogisticLoss', [sure, np.zeros(1, np.float32)])
    np.testing.assert_allclose(y, 20 * np.log(10), rtol=1e-5)       # not infinite


def test_softmax_with_loss_works_along_any_axis_and_gives_its_probabilities(run):
    x = RANDOM.standard_normal((2, 3, 4)).astype(np.float32)
    t = RANDOM.integers(0, 4, (2, 3)).astype(np.float32)
    loss, prob = run('SoftmaxWithLoss', [x, t], tops=2, softmax_param={'axis': -1})
    p = softmax(x, 2)
    np.testing.assert_allclose(prob, p, rtol=1e-5)
    true = np.take_along_axis(p, t[..., None].astype(int), 2)
    np.testing.assert_allclose(loss, -np.log(true).mean(), rtol=1e-5)
    loss = run('SoftmaxWithLoss', [x, t], softmax_param={'axis': 2},
               loss_param={'normalization': 'BATCH_SIZE'})
    np.testing.assert_allclose(loss, -np.log(true).sum() / 6, rtol=1e-5)


def test_sigmoid_cross_entropy_leaves_ignored_targets_out(run):
    t = (Y > 0).astype(np.float32)
    t[1] = 255
    losses = np.log(1 + np.exp(X)) - X * t
    kept = losses[[0, 2]].sum()
    for parameters, divisor in (({'ignore_label': 255}, 3),
                                ({'ignore_label': 255, 'normalization': 'VALID'}, 8),
                                ({'ignore_label': 255, 'normalization': 'FULL'}, 12)):
        y = run('SigmoidCrossEntropyLoss', [X, t], loss_param=parameters)
        np.testing.assert_allclose(y, kept / divisor, rtol=1e-5)


def test_accuracy_knows_each_class(run):
    x = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    t = np.array([0, 1, 1, 0], np.float32)
    total, classes = run('Accuracy', [x, t], tops=2)
    assert total == 0.75 and classes.tolist() == [1, 0.5, 0]


@pytest.mark.parametrize('kind, others, parameters', [
    ('HingeLoss', [T], {'hinge_loss_param': {'norm': 'L2'}}),
    ('ContrastiveLoss', [Y, np.array([1, 0, 0])], {'contrastive_loss_param': {'margin': 5.0}}),
    ('ContrastiveLoss', [Y, np.array([1, 0, 0])],
     {'contrastive_loss_param': {'margin': 9.0, 'legacy_version': True}}),
    ('InfogainLoss', [T, np.arange(16).reshape(4, 4)], {}),
    ('SoftmaxWithLoss', [T], {}), ('EuclideanLoss', [Y], {}),
    ('SigmoidCrossEntropyLoss', [Y > 0], {'loss_param': {'ignore_label': 255}}),
])
def test_losses_have_the_gradients_that_differences_show(tmp_path, kind, others, parameters):
    names = [f'x{index}' for index in range(1 + len(others))]
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    save(*paths, [{'name': 'loss', 'type': kind, 'bottom': names, 'top': ['loss'], **parameters}],
         X.shape, input_name='x0')
    net, x = load(*paths), Variable(X.astype(np.float64))
    inputs = dict(zip(names[1:], [np.asarray(other, np.float64) for other in others]))
    net({'x0': x, **inputs}, ['loss'])[0].backward()
    direction = RANDOM.standard_normal(X.shape)
    values = [float(net({'x0': X + step * direction, **inputs}, ['loss'])[0].array)
              for step in (1e-6, -1e-6)]
    assert (values[0] - values[1]) / 2e-6 == pytest.approx((x.grad * direction).sum(), rel=1e-5)


@pytest.mark.parametrize('kind', ['HingeLoss', 'SoftmaxWithLoss', 'MultinomialLogisticLoss',
                                  'InfogainLoss'])
@pytest.mark.parametrize('t', [np.full((3, 1), np.nan), np.full((3, 1), 1e30), np.zeros((2, 1)),
                               np.full((3, 1), 4.0)])
def test_labels_that_are_none_are_refused(run, kind, t):
    with pytest.raises(MinichainError, match='label'):
        run(kind, [X, t.astype(np.float32), *[np.ones((4, 4), np.float32)]
                   * (kind == 'InfogainLoss')])

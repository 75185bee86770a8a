"""Losses of ONNX beyond the cases of the onnx package."""
import numpy as np
import pytest

from minichain.errors import DataError
from tests.onnx.building import check_gradients, load, run


def loss_of(x, t, weight, ignored, reduction):
    """The definition, one element after the other."""
    losses, weights = np.zeros(t.shape), np.zeros(t.shape)
    for place, label in np.ndenumerate(t):
        if label != ignored:
            weights[place] = 1 if weight is None else weight[label]
            losses[place] = -weights[place] * x[(place[0], label, *place[1:])]
    if reduction == 'none':
        return losses
    return losses.sum() / (weights.sum() if reduction == 'mean' else 1)


@pytest.mark.parametrize('shape', [(9, 3), (2, 3, 5), (2, 3, 2, 4)])
@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('ignored', [None, 1, -1, 100])
@pytest.mark.parametrize('reduction', ['none', 'sum', 'mean'])
def test_losses_follow_their_definition(shape, weighted, ignored, reduction):
    random = np.random.RandomState(0)
    x, t = random.uniform(-3, 3, shape), random.randint(0, 3, shape[:1] + shape[2:])
    weight = random.uniform(.5, 2, 3) if weighted else None
    attributes = {'reduction': reduction}
    if ignored is not None:
        t.ravel()[::3] = ignored
        attributes['ignore_index'] = ignored
    expected = loss_of(x, t, weight, ignored, reduction)
    y = run('NegativeLogLikelihoodLoss', x, t, weight, opset=13, **attributes)
    assert y.dtype == np.float64 and y.shape == expected.shape
    np.testing.assert_allclose(y, expected, 1e-12)
    log_probability = x - np.log(np.exp(x).sum(1, keepdims=True))
    y, second = run('SoftmaxCrossEntropyLoss', x, t, weight, n_outputs=2, opset=13, **attributes)
    np.testing.assert_allclose(y, loss_of(log_probability, t, weight, ignored, reduction), 1e-12)
    np.testing.assert_allclose(second, log_probability, 1e-12)
    given = [x, t] if weight is None else [x, t, weight]
    constant = [2] if weighted else []
    net = load('SoftmaxCrossEntropyLoss', given, opset=13, initializers=constant, **attributes)
    for parameter in net.params():
        parameter.requires_grad = False
    y, = net(x, t)
    np.testing.assert_allclose(y.array, loss_of(log_probability, t, weight, ignored, reduction))


def test_gradients_flow_to_the_scores():
    random = np.random.RandomState(0)
    x, t = random.uniform(-3, 3, (2, 3, 2)), np.array([[0, 2], [1, 1]])
    check_gradients(load('SoftmaxCrossEntropyLoss', [x, t], opset=13, ignore_index=2), x, t)


@pytest.mark.parametrize('label', [3, -1])
def test_classes_that_do_not_exist_are_refused(label):
    with pytest.raises(DataError, match='classes from 0 to 2'):
        run('NegativeLogLikelihoodLoss', np.zeros((1, 3)), np.array([label]), opset=13)
    with pytest.raises(DataError, match='weights'):
        run('NegativeLogLikelihoodLoss', np.zeros((1, 3)), np.array([0]), np.ones(2), opset=13)

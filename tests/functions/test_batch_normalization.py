import numpy as np
import pytest

import minichain
from minichain import Variable
from minichain.errors import InvalidType
from minichain.functions import batch_normalization, fixed_batch_normalization
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X = RANDOM.uniform(-2, 2, (4, 3))
GAMMA, BETA, MEAN, VAR = (RANDOM.uniform(.5, 1.5, 3) for _ in range(4))
IMAGES = RANDOM.uniform(-2, 2, (2, 3, 2, 2))


def reference(x, gamma, beta, axes=(0,), eps=2e-5, mean=None, var=None):
    shape = [1 if i in axes else n for i, n in enumerate(x.shape)]
    mean = x.mean(axis=axes) if mean is None else mean
    var = x.var(axis=axes) if var is None else var
    gamma, beta, mean, var = (each.reshape(shape) for each in (gamma, beta, mean, var))
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


@pytest.mark.parametrize('x, shape, axis, axes', [
    (X, (3,), None, (0,)), (IMAGES, (3,), None, (0, 2, 3)), (IMAGES, (3, 2), None, (0, 3)),
    (IMAGES, (2,), (0, 1, 2), (0, 1, 2)), (IMAGES[:, :, 0], (3, 2), 0, (0,))],
    ids=['rows', 'images', 'more_axes', 'channels_last', 'axis_0'])
def test_values_and_gradients(x, shape, axis, axes):
    gamma, beta = RANDOM.uniform(.5, 1.5, (2, *shape))
    check_function(lambda *xs: batch_normalization(*xs, axis=axis), [x, gamma, beta],
                   lambda *xs: reference(*xs, axes))


def test_fixed_statistics_and_their_gradients():
    check_function(fixed_batch_normalization, [X, GAMMA, BETA, MEAN, VAR],
                   lambda x, gamma, beta, mean, var: reference(x, gamma, beta, mean=mean, var=var))
    check_function(lambda *xs: fixed_batch_normalization(*xs, eps=.1),
                   [IMAGES, GAMMA, BETA, MEAN, VAR], lambda x, gamma, beta, mean, var: reference(
                       x, gamma, beta, (0, 2, 3), .1, mean, var), double=False)


def test_third_order_gradients_agree_with_differences():
    def cubed(x):
        x = Variable(x)
        y = minichain.functions.sum(batch_normalization(x, GAMMA, BETA) ** 3)
        for _ in range(2):
            gx, = minichain.grad([y], [x], enable_double_backprop=True)
            y = minichain.functions.sum(gx * gx)
        return x, y
    x, y = cubed(X)
    gx, = minichain.grad([y], [x])
    step = np.zeros_like(X)
    step[1, 2] = 1e-6
    expected = (cubed(X + step)[1].array - cubed(X - step)[1].array) / 2e-6
    np.testing.assert_allclose(gx.array[1, 2], expected, rtol=1e-4)


def test_the_running_averages_move_towards_unbiased_statistics():
    mean, var = MEAN.copy(), VAR.astype('float32')
    batch_normalization(IMAGES, GAMMA, BETA, running_mean=mean, running_var=var, decay=.8)
    values = IMAGES.transpose(1, 0, 2, 3).reshape(3, -1)
    np.testing.assert_allclose(mean, .8 * MEAN + .2 * values.mean(axis=1))
    np.testing.assert_allclose(var, .8 * VAR + .2 * values.var(axis=1, ddof=1), rtol=1e-6)


def test_half_precision_beside_single_and_a_large_mean():
    x = (X + 200).astype('float16')
    y = batch_normalization(x, GAMMA.astype('float32'), BETA.astype('float32'))
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.array, reference(x.astype(float), GAMMA, BETA), atol=2e-3)


def test_a_batch_of_one_is_the_shift_and_an_empty_one_empty():
    mean = MEAN.copy()
    np.testing.assert_array_equal(batch_normalization(X[:1], GAMMA, BETA).array, [BETA])
    assert batch_normalization(X[:0], GAMMA, BETA, running_mean=mean).shape == (0, 3)
    np.testing.assert_array_equal(mean, MEAN)


@pytest.mark.parametrize('operands, options, message', [
    ((X, GAMMA[:2], BETA), {}, r'gamma.shape \(3\) expected, got \(2,\)'),
    ((X, GAMMA, BETA[:1]), {}, r'beta.shape \(3\) expected, got \(1,\)'),
    ((X[0], GAMMA, BETA), {}, 'more axes of x than of gamma'),
    ((X, GAMMA, BETA), {'axis': 1}, r'gamma.shape \(4\) expected'),
    ((X, GAMMA, BETA), {'running_var': VAR[:2]}, r'running_var.shape \(3\) expected')])
def test_what_does_not_fit_is_refused(operands, options, message):
    with pytest.raises(InvalidType, match=message):
        batch_normalization(*operands, **options)


@pytest.mark.parametrize('dtype, tolerance', [
    ('float16', 2e-3), ('float32', 2e-6), ('float64', 0)])
def test_for_inference_fixed_statistics_give_the_same_in_one_pass(dtype, tolerance):
    x, others = IMAGES.astype(dtype), [each.astype(dtype) for each in (GAMMA, BETA, MEAN, VAR)]
    recorded = fixed_batch_normalization(Variable(x), *others)
    steps = []

    class Seen(minichain.FunctionHook):
        name = 'seen'

        def forward_preprocess(self, function, arrays):
            steps.append(function.label)
    with minichain.no_backprop_mode():
        y = fixed_batch_normalization(x, *others)
        with Seen():
            assert fixed_batch_normalization(x, *others).dtype == dtype
    assert len(steps) > 3, 'who looks at functions sees the steps, which exporters know'
    assert y.dtype == recorded.dtype == dtype and y.creator is None
    np.testing.assert_allclose(y.array, recorded.array, rtol=tolerance, atol=tolerance or 1e-14)

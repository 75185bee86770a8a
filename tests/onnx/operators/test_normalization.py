"""Normalization beyond what the onnx package generates cases for."""
import numpy as np
import pytest

from minichain.errors import DataError
from tests.onnx.building import check_gradients, load, run

rng = np.random.default_rng(0)
X = rng.standard_normal((4, 3, 2, 5)).astype('float32')
SCALE, SHIFT, MEAN = rng.standard_normal((3, 3)).astype('float32')
VAR = rng.uniform(.5, 2, 3).astype('float32')


def column(values, ndim=4):
    return np.reshape(values, (-1, *[1] * (ndim - 2)))


def batch_norm(x, scale, b, mean, var, eps=1e-5):
    shape = [column(each, x.ndim).astype('float64') for each in (scale, b, mean, var)]
    return shape[0] * (x - shape[2]) / np.sqrt(shape[3] + eps) + shape[1]


@pytest.mark.parametrize('opset, attributes', [
    (6, {'is_test': 1}), (6, {}), (7, {}), (9, {}), (14, {}), (15, {}),
    (22, {'training_mode': 0})])
def test_inference_uses_the_given_statistics_in_all_operator_sets(opset, attributes):
    y = run('BatchNormalization', X, SCALE, SHIFT, MEAN, VAR, opset=opset, epsilon=1e-3,
            **attributes)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, batch_norm(X, SCALE, SHIFT, MEAN, VAR, 1e-3), 1e-4, 1e-5)


@pytest.mark.parametrize('opset, n_outputs, attributes', [
    (6, 5, {'is_test': 0}), (7, 5, {}), (9, 5, {}), (14, 3, {'training_mode': 1}),
    (15, 3, {'training_mode': 1})])
def test_training_uses_the_batch_and_moves_the_averages(opset, n_outputs, attributes):
    y, mean, var, *saved = run('BatchNormalization', X, SCALE, SHIFT, MEAN, VAR, opset=opset,
                               n_outputs=n_outputs, momentum=.8, **attributes)
    new_mean, new_var = X.mean(axis=(0, 2, 3)), X.var(axis=(0, 2, 3))
    np.testing.assert_allclose(y, batch_norm(X, SCALE, SHIFT, new_mean, new_var), 1e-4, 1e-5)
    np.testing.assert_allclose(mean, .8 * MEAN + .2 * new_mean, 1e-5, 1e-6)
    np.testing.assert_allclose(var, .8 * VAR + .2 * new_var, 1e-5)
    for found, expected in zip(saved, (new_mean, new_var)):
        np.testing.assert_allclose(found, expected, 1e-5, 1e-6)


def test_batch_normalization_of_single_pixels_vectors_and_narrow_images():
    shape = X.shape[1:]
    scale, b, mean = rng.standard_normal((3, *shape)).astype('float32')
    var = rng.uniform(.5, 2, shape).astype('float32')
    y = run('BatchNormalization', X, scale, b, mean, var, opset=7, spatial=0)
    np.testing.assert_allclose(y, scale * (X - mean) / np.sqrt(var + 1e-5) + b, 1e-4, 1e-5)
    one = [each[:1] for each in (SCALE, SHIFT, MEAN, VAR)]
    line = X[:, 0, 0, 0]
    np.testing.assert_allclose(run('BatchNormalization', line, *one),
                               batch_norm(line[:, None], *one)[:, 0], 1e-4, 1e-5)
    y = run('BatchNormalization', X.astype('float16'), SCALE, SHIFT, MEAN, VAR)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, batch_norm(X.astype('float16'), SCALE, SHIFT, MEAN, VAR),
                               2e-2, 2e-2)


def test_gradients_reach_input_scale_and_shift_and_statistics_are_no_weights():
    x, scale, b, mean, var = (each.astype('float64')
                              for each in (X[:2, :, :, :2], SCALE, SHIFT, MEAN, VAR))
    net = load('BatchNormalization', (x, scale, b, mean, var), initializers=(1, 2, 3, 4))
    assert [name for name, _ in net.namedparams()] == ['/x1', '/x2']
    check_gradients(net, x)
    check_gradients(load('BatchNormalization', (x, scale, b, mean, var), 3,
                         initializers=(1, 2, 3, 4), training_mode=1), x, rtol=1e-4)
    for op_type, operands, settings in (
            ('InstanceNormalization', (x, scale, b), {}), ('LRN', (x,), {'size': 2, 'alpha': .5}),
            ('LRN', (x,), {'size': 3, 'alpha': .5}), ('LpNormalization', (x,), {'axis': 1}),
            ('LayerNormalization', (x, x[0] + 0, x[1] + 0), {'axis': 1}),
            ('MeanVarianceNormalization', (x,), {}),
            ('GroupNormalization', (x, scale, b), {'num_groups': 1, 'opset': 21}),
            ('RMSNormalization', (x, x[0, 0, 0] + 0), {'opset': 23})):
        check_gradients(load(op_type, operands, **settings), *operands, rtol=1e-4, atol=1e-6)


def standardize(x, axes, eps=1e-5):
    x = x.astype('float64')
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + eps)


def test_instances_groups_and_layers():
    y = run('InstanceNormalization', X, SCALE, SHIFT, epsilon=1e-2)
    expected = standardize(X, (2, 3), 1e-2) * column(SCALE) + column(SHIFT)
    np.testing.assert_allclose(y, expected, 1e-4, 1e-5)
    x = np.concatenate([X, X[:, ::-1]], axis=1)     # six channels in two groups of three
    grouped = standardize(x.reshape(4, 2, -1), (2,)).reshape(x.shape)
    scale, b = SCALE[:2], SHIFT[:2]
    y = run('GroupNormalization', x, scale, b, num_groups=2, opset=18)
    np.testing.assert_allclose(
        y, grouped * column(np.repeat(scale, 3)) + column(np.repeat(b, 3)), 1e-4, 1e-5)
    scale, b = rng.standard_normal((2, 6)).astype('float32')
    y = run('GroupNormalization', x, scale, b, num_groups=2, opset=21)
    np.testing.assert_allclose(y, grouped * column(scale) + column(b), 1e-4, 1e-5)
    scale = rng.standard_normal((2, 5)).astype('float32')
    y, mean, deviation = run('LayerNormalization', X, scale, n_outputs=3, axis=-2, epsilon=1e-2)
    np.testing.assert_allclose(y, standardize(X, (2, 3), 1e-2) * scale, 1e-4, 1e-5)
    np.testing.assert_allclose(mean, X.mean(axis=(2, 3), keepdims=True), 1e-4, 1e-6)
    np.testing.assert_allclose(deviation, 1 / np.sqrt(X.var(axis=(2, 3), keepdims=True) + 1e-2),
                               1e-4)


def test_half_precision_is_computed_in_single():
    x = (X * 300).astype('float16')     # the squares are beyond half precision
    scale = SCALE.astype('float16')
    y = run('RMSNormalization', x, np.ones(5, 'float16'), opset=23)
    wide = x.astype('float64')
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, wide / np.sqrt((wide ** 2).mean(axis=3, keepdims=True) + 1e-5),
                               2e-3, 2e-3)
    y, mean, deviation = run('LayerNormalization', x, np.ones(5, 'float16'), n_outputs=3)
    assert (y.dtype, mean.dtype, deviation.dtype) == ('float16', 'float32', 'float32')
    np.testing.assert_allclose(y, standardize(x, (3,)), 2e-3, 2e-3)
    y = run('InstanceNormalization', x, scale, scale)
    np.testing.assert_allclose(y, (standardize(x, (2, 3)) + 1) * column(scale), 5e-3, 5e-3)


@pytest.mark.parametrize('size', [1, 2, 3, 4, 5, 9])
def test_lrn_of_even_and_odd_sizes_up_to_more_than_all_channels(size):
    x = rng.standard_normal((2, 6, 3, 2)).astype('float32')
    y = run('LRN', x, size=size, alpha=.5, beta=.6, bias=2.)
    expected = np.empty_like(x)
    for c in range(6):
        first, last = max(0, c - (size - 1) // 2), min(5, c + size // 2)
        sums = (x[:, first:last + 1] ** 2).sum(axis=1)
        expected[:, c] = x[:, c] / (2 + .5 / size * sums) ** .6
    np.testing.assert_allclose(y, expected, 1e-4, 1e-6)


def test_norms_of_zero_stay_zero():
    x = np.array([[3, 4], [0, 0]], 'float32')
    np.testing.assert_allclose(run('LpNormalization', x), [[.6, .8], [0, 0]], 1e-6)
    np.testing.assert_allclose(run('LpNormalization', x, p=1, axis=0), [[1, 1], [0, 0]], 1e-6)


def test_mean_and_variance_over_the_axes_given_or_those_of_old_models():
    for axes, settings in (((0, 2, 3), {}), ((1,), {'axes': [1]}), ((2, 3), {'opset': 7}),
                           ((1, 2, 3), {'opset': 7, 'across_channels': 1})):
        np.testing.assert_allclose(run('MeanVarianceNormalization', X, **settings),
                                   standardize(X, axes, 0), 1e-4, 1e-5)
    np.testing.assert_allclose(
        run('MeanVarianceNormalization', X, opset=7, normalize_variance=0),
        X - X.mean(axis=(2, 3), keepdims=True), 1e-4, 1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match='num_groups'):
        run('GroupNormalization', X, SCALE, SHIFT, num_groups=2, opset=21)
    with pytest.raises(DataError, match='channels'):
        run('InstanceNormalization', X, SCALE[:2], SHIFT[:2])
    with pytest.raises(DataError, match='p: 1 or 2'):
        run('LpNormalization', X, p=3)
    with pytest.raises(DataError, match='axes'):
        run('LayerNormalization', X, SCALE, axis=4)

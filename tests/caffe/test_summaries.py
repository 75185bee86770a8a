"""Layers that reduce or normalize, against NumPy formulas written apart."""

import numpy as np
import pytest

from minichain import Variable
from minichain.caffe import load, save
from minichain.errors import DataError

RANDOM = np.random.default_rng(8)
X = RANDOM.standard_normal((2, 4, 3, 5)).astype(np.float32)


def test_argmax_numbers_the_largest_of_all_the_rest(run):
    flat = X.reshape(2, 60)
    order = np.argsort(-flat, 1)
    y = run('ArgMax', X, argmax_param={'top_k': 3})
    assert y.shape == (2, 1, 3, 1)
    np.testing.assert_array_equal(y[:, 0, :, 0], order[:, :3])
    y = run('ArgMax', X, argmax_param={'top_k': 2, 'out_max_val': True})
    assert y.shape == (2, 2, 2, 1)
    np.testing.assert_array_equal(y[:, 0, :, 0], order[:, :2])
    np.testing.assert_array_equal(y[:, 1, :, 0], np.take_along_axis(flat, order[:, :2], 1))
    assert run('ArgMax', flat).shape == (2, 1, 1)


def test_argmax_along_an_axis_gives_places_or_values(run):
    y = run('ArgMax', X, argmax_param={'axis': 1})
    np.testing.assert_array_equal(y, X.argmax(1, keepdims=True))
    y = run('ArgMax', X, argmax_param={'axis': -1, 'out_max_val': True, 'top_k': 2})
    np.testing.assert_array_equal(y, -np.sort(-X, 3)[..., :2])


def test_of_equal_values_argmax_takes_the_last_as_caffes_sort_of_pairs_does(run):
    x = np.array([[1, 3, 3, 2]], np.float32)
    assert run('ArgMax', x, argmax_param={'top_k': 3}).ravel().tolist() == [2, 1, 3]


@pytest.mark.parametrize('operation, formula', [
    ('SUM', lambda x: x.sum(-1)), ('ASUM', lambda x: abs(x).sum(-1)),
    ('SUMSQ', lambda x: (x ** 2).sum(-1)), ('MEAN', lambda x: x.mean(-1))])
def test_reduction_takes_all_axes_from_its_own_on(run, operation, formula):
    y = run('Reduction', X, reduction_param={'operation': operation, 'axis': 1, 'coeff': 0.5})
    np.testing.assert_allclose(y, 0.5 * formula(X.reshape(2, 60)), rtol=1e-4, atol=1e-5)
    y = run('Reduction', X, reduction_param={'operation': operation})
    assert y.shape == ()
    np.testing.assert_allclose(y, formula(X.ravel()), rtol=1e-4, atol=1e-5)


def test_mvn_makes_means_zero_and_variances_one(run):
    for across, axes in ((False, (2, 3)), (True, (1, 2, 3))):
        centred = X - X.mean(axes, keepdims=True)
        y = run('MVN', X, mvn_param={'across_channels': across, 'normalize_variance': False})
        np.testing.assert_allclose(y, centred, rtol=1e-4, atol=1e-6)
        y = run('MVN', X, mvn_param={'across_channels': across, 'eps': 0.5})
        np.testing.assert_allclose(y, centred / (X.std(axes, keepdims=True) + 0.5), rtol=1e-4,
                                   atol=1e-6)
    np.testing.assert_array_equal(run('MVN', np.ones((1, 1, 2, 2), np.float32)), 0)


def test_normalize_divides_by_the_norm_of_pixels_or_images(run):
    W = np.arange(1, 5, dtype=np.float32)
    y = run('Normalize', X, [W], norm_param={'across_spatial': False, 'channel_shared': False})
    norm = np.sqrt((X ** 2).sum(1, keepdims=True))
    np.testing.assert_allclose(y, X / norm * W[:, None, None], rtol=1e-5)
    y = run('Normalize', X, [W[1:2]])
    norm = np.sqrt((X ** 2).sum((1, 2, 3), keepdims=True))
    np.testing.assert_allclose(y, X / norm * 2, rtol=1e-5)


def test_batch_norm_may_be_told_to_use_the_batch(run):
    blobs = [np.ones(4, np.float32), np.ones(4, np.float32), np.ones(1, np.float32)]
    y = run('BatchNorm', X, blobs, batch_norm_param={'use_global_stats': False, 'eps': 0.1})
    mean, variance = X.mean((0, 2, 3), keepdims=True), X.var((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(y, (X - mean) / np.sqrt(variance + 0.1), rtol=1e-4, atol=1e-6)


def test_bn_of_forks_is_scale_and_shift_with_or_without_statistics(run):
    W, b, mean, variance = RANDOM.random((4, 4)).astype(np.float32) + 0.5

    def wide(array):
        return array[:, None, None]
    forms = ([W, b], [W.reshape(1, -1, 1, 1), b.reshape(1, -1, 1, 1)])     # as SegNet writes them
    y, same = (run('BN', X, blobs, bn_param={'bn_mode': 'INFERENCE'}) for blobs in forms)
    np.testing.assert_array_equal(y, same)
    np.testing.assert_allclose(y, X * wide(W) + wide(b), rtol=1e-5, atol=1e-6)
    y = run('BN', X, [W, b, mean, variance], bn_param={'eps': 0.25})
    expected = (X - wide(mean)) / np.sqrt(wide(variance) + 0.25) * wide(W) + wide(b)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(DataError, match='bn_mode: INFERENCE'):
        run('BN', X, [W, b])
    with pytest.raises(DataError, match=r'blobs \(C,\) or'):
        run('BN', X, [np.ones((2, 2), np.float32)] * 4)


@pytest.mark.parametrize('kind, parameters', [
    ('MVN', {}), ('Normalize', {'norm_param': {'across_spatial': False}}),
    ('Reduction', {'reduction_param': {'operation': 'SUMSQ', 'axis': 1}}),
    ('BatchNorm', {'batch_norm_param': {'use_global_stats': False}}),
    ('Swish', {'swish_param': {'beta': 1.5}}), ('ReLU6', {}),
    ('Tile', {'tile_param': {'tiles': 2}}), ('ShuffleChannel', {'shuffle_channel_param':
                                                                {'group': 2}}),
    ('Interp', {'interp_param': {'zoom_factor': 2}}), ('Upsample', {'upsample_param':
                                                                    {'scale': 2}}),
    ('Im2col', {'convolution_param': {'kernel_size': [2]}}),
])
def test_gradients_pass_as_differences_say(tmp_path, kind, parameters):
    blobs = {'Normalize': [np.full(1, 2, np.float32)],
             'BatchNorm': [np.ones(4, np.float32)] * 2 + [np.ones(1, np.float32)]}.get(kind, [])
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    save(*paths, [{'name': 'layer', 'type': kind, 'bottom': ['x'], 'top': ['y'], 'blobs': blobs,
                   **parameters}], X.shape, input_name='x')
    net, x = load(*paths), Variable(X.astype(np.float64))
    for parameter in net.params():
        parameter.array = parameter.array.astype(np.float64)
    y, = net({'x': x}, ['y'])
    weights = RANDOM.standard_normal(y.shape)
    y.grad = weights
    y.backward()
    direction = RANDOM.standard_normal(X.shape)
    values = [(net({'x': X + step * direction}, ['y'])[0].array * weights).sum()
              for step in (1e-6, -1e-6)]
    assert (values[0] - values[1]) / 2e-6 == pytest.approx((x.grad * direction).sum(), rel=1e-5)

"""Pools beyond what the onnx package generates cases for."""
import itertools

import numpy as np
import pytest

import minichain as mc
from minichain.errors import DataError
from tests.onnx.beside import check_beside_onnxruntime
from tests.onnx.building import check_gradients, load, reference, run

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 3, 7, 6)).astype('float32')


def slow_windows(x, ksize, stride, before, dilate, out):
    """Yields (place, values in the image) of all windows; two spatial axes."""
    for i, j in itertools.product(*map(range, out)):
        rows, columns = (
            [p for p in range(o * s - q, o * s - q + (k - 1) * d + 1, d) if 0 <= p < n]
            for o, s, q, k, d, n in zip((i, j), stride, before, ksize, dilate, x.shape[2:]))
        yield (..., i, j), x[:, :, rows][:, :, :, columns].reshape(*x.shape[:2], -1)


@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64', 'int8', 'uint8'])
def test_max_pool_with_different_pads_dilations_and_every_type(dtype):
    x = (X * 40).astype('int8').astype(dtype)
    y = run('MaxPool', x, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 2, 1],
            dilations=[2, 1])
    assert y.dtype == dtype and y.shape == (2, 3, 3, 6)
    for place, values in slow_windows(x, (3, 2), (2, 1), (1, 0), (2, 1), (3, 6)):
        np.testing.assert_array_equal(y[place], values.max(axis=2))


@pytest.mark.parametrize('storage_order', [0, 1])
def test_indices_count_through_images_and_channels(storage_order):
    y, index = run('MaxPool', X, n_outputs=2, kernel_shape=[3, 3], strides=[2, 2],
                   pads=[1, 1, 1, 1], storage_order=storage_order)
    assert index.dtype == np.int64
    planes = X.swapaxes(2, 3) if storage_order else X
    np.testing.assert_array_equal(planes.ravel()[index], y)


@pytest.mark.parametrize('settings', [
    {'ceil_mode': 1, 'strides': [2, 3]}, {'ceil_mode': 1, 'strides': [3, 3], 'pads': [1, 1, 1, 1]},
    {'ceil_mode': 1, 'strides': [3, 2], 'pads': [0, 1, 2, 0]},
    {'auto_pad': 'SAME_UPPER', 'strides': [2, 2]}, {'auto_pad': 'SAME_LOWER', 'strides': [2, 1]},
    {'auto_pad': 'VALID', 'strides': [2, 2], 'ceil_mode': 1}])
@pytest.mark.parametrize('op_type, more', [
    ('MaxPool', {}), ('AveragePool', {'count_include_pad': 0}),
    ('AveragePool', {'count_include_pad': 1}), ('LpPool', {'p': 3})])
def test_ceil_mode_and_automatic_pads_are_those_of_onnxruntime(op_type, more, settings):
    check_beside_onnxruntime(op_type, X, kernel_shape=[3, 3], **settings, **more)


@pytest.mark.parametrize('axes', [1, 3])
@pytest.mark.parametrize('op_type', ['MaxPool', 'AveragePool', 'LpPool'])
def test_any_number_of_spatial_axes(op_type, axes):
    x = rng.standard_normal((2, 3, *[6] * axes)).astype('float32')
    check_beside_onnxruntime(op_type, x, kernel_shape=[2] * axes, strides=[2] * axes,
                             pads=[1] * axes + [0] * axes)


def test_an_average_counts_pads_or_the_image_alone():
    x = np.ones((1, 1, 2, 2), np.float32)
    settings = {'kernel_shape': [2, 2], 'pads': [1, 0, 0, 0]}
    np.testing.assert_array_equal(run('AveragePool', x, **settings), [[[[1], [1]]]])
    np.testing.assert_array_equal(run('AveragePool', x, count_include_pad=1, **settings),
                                  [[[[.5], [1]]]])


def test_old_models_pool_as_new_ones():
    for op_type in ('MaxPool', 'AveragePool'):
        settings = {'kernel_shape': [2, 3], 'pads': [1, 1, 0, 0]}
        np.testing.assert_array_equal(run(op_type, X, opset=6, **settings),
                                      run(op_type, X, **settings))
    np.testing.assert_allclose(run('GlobalLpPool', X, opset=2, p=1)[..., 0, 0],
                               abs(X).sum(axis=(2, 3)), rtol=1e-5)


def test_global_pools_take_the_whole_image():
    x = rng.standard_normal((2, 3, 2, 3, 4))
    np.testing.assert_allclose(run('GlobalAveragePool', x), x.mean(axis=(2, 3, 4), keepdims=True))
    np.testing.assert_array_equal(run('GlobalMaxPool', x), x.max(axis=(2, 3, 4), keepdims=True))
    np.testing.assert_allclose(run('GlobalLpPool', x),
                               np.sqrt((x * x).sum(axis=(2, 3, 4), keepdims=True)))


@pytest.mark.parametrize('op_type, settings', [
    ('MaxPool', {'pads': [1, 0, 0, 1]}), ('AveragePool', {'pads': [1, 0, 0, 1]}), ('LpPool', {}),
    ('LpPool', {'p': 3}), ('AveragePool', {'ceil_mode': 1, 'strides': [2, 2]})])
def test_gradients_reach_the_image(op_type, settings):
    x = rng.standard_normal((1, 2, 4, 3))
    check_gradients(load(op_type, (x,), kernel_shape=[2, 2], **settings), x)


def test_unpooling_puts_maxima_back_and_takes_gradients_along():
    x = np.arange(1., 17).reshape(1, 1, 4, 4)
    y, index = run('MaxPool', x, n_outputs=2, kernel_shape=[2, 2], strides=[2, 2])
    settings = {'kernel_shape': [2, 2], 'strides': [2, 2]}
    expected = np.zeros((1, 1, 4, 4))
    expected[0, 0, 1::2, 1::2] = [[6, 8], [14, 16]]
    np.testing.assert_array_equal(run('MaxUnpool', y, index, **settings), expected)
    whole = run('MaxUnpool', y, index, np.array([1, 1, 5, 6]), **settings)
    np.testing.assert_array_equal(whole, reference(
        'MaxUnpool', y, index, np.array([1, 1, 5, 6]), **settings))
    net, y = load('MaxUnpool', (y, index), **settings), mc.Variable(y)
    z, = net(y, index)
    z.grad = x
    z.backward()
    np.testing.assert_array_equal(y.grad, [[[[6, 8], [14, 16]]]])


def test_what_does_not_fit_is_refused():
    for attributes, words in (
            ({}, 'kernel_shape'), ({'kernel_shape': [9, 1]}, 'does not fit'),
            ({'kernel_shape': [1 << 20, 1], 'pads': [1 << 20, 0, 0, 0]}, 'kernel_shape'),
            ({'kernel_shape': [2, 2], 'pads': [1 << 29] * 4}, 'damaged')):
        with pytest.raises(DataError, match=words):
            run('MaxPool', X, **attributes)
    with pytest.raises(DataError, match='spatial axis'):
        run('GlobalAveragePool', X[0, 0])
    index = np.full((1, 1, 1, 1), 4)
    with pytest.raises(DataError, match='indices from 0 to 3'):
        run('MaxUnpool', np.ones((1, 1, 1, 1), 'float32'), index, kernel_shape=[2, 2])
    with pytest.raises(DataError, match='damaged'):
        run('MaxUnpool', np.ones((1, 1, 1, 1), 'float32'), index * 0, kernel_shape=[1 << 20] * 2)


def test_a_window_of_zeros_has_a_gradient_of_zero():
    x = np.zeros((1, 1, 2, 4))
    x[..., :2] = [[3, 0], [0, 4]]
    net = load('LpPool', [x], initializers=(0,), kernel_shape=[2, 2], strides=[2, 2])
    y, = net()
    np.testing.assert_allclose(y.array.ravel(), [5, 0])
    y.grad = np.ones(y.shape)
    y.backward()
    np.testing.assert_allclose(net.x0.grad[0, 0], [[.6, 0, 0, 0], [0, .8, 0, 0]])

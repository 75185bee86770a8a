"""Every layer type against a formula in NumPy or brute force; and the same on the GPU's path."""

import itertools
import pathlib

import numpy as np
import pytest

from minichain.caffe import load
from minichain.caffe.layers import LAYERS
from minichain.errors import DataError, MinichainError
from tests.caffe.encoding import blob, layer

RANDOM = np.random.default_rng(3)


def random(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def windows_of(length, kernel, stride, pad):
    """Caffe's rule, said anew: (first, behind the last) of every window, padding included."""
    count = int(np.ceil((length + 2 * pad - kernel) / stride)) + 1
    if pad and (count - 1) * stride >= length + pad:
        count -= 1
    return [(start, min(start + kernel, length + pad))
            for start in range(-pad, -pad + count * stride, stride)]


def pool_by_hand(x, method, kernel, stride, pad):
    rows, columns = (windows_of(*sizes) for sizes in zip(x.shape[2:], kernel, stride, pad))
    y = np.empty((*x.shape[:2], len(rows), len(columns)), np.float32)
    for (i, (top, bottom)), (j, (left, right)) in itertools.product(
            enumerate(rows), enumerate(columns)):
        window = x[:, :, max(top, 0):bottom, max(left, 0):right]
        if method == 'MAX':
            y[:, :, i, j] = window.max((2, 3))
        elif method == 'AVE':
            y[:, :, i, j] = window.sum((2, 3)) / ((bottom - top) * (right - left))
        else:
            y[:, :, i, j] = (window ** 2).sum((2, 3)) / window.sum((2, 3))
    return y


POOLS = [((7, 9), (3, 2), (2, 2), (0, 0)), ((8, 8), (3, 3), (2, 2), (1, 1)),
         ((5, 6), (2, 3), (3, 1), (1, 2)), ((6, 6), (2, 2), (2, 2), (1, 1)),
         ((10, 7), (5, 5), (3, 3), (2, 2)), ((2, 3), (3, 3), (2, 2), (0, 0)),
         ((9, 9), (3, 3), (3, 2), (0, 1)), ((4, 4), (4, 4), (1, 1), (3, 3))]


@pytest.mark.parametrize('method', ['MAX', 'AVE', 'STOCHASTIC'])
@pytest.mark.parametrize('size, kernel, stride, pad', POOLS)
def test_pooling_has_caffes_windows(run, method, size, kernel, stride, pad):
    x = np.abs(random(2, 3, *size)) if method == 'STOCHASTIC' else random(2, 3, *size)
    y = run('Pooling', x, pooling_param={
        'pool': method, 'kernel_h': kernel[0], 'kernel_w': kernel[1], 'stride_h': stride[0],
        'stride_w': stride[1], 'pad_h': pad[0], 'pad_w': pad[1]})
    expected = pool_by_hand(x, method, kernel, stride, pad)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('method, by_hand', [('MAX', np.max), ('AVE', np.mean)])
def test_global_pooling_sees_the_whole_image(run, method, by_hand):
    x = random(2, 3, 5, 7)
    y = run('Pooling', x, pooling_param={'pool': method, 'global_pooling': True})
    np.testing.assert_allclose(y, by_hand(x, (2, 3), keepdims=True), rtol=1e-5, atol=1e-6)


def test_pooling_of_no_positive_value_at_all_is_zero_when_stochastic(run):
    y = run('Pooling', np.zeros((1, 1, 4, 4), np.float32),
            pooling_param={'pool': 'STOCHASTIC', 'kernel_size': 2, 'stride': 2})
    np.testing.assert_array_equal(y, 0)


def convolve_by_hand(x, W, b, stride, pad, dilate, groups):
    x = np.pad(x, ((0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2))
    kh, kw = W.shape[2:]
    height, width = ((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(
        x.shape[2:], (kh, kw), stride, dilate))
    y = np.zeros((len(x), len(W), height, width))
    per_group, inputs = len(W) // groups, W.shape[1]
    for o, i, j in itertools.product(range(len(W)), range(height), range(width)):
        first = o // per_group * inputs
        top, left = i * stride[0], j * stride[1]
        window = x[:, first:first + inputs, top:top + dilate[0] * (kh - 1) + 1:dilate[0],
                   left:left + dilate[1] * (kw - 1) + 1:dilate[1]]
        y[:, o, i, j] = (window * W[o]).sum((1, 2, 3)) + b[o]
    return y


@pytest.mark.parametrize('groups', [1, 2])
@pytest.mark.parametrize('stride, pad, dilate', [
    ((1, 1), (0, 0), (1, 1)), ((2, 3), (1, 2), (1, 1)), ((1, 2), (2, 0), (2, 1))])
def test_convolution_is_the_sum_over_its_windows(run, groups, stride, pad, dilate):
    x, W, b = random(2, 4, 8, 9), random(6, 4 // groups, 3, 2), random(6)
    y = run('Convolution', x, [W, b], convolution_param={
        'num_output': 6, 'kernel_h': 3, 'kernel_w': 2, 'stride_h': stride[0],
        'stride_w': stride[1], 'pad': list(pad), 'dilation': list(dilate), 'group': groups})
    np.testing.assert_allclose(
        y, convolve_by_hand(x, W, b, stride, pad, dilate, groups), rtol=1e-4, atol=1e-5)


def test_deconvolution_is_the_transpose_of_convolution(run):
    x, W = random(2, 4, 5, 6), random(4, 3, 3, 3)       # two groups: outputs 2 * 3
    y = run('Deconvolution', x, [W], convolution_param={
        'num_output': 6, 'kernel_size': [3], 'stride': [2], 'pad': [1], 'group': 2,
        'bias_term': False})
    z = random(*y.shape)
    back = run('Convolution', z, [W], convolution_param={
        'num_output': 4, 'kernel_size': [3], 'stride': [2], 'pad': [1], 'group': 2,
        'bias_term': False})
    assert y.shape == (2, 6, 9, 11)
    np.testing.assert_allclose((y * z).sum(), (x * back).sum(), rtol=1e-4)


def lrn_by_hand(x, n, alpha, beta, k):
    squares = np.pad(x ** 2, ((0, 0), (n // 2,) * 2, (0, 0), (0, 0)))
    total = sum(squares[:, i:i + x.shape[1]] for i in range(n))
    return x / (k + alpha / n * total) ** beta


@pytest.mark.parametrize('n, alpha, beta, k', [(5, 1e-4, .75, 1), (3, .5, .6, 2), (7, 2, 1, .5)])
def test_lrn_across_channels_divides_alpha_by_the_window(run, n, alpha, beta, k):
    x = random(2, 6, 3, 4) * 3
    y = run('LRN', x, lrn_param={'local_size': n, 'alpha': alpha, 'beta': beta, 'k': float(k)})
    np.testing.assert_allclose(y, lrn_by_hand(x, n, alpha, beta, k), rtol=1e-5)


def test_lrn_within_a_channel_averages_squares_around_each_pixel(run):
    x = random(2, 3, 6, 7) * 3
    squares = np.pad(x ** 2, ((0, 0), (0, 0), (1, 1), (1, 1)))
    mean = sum(squares[:, :, i:i + 6, j:j + 7] for i in range(3) for j in range(3)) / 9
    y = run('LRN', x, lrn_param={'local_size': 3, 'alpha': 2.0, 'beta': 0.75,
                                 'norm_region': 'WITHIN_CHANNEL'})
    np.testing.assert_allclose(y, x / (1 + 2 * mean) ** 0.75, rtol=1e-5)


@pytest.mark.parametrize('transpose', [True, False])
def test_inner_product_lumps_the_axes_from_its_own_on(run, transpose):
    x, W, b = random(2, 3, 4, 5), random(7, 20), random(7)
    y = run('InnerProduct', x, [W.T if transpose else W, b], inner_product_param={
        'num_output': 7, 'axis': 2, 'transpose': transpose})
    np.testing.assert_allclose(y, x.reshape(2, 3, 20) @ W.T + b, rtol=1e-4, atol=1e-5)


def test_inner_product_takes_the_four_axes_of_old_files(run):
    x, W = random(2, 3, 4, 5), random(1, 1, 7, 60)
    y = run('InnerProduct', x, [W, random(1, 1, 1, 7) * 0], inner_product_param={'num_output': 7})
    np.testing.assert_allclose(y, x.reshape(2, 60) @ W[0, 0].T, rtol=1e-4, atol=1e-5)


def test_batch_norm_divides_its_statistics_by_their_factor(run):
    x, mean, variance = random(2, 3, 4, 5), random(3), np.abs(random(3)) + 1
    factor = np.array([4], np.float32)
    y = run('BatchNorm', x, [mean * 4, variance * 4, factor], batch_norm_param={'eps': 0.1})
    expected = (x - mean[:, None, None]) / np.sqrt(variance[:, None, None] + 0.1)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    y = run('BatchNorm', x, [mean, variance, factor * 0], batch_norm_param={'eps': 0.25})
    np.testing.assert_allclose(y, x / 0.5, rtol=1e-5)


def test_scale_and_bias_broadcast_from_their_axis_on(run):
    x, W, b, wide = random(2, 3, 4, 5), random(3), random(3), random(3, 4)
    y = run('Scale', x, [W, b], scale_param={'bias_term': True})
    np.testing.assert_allclose(y, x * W[:, None, None] + b[:, None, None], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run('Scale', [x, wide]), x * wide[:, :, None], rtol=1e-5)
    last = random(5)
    np.testing.assert_allclose(run('Scale', x, [last], scale_param={'axis': -1}), x * last)
    np.testing.assert_allclose(run('Bias', x, [b]), x + b[:, None, None], rtol=1e-5)
    np.testing.assert_allclose(run('Bias', [x, wide]), x + wide[:, :, None], rtol=1e-5)


def test_prelu_has_a_slope_a_channel_or_one_for_all(run):
    x, W = random(2, 3, 4, 5), random(3)
    np.testing.assert_allclose(run('PReLU', x, [W]), np.where(x > 0, x, x * W[:, None, None]))
    y = run('PReLU', x, [W[:1]], prelu_param={'channel_shared': True})
    np.testing.assert_allclose(y, np.where(x > 0, x, x * W[0]))


def test_embed_looks_rows_up(run):
    W, b = random(6, 3), random(3)
    x = np.array([[0, 5], [2, 2]], np.float32)
    y = run('Embed', x, [W, b], embed_param={'input_dim': 6, 'num_output': 3})
    np.testing.assert_allclose(y, W[x.astype(int)] + b, rtol=1e-6)


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


X = random(2, 4, 3, 5)
POSITIVE = np.abs(X) + 0.1


@pytest.mark.parametrize('kind, x, parameters, expected', [
    ('AbsVal', X, {}, np.abs(X)),
    ('BNLL', X, {}, np.log(1 + np.exp(X))),
    ('Dropout', X, {'dropout_param': {'dropout_ratio': 0.5}}, X),
    ('Dropout', X, {'dropout_param': {'dropout_ratio': 0.25, 'scale_train': False}}, X * 0.75),
    ('ELU', X, {'elu_param': {'alpha': 0.5}}, np.where(X > 0, X, 0.5 * (np.exp(X) - 1))),
    ('Exp', X, {}, np.exp(X)),
    ('Exp', X, {'exp_param': {'base': 2.0, 'scale': 0.5, 'shift': 1.0}}, 2 ** (0.5 * X + 1)),
    ('Flatten', X, {}, X.reshape(2, 60)),
    ('Flatten', X, {'flatten_param': {'axis': 1, 'end_axis': -2}}, X.reshape(2, 12, 5)),
    ('Log', POSITIVE, {}, np.log(POSITIVE)),
    ('Log', POSITIVE, {'log_param': {'base': 10.0, 'scale': 2.0, 'shift': 1.0}},
     np.log10(2 * POSITIVE + 1)),
    ('Permute', X, {'permute_param': {'order': [0, 2, 3, 1]}}, X.transpose(0, 2, 3, 1)),
    ('Permute', X, {'permute_param': {'order': [2]}}, X.transpose(2, 0, 1, 3)),
    ('Power', X, {'power_param': {'power': 2.0, 'scale': 3.0, 'shift': 1.0}}, (1 + 3 * X) ** 2),
    ('Power', X, {'power_param': {'scale': -1.0}}, -X),
    ('ReLU', X, {}, np.maximum(X, 0)),
    ('ReLU', X, {'relu_param': {'negative_slope': 0.1}}, np.where(X > 0, X, 0.1 * X)),
    ('Reshape', X, {'reshape_param': {'shape': {'dim': [0, -1, 10]}}}, X.reshape(2, 6, 10)),
    ('Reshape', X, {'reshape_param': {'shape': {'dim': [15]}, 'axis': 2}}, X.reshape(2, 4, 15)),
    ('Reshape', X, {'reshape_param': {'shape': {'dim': [2, 2]}, 'axis': 1, 'num_axes': 1}},
     X.reshape(2, 2, 2, 3, 5)),
    ('Reshape', X, {'reshape_param': {'shape': {'dim': [1]}, 'axis': -1, 'num_axes': 0}},
     X.reshape(2, 4, 3, 5, 1)),
    ('Sigmoid', X, {}, 1 / (1 + np.exp(-X))),
    ('Softmax', X, {}, softmax(X, 1)),
    ('Softmax', X, {'softmax_param': {'axis': -1}}, softmax(X, 3)),
    ('TanH', X, {}, np.tanh(X)),
])
def test_a_layer_of_one_blob_equals_its_formula(run, kind, x, parameters, expected):
    y = run(kind, x, **parameters)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


Y, Z = random(2, 4, 3, 5), random(2, 4, 3, 5)


@pytest.mark.parametrize('kind, xs, parameters, expected', [
    ('Eltwise', [X, Y, Z], {}, X + Y + Z),
    ('Eltwise', [X, Y], {'eltwise_param': {'coeff': [1.0, -2.0]}}, X - 2 * Y),
    ('Eltwise', [X, Y, Z], {'eltwise_param': {'operation': 'PROD'}}, X * Y * Z),
    ('Eltwise', [X, Y, Z], {'eltwise_param': {'operation': 'MAX'}},
     np.maximum(np.maximum(X, Y), Z)),
    ('Concat', [X, Y[:, :1], Z], {}, np.concatenate([X, Y[:, :1], Z], 1)),
    ('Concat', [X, Y], {'concat_param': {'axis': -1}}, np.concatenate([X, Y], 3)),
    ('Concat', [X, Y], {'concat_param': {'concat_dim': 0}}, np.concatenate([X, Y], 0)),
])
def test_a_layer_of_several_blobs_equals_its_formula(run, kind, xs, parameters, expected):
    np.testing.assert_allclose(run(kind, xs, **parameters), expected, rtol=1e-5, atol=1e-6)


def test_slice_cuts_and_split_repeats(run):
    for y, expected in zip(run('Slice', X, tops=2), (X[:, :2], X[:, 2:]), strict=True):
        np.testing.assert_array_equal(y, expected)
    ys = run('Slice', X, tops=3, slice_param={'axis': 3, 'slice_point': [1, 4]})
    for y, expected in zip(ys, np.split(X, [1, 4], 3), strict=True):
        np.testing.assert_array_equal(y, expected)
    for y in run('Split', X, tops=3):
        np.testing.assert_array_equal(y, X)


def test_losses_are_normalized_as_caffe_does(run):
    t = RANDOM.integers(0, 4, (2, 1, 3, 5)).astype(np.float32)
    t[0, 0, 0] = 3
    losses = -np.log(np.take_along_axis(softmax(X, 1), t.astype(int), 1))
    counted = t != 3
    for parameters, expected in [
            ({}, losses.mean()),
            ({'ignore_label': 3}, losses[counted].mean()),
            ({'ignore_label': 3, 'normalization': 'FULL'}, losses[counted].sum() / 30),
            ({'normalization': 'NONE'}, losses.sum()), ({'normalize': False}, losses.sum() / 2)]:
        loss = run('SoftmaxWithLoss', [X, t], loss_param=parameters)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(
        run('EuclideanLoss', [X, Y]), ((X - Y) ** 2).sum() / 4, rtol=1e-5)
    np.testing.assert_allclose(
        run('SigmoidCrossEntropyLoss', [X, POSITIVE]),
        (np.log(1 + np.exp(X)) - X * POSITIVE).sum() / 2, rtol=1e-5)
    order = np.argsort(-X, 1)
    for k in (1, 2):
        right = (order[:, :k] == t).any(1)
        accuracy = run('Accuracy', [X, t], accuracy_param={'top_k': k, 'ignore_label': 3})
        np.testing.assert_allclose(accuracy, right[counted[:, 0]].mean(), rtol=1e-6)


@pytest.mark.parametrize('kind, parameters', [
    ('Convolution', {'convolution_param': {'num_output': 6}}),
    ('Convolution', {'convolution_param': {'num_output': 6, 'kernel_size': [3, 3, 3]}}),
    ('Convolution', {'convolution_param': {'num_output': 6, 'kernel_size': [3], 'stride': [0]}}),
    ('Convolution', {'convolution_param': {'num_output': 6, 'kernel_size': [3],
                                           'pad': [1 << 20]}}),
    ('Convolution', {'convolution_param': {'num_output': 6, 'kernel_size': [3], 'group': 4}}),
    ('Convolution', {'convolution_param': {'num_output': 6, 'kernel_size': [3], 'group': 0}}),
    ('Convolution', {'convolution_param': {'num_output': 5, 'kernel_size': [3]}}),
    ('Convolution', {'convolution_param': {'num_output': 6, 'kernel_size': [3],
                                           'bias_term': False}}),
    ('Convolution', {'convolution_param': {'num_output': 6, 'kernel_size': [3], 'axis': 2}}),
    ('Convolution', {'convolution_param': {'num_output': 6, 'kernel_size': [3],
                                           'pad': [60_000]}}),
    ('Deconvolution', {'convolution_param': {'num_output': 5, 'kernel_size': [3]}}),
    ('Deconvolution', {'convolution_param': {'num_output': 6, 'kernel_size': [3],
                                             'stride': [60_000]}}),
    ('InnerProduct', {'inner_product_param': {}}),
    ('InnerProduct', {'inner_product_param': {'num_output': 7}}),
    ('InnerProduct', {'inner_product_param': {'num_output': 6}}),
    ('InnerProduct', {'inner_product_param': {'num_output': 6, 'axis': 9}}),
    ('BatchNorm', {}), ('PReLU', {}), ('Scale', {}), ('Embed', {}), ('Bias', {}),
    ('Scale', {'scale_param': {'bias_term': True, 'axis': 3, 'num_axes': -1}}),
    ('Pooling', {}), ('Pooling', {'pooling_param': {'kernel_size': 3, 'pad': 3}}),
    ('Pooling', {'pooling_param': {'kernel_size': 30_000}}),
    ('Pooling', {'pooling_param': {'kernel_size': 9}}),
    ('Pooling', {'pooling_param': {'global_pooling': True, 'pad': 1}}),
    ('LRN', {'lrn_param': {'local_size': 4}}), ('LRN', {'lrn_param': {'local_size': 1 << 40}}),
    ('Log', {'log_param': {'base': -3.0}}), ('Exp', {'exp_param': {'base': 0.0}}),
    ('Dropout', {'dropout_param': {'dropout_ratio': 1.5}}),
    ('Softmax', {'softmax_param': {'axis': 4}}),
    ('Eltwise', {'eltwise_param': {'coeff': [1.0] * 2}}),
    ('Slice', {'slice_param': {'slice_point': [1]}}), ('Slice', {'slice_param': {'axis': -5}}),
    ('Flatten', {'flatten_param': {'axis': 7}}), ('Permute', {'permute_param': {'order': [1, 1]}}),
    ('Reshape', {'reshape_param': {'shape': {'dim': [-1, -1]}}}),
    ('Reshape', {'reshape_param': {'shape': {'dim': [-2]}}}),
    ('Reshape', {'reshape_param': {'shape': {'dim': [7, 7]}}}),
    ('Reshape', {'reshape_param': {'shape': {'dim': [1, 1, 1, 1, 0]}}}),
    ('Reshape', {'reshape_param': {'shape': {'dim': [1 << 62, 1 << 62]}}}),
    ('Reshape', {'reshape_param': {'shape': {'dim': [1]}, 'axis': 3, 'num_axes': 9}}),
])
def test_what_does_not_fit_is_refused_with_the_layers_name(run, kind, parameters):
    with pytest.raises(MinichainError, match=r"(?s)net\.prototxt.*'layer'"):
        run(kind, random(1, 4, 6, 6), [random(6, 4, 3, 3), random(6)], **parameters)


def test_weights_that_are_missing_are_counted(run):
    for kind, count in [('Convolution', 2), ('InnerProduct', 2), ('BatchNorm', 3), ('PReLU', 1),
                        ('Scale', 1), ('Bias', 1), ('Embed', 2)]:
        parameters = {'convolution_param': {'num_output': 2, 'kernel_size': [1]}}
        with pytest.raises(DataError, match=rf'{count} blobs of weights expected, the file has 0'):
            run(kind, X, **parameters)


@pytest.mark.parametrize('kind, x, parameters, expected', [
    ('Threshold', X, {'threshold_param': {'threshold': 0.5}}, X > 0.5),
    ('ReLU6', 5 * X, {}, np.clip(5 * X, 0, 6)),
    ('Swish', X, {'swish_param': {'beta': 2.0}}, X / (1 + np.exp(-2 * X))),
    ('Clip', X, {'clip_param': {'min': -0.5, 'max': 1.0}}, np.clip(X, -0.5, 1)),
])
def test_a_younger_layer_of_one_blob_equals_its_formula(run, kind, x, parameters, expected):
    np.testing.assert_allclose(run(kind, x, **parameters), expected, rtol=1e-5, atol=1e-6)


def test_axpy_scales_channels_and_adds(run):
    a = random(2, 4, 1, 1)
    np.testing.assert_allclose(run('Axpy', [a, X, Y]), a * X + Y, rtol=1e-5, atol=1e-6)
    with pytest.raises(DataError, match='factors'):
        run('Axpy', [X, X, Y])


def test_convolution_takes_volumes_and_lines(run):
    x, W, b = random(2, 3, 4, 5, 6), random(2, 3, 2, 3, 2), random(2)
    y = run('Convolution', x, [W, b], convolution_param={
        'num_output': 2, 'kernel_size': [2, 3, 2], 'stride': [1, 2, 1], 'pad': [0, 1, 1]})
    padded = np.pad(x, ((0, 0), (0, 0), (0, 0), (1, 1), (1, 1)))
    assert y.shape == (2, 2, 3, 3, 7)
    for i, j, k in itertools.product(range(3), range(3), range(7)):
        window = padded[:, None, :, i:i + 2, 2 * j:2 * j + 3, k:k + 2]
        np.testing.assert_allclose(y[:, :, i, j, k], (window * W).sum((2, 3, 4, 5)) + b,
                                   rtol=1e-4, atol=1e-5)


def test_convolution_may_have_its_channels_behind_several_axes(run):
    x, W, b = random(2, 3, 4, 5, 6), random(2, 4, 3, 3), random(2)
    parameters = {'num_output': 2, 'kernel_size': [3], 'axis': -3}
    y = run('Convolution', x, [W, b], convolution_param=parameters)
    assert y.shape == (2, 3, 2, 3, 4)
    expected = convolve_by_hand(x.reshape(6, 4, 5, 6), W, b, (1, 1), (0, 0), (1, 1), 1)
    np.testing.assert_allclose(y.reshape(6, 2, 3, 4), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match='channels and 2 axes'):
        run('Convolution', x, [W, b], convolution_param={**parameters, 'axis': 1})


def test_depthwise_convolution_takes_a_group_for_each_channel(run):
    x, W = random(1, 3, 5, 5), random(3, 1, 3, 3)
    y = run('ConvolutionDepthwise', x, [W], convolution_param={
        'num_output': 3, 'kernel_size': [3], 'bias_term': False})
    expected = convolve_by_hand(x, W, np.zeros(3), (1, 1), (0, 0), (1, 1), 3)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    z = run('DepthwiseConvolution', x, [W], convolution_param={
        'num_output': 3, 'kernel_size': [3], 'bias_term': False, 'group': 3})
    np.testing.assert_array_equal(z, y)


def test_deconvolution_fills_what_each_value_reaches(run):
    x, W, b = random(1, 2, 3, 4), random(2, 2, 3, 2), random(4)
    y = run('Deconvolution', x, [W, b], convolution_param={
        'num_output': 4, 'kernel_h': 3, 'kernel_w': 2, 'stride': [2, 1], 'dilation': [1, 2],
        'group': 2})
    expected = np.zeros((1, 4, 7, 6)) + b[:, None, None]
    for c, i, j, o, di, dj in itertools.product(range(2), range(3), range(4), range(2), range(3),
                                                range(2)):
        expected[0, 2 * c + o, 2 * i + di, j + 2 * dj] += x[0, c, i, j] * W[c, o, di, dj]
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('x', [[-1], [6], [np.nan], [1e20]])
def test_embed_refuses_numbers_without_a_row(run, x):
    with pytest.raises(DataError, match='numbers from 0 to 5'):
        run('Embed', np.array(x, np.float32), [random(6, 3), random(3)],
            embed_param={'input_dim': 6, 'num_output': 3})


@pytest.mark.parametrize('kind, shape, parameters', [
    ('Convolution', (2, 3, 3, 1), 'convolution_param { num_output: 2 kernel_h: 1 kernel_w: 3 }'),
    ('Convolution', (6, 1, 1, 3), 'convolution_param { num_output: 2 kernel_h: 1 kernel_w: 3 }'),
    ('InnerProduct', (243, 6), 'inner_product_param { num_output: 6 }')])
def test_weights_of_another_shape_are_refused_though_there_are_as_many(
        tmp_path, kind, shape, parameters):
    model, text = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    bias = np.zeros(6 if kind == 'InnerProduct' else 2)
    model.write_bytes(layer('c', kind, blobs=[blob(np.ones(shape)), blob(bias)]))
    text.write_text('input: "data" input_shape { dim: [1, 3, 9, 9] } layer { name: "c" type: '
                    f'"{kind}" bottom: "data" top: "c" {parameters} }}')
    with pytest.raises(DataError, match='expected, the file has'):
        load(model, text)


def test_batch_norm_of_nvidias_fork_has_scale_and_bias_and_divides_by_nothing(run):
    x, blobs = X[..., :3], [np.float32([.5, -1, 2, 1]), np.float32([1, 2, 3, 4]),
                            np.float32([7]), np.float32([2, 1, .5, -1]), np.float32([0, 1, 2, 3])]
    mean, variance, _, W, b = (blob.reshape(-1, 1, 1) for blob in blobs)
    for parameters in ({'scale_bias': True}, {'scale_filler': {'value': 1.}}, {}):
        y = run('BatchNorm', x, blobs, batch_norm_param={'eps': .1, **parameters})
        np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + .1) * W + b, rtol=1e-4,
                                   atol=1e-5)


def test_spp_pools_over_ever_smaller_parts_of_the_image(run):
    x = np.arange(2 * 6 * 8, dtype=np.float32).reshape(1, 2, 6, 8)
    y = run('SPP', x, spp_param={'pyramid_height': 2})
    # the whole plane, then its quarters, of both channels
    assert y.tolist() == [[47, 95, 19, 23, 43, 47, 67, 71, 91, 95]]
    y = run('SPP', x, spp_param={'pyramid_height': 2, 'pool': 'AVE'})
    means = x.reshape(2, 2, 3, 2, 4).mean((2, 4))
    np.testing.assert_allclose(y, [[*x.mean((0, 2, 3)), *means.ravel()]], rtol=1e-6)
    with pytest.raises(DataError, match='at least 8 pixels'):
        run('SPP', x, spp_param={'pyramid_height': 4})


def test_spp_pads_images_that_do_not_fit_on_both_sides(run):
    x = np.arange(5, dtype=np.float32).reshape(1, 1, 1, 5) + np.zeros((1, 1, 5, 1), np.float32)
    y = run('SPP', x, spp_param={'pyramid_height': 2})
    # by hand: windows of 3 from -1 on: 0, 1 and 2, 3, 4
    assert y.tolist() == [[4, 1, 4, 1, 4]]


def test_reorg_reads_the_blob_as_larger_images_and_puts_their_blocks_into_channels(run):
    x = np.arange(2 * 8 * 4 * 6, dtype=np.float32).reshape(2, 8, 4, 6)
    y = run('Reorg', x, reorg_param={'stride': 2})
    large = x.reshape(2, 2, 8, 12)
    assert y.shape == (2, 32, 2, 3)
    again = y.reshape(2, 2, 2, 2, 4, 6)
    for i, j, c in np.ndindex(2, 2, 2):
        np.testing.assert_array_equal(again[:, i, j, c], large[:, c, i::2, j::2])
    with pytest.raises(DataError, match='C a multiple of 9'):
        run('Reorg', x, reorg_param={'stride': 3})


def test_samples_are_chosen_by_number_or_by_a_filter(run):
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    y = run('BatchReindex', [x, np.float32([2, 0, 2])])
    np.testing.assert_array_equal(y, x[[2, 0, 2]])
    with pytest.raises(DataError, match='numbers of samples'):
        run('BatchReindex', [x, np.float32([4])])
    y, z = run('Filter', [x, -x, np.float32([[0], [1], [0], [3]])], tops=2)
    np.testing.assert_array_equal(y, x[[1, 3]])
    np.testing.assert_array_equal(z, -x[[1, 3]])
    with pytest.raises(DataError, match='2 samples expected'):
        run('Filter', [x, np.float32([1, 0])])


@pytest.mark.parametrize('kind, formula', [
    ('HardSwish', lambda x: x * np.clip(x + 3, 0, 6) / 6),
    ('Mish', lambda x: x * np.tanh(np.log1p(np.exp(x))))])
def test_newer_activations(run, kind, formula):
    np.testing.assert_allclose(run(kind, 3 * X), formula(3 * X), rtol=1e-5, atol=1e-6)


def test_deeplabs_holes_are_dilation(run):
    W, b = random(2, 4, 2, 2), random(2)
    expected = run('Convolution', X, [W, b], convolution_param={
        'num_output': 2, 'kernel_size': [2], 'pad': [1], 'dilation': [2]})
    for holes in ({'hole': 2}, {'hole_h': 2, 'hole_w': 2}):
        y = run('Convolution', X, [W, b], convolution_param={
            'num_output': 2, 'kernel_size': [2], 'pad': [1], **holes})
        np.testing.assert_array_equal(y, expected)


def test_a_scale_without_weights_is_the_factor_that_its_filler_states(run):
    y = run('Scale', X, scale_param={'filler': {'type': 'constant', 'value': 2.5}})
    np.testing.assert_array_equal(y, X * np.float32(2.5))
    for filler in ({'type': 'constant', 'value': 1.}, {'type': 'gaussian', 'value': 3.}, {}):
        with pytest.raises(DataError, match='1 blobs of weights expected'):
            run('Scale', X, scale_param={'filler': filler})


def test_dropout_by_chance_in_use_is_refused(run):
    np.testing.assert_array_equal(run('Dropout', X, dropout_param={
        'sample_weights_test': False}), X)
    with pytest.raises(DataError, match='sample_weights_test'):
        run('Dropout', X, dropout_param={'sample_weights_test': True})


def test_the_documentation_names_every_type_of_layer_that_is_read():
    text = (pathlib.Path(__file__).parents[2] / 'docs' / 'weights_from_anywhere.md').read_text()
    assert [name for name in LAYERS if f'`{name}`' not in text] == []

"""Convolutions beyond what the onnx package generates cases for."""
import numpy as np
import pytest

from minichain.errors import DataError, MinichainError
from tests.onnx.beside import check_beside_onnxruntime
from tests.onnx.building import check_gradients, load, reference, run

rng = np.random.default_rng(0)


def normal(*shape, dtype='float32'):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def slow_convolution(x, W, b, stride, before, behind, dilate, groups):
    """By the formula, window after window, in float64; two spatial axes."""
    x = np.pad(x.astype('float64'), [(0, 0), (0, 0), (before[0], behind[0]),
                                     (before[1], behind[1])])
    n, (o, c, kh, kw) = len(x), W.shape
    eh, ew = (kh - 1) * dilate[0] + 1, (kw - 1) * dilate[1] + 1
    oh, ow = (x.shape[2] - eh) // stride[0] + 1, (x.shape[3] - ew) // stride[1] + 1
    y = np.zeros((n, o, oh, ow))
    for filter_ in range(o):
        first = filter_ // (o // groups) * c
        for i in range(oh):
            for j in range(ow):
                top, left = i * stride[0], j * stride[1]
                seen = x[:, first:first + c, top:top + eh:dilate[0], left:left + ew:dilate[1]]
                y[:, filter_, i, j] = (seen * W[filter_]).sum(axis=(1, 2, 3)) + b[filter_]
    return y


@pytest.mark.parametrize('opset', [6, 11, 22])
@pytest.mark.parametrize('pads', [(0, 0, 0, 0), (1, 1, 1, 1), (2, 0, 1, 3), (0, 2, 0, 0)])
def test_pads_may_differ_on_all_sides(pads, opset):
    x, W, b = normal(2, 4, 7, 6), normal(6, 2, 3, 2), normal(6)
    y = run('Conv', x, W, b, opset=opset, pads=pads, strides=[2, 1], dilations=[1, 2], group=2,
            kernel_shape=[3, 2])
    expected = slow_convolution(x, W, b, (2, 1), pads[:2], pads[2:], (1, 2), 2)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('mode, before, behind', [('SAME_UPPER', (0, 1), (1, 1)),
                                                  ('SAME_LOWER', (1, 1), (0, 1)),
                                                  ('VALID', (0, 0), (0, 0))])
def test_automatic_pads_keep_the_size_divided_by_the_stride(mode, before, behind):
    x, W = normal(1, 1, 4, 5), normal(1, 1, 3, 3)
    y = run('Conv', x, W, auto_pad=mode, strides=[2, 1])
    expected = slow_convolution(x, W, [0], (2, 1), before, behind, (1, 1), 1)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('axes', [1, 3])
def test_any_number_of_spatial_axes(axes):
    x, W = normal(2, 3, *[5] * axes), normal(4, 3, *[2] * axes)
    pads = [1] * axes + [0] * axes
    np.testing.assert_allclose(run('Conv', x, W, pads=pads), reference('Conv', x, W, pads=pads),
                               rtol=1e-4, atol=1e-5)


def test_half_and_double_precision_and_an_empty_batch():
    for dtype, tolerance in (('float16', 2e-2), ('float64', 1e-12)):
        x, W = normal(1, 2, 5, 5, dtype=dtype), normal(3, 2, 3, 3, dtype=dtype)
        y = run('Conv', x, W)
        assert y.dtype == dtype
        expected = slow_convolution(x, W, np.zeros(3), (1, 1), (0, 0), (0, 0), (1, 1), 1)
        np.testing.assert_allclose(y, expected, tolerance, tolerance)
    y = run('Conv', normal(0, 2, 5, 5), normal(3, 2, 3, 3), pads=[0, 0, 1, 1])
    assert y.shape == (0, 3, 4, 4)


def test_gradients_reach_image_filters_and_bias():
    x, W, b = (normal(*shape, dtype='float64') for shape in ((1, 2, 4, 3), (2, 1, 2, 2), (2,)))
    check_gradients(load('Conv', (x, W, b), initializers=(1, 2), pads=[0, 1, 1, 0], group=2), x)
    W = normal(2, 1, 2, 2, dtype='float64')
    check_gradients(load('ConvTranspose', (x, W, b[:1]), initializers=(1, 2), strides=[2, 1],
                         pads=[0, 1, 1, 0]), x)


def test_the_transpose_is_the_adjoint_of_convolution():
    settings = {'strides': [2, 3], 'pads': [1, 0, 0, 2], 'dilations': [1, 2]}
    x, W, seed = normal(1, 2, 7, 9), normal(3, 2, 2, 3), normal(1, 3, 4, 3)
    y = run('Conv', x, W, **settings)
    back = run('ConvTranspose', seed, W, **settings)
    assert y.shape == seed.shape and back.shape == x.shape
    assert np.vdot(y, seed) == pytest.approx(np.vdot(x, back), rel=1e-4)


@pytest.mark.parametrize('settings', [
    {}, {'strides': [2, 1], 'output_padding': [1, 0]}, {'auto_pad': 'SAME_UPPER'},
    {'auto_pad': 'SAME_LOWER', 'strides': [2, 2]}, {'output_shape': [9, 8], 'strides': [2, 2]},
    {'auto_pad': 'SAME_UPPER', 'output_shape': [8, 9], 'strides': [2, 2]},
    {'dilations': [2, 1], 'pads': [2, 0, 1, 1]}])
@pytest.mark.parametrize('opset', [6, 22])
def test_transposed_convolution_is_that_of_onnxruntime(opset, settings):
    check_beside_onnxruntime('ConvTranspose', normal(2, 4, 4, 4), normal(4, 2, 3, 3), normal(4),
                             group=2, opset=opset, **settings)


def test_an_output_shape_longer_than_all_windows_has_zeros_behind():
    x, W = np.ones((1, 1, 2), np.float32), np.ones((1, 1, 2), np.float32)
    y = run('ConvTranspose', x, W, strides=[2], output_shape=[6])
    np.testing.assert_array_equal(y, [[[1, 1, 1, 1, 0, 0]]])


@pytest.mark.parametrize('kind', ['uint8', 'int8'])
def test_sums_of_integers_are_exact(kind):
    bounds = np.iinfo(kind)
    x = rng.integers(bounds.min, bounds.max, (2, 4, 6, 5)).astype(kind)
    W = rng.integers(-128, 127, (4, 2, 3, 2)).astype('int8')
    zeros = np.array(7, kind), np.array([1, -2, 3, 0], 'int8')
    y = run('ConvInteger', x, W, *zeros, group=2, pads=[1, 0, 0, 1])
    expected = slow_convolution(x.astype('int64') - 7, W - zeros[1].astype('int64')[
        :, None, None, None], np.zeros(4), (1, 1), (1, 0), (0, 1), (1, 1), 2)
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, expected)
    plain = run('ConvInteger', x, W, group=2)
    np.testing.assert_array_equal(plain, slow_convolution(
        x.astype('int64'), W, np.zeros(4), (1, 1), (0, 0), (0, 0), (1, 1), 2))


@pytest.mark.parametrize('many', [False, True])
def test_quantized_convolution_rounds_and_saturates(many):
    x = rng.integers(0, 255, (2, 2, 5, 5)).astype('uint8')
    W = rng.integers(-128, 127, (3, 2, 3, 3)).astype('int8')
    scale = np.array([.01, .02, .04], 'float32') if many else np.float32(.02)
    b = np.array([100, -3000, 20], 'int32')
    y = run('QLinearConv', x, np.float32(.5), np.uint8(128), W, scale, np.int8(0), np.float32(1.5),
            np.uint8(100), b)
    sums = slow_convolution(x - 128., W, b, (1, 1), (0, 0), (0, 0), (1, 1), 1)
    real = sums * (.5 * np.reshape(scale, (-1, 1, 1)) / 1.5) + 100
    assert y.dtype == np.uint8
    np.testing.assert_array_equal(y, np.clip(np.rint(real), 0, 255))
    assert y.min() == 0 and y.max() == 255


def test_columns_go_back_to_their_places():
    columns = np.arange(1, 17, dtype='float64').reshape(1, 4, 4)
    y = run('Col2Im', columns, np.array([3, 3]), np.array([2, 2]))
    blocks, expected = columns.reshape(2, 2, 2, 2), np.zeros((1, 1, 3, 3))
    for i in range(2):
        for j in range(2):
            expected[0, 0, i:i + 2, j:j + 2] += blocks[:, :, i, j]
    np.testing.assert_array_equal(y, expected)
    whole = run('Col2Im', columns.astype('int32'), np.array([3, 3]), np.array([2, 2]))
    assert whole.dtype == np.int32
    np.testing.assert_array_equal(whole, expected)


def test_what_does_not_fit_is_refused():
    x, W = normal(1, 2, 4, 4), normal(2, 2, 3, 3)
    for attributes, words in (
            ({'strides': [0, 1]}, 'strides'), ({'pads': [1, 1]}, 'pads'),
            ({'pads': [-1, 0, 0, 0]}, 'pads'), ({'kernel_shape': [2, 2]}, 'kernel_shape'),
            ({'auto_pad': 'SOME'}, 'auto_pad'), ({'dilations': [3, 1]}, 'does not fit'),
            ({'pads': [1 << 30] * 4}, 'damaged'), ({'group': 3}, 'group'),
            ({'strides': [1 << 20] * 2, 'pads': [1 << 24] * 4}, 'damaged')):
        with pytest.raises(MinichainError, match=words):
            run('Conv', x, W, **attributes)
    with pytest.raises(DataError, match='damaged'):
        run('ConvTranspose', x, W, strides=[1 << 20] * 2)
    with pytest.raises(DataError, match='damaged'):
        run('ConvTranspose', x, W, output_shape=[1 << 20] * 2)
    with pytest.raises(DataError, match='pads and output_padding'):
        run('ConvTranspose', x, W, pads=[9] * 4)
    with pytest.raises(DataError, match='spatial axis'):
        run('Conv', x[0, 0], W[0, 0])
    with pytest.raises(DataError, match='columns expected'):
        run('Col2Im', normal(1, 4, 5), np.array([3, 3]), np.array([2, 2]))
    with pytest.raises(DataError, match='damaged'):
        run('Col2Im', normal(1, 4, 1), np.array([1 << 20, 1 << 20]), np.array([2, 2]),
            strides=[1 << 30] * 2)

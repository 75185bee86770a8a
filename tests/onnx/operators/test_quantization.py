"""Quantization in ONNX beyond the cases of the onnx package."""
import numpy as np
import pytest
from onnx import TensorProto

from minichain.errors import DataError
from tests.onnx.building import run

SMALL = ['int8', 'uint8', 'int16', 'uint16']


def draw(*shape, seed=0, dtype=np.float32):
    return np.random.RandomState(seed).uniform(-40, 40, shape).astype(dtype)


def quantized(x, scale, zero_point, dtype):
    limits = np.iinfo(dtype)
    y = np.rint(x / scale) + zero_point.astype(np.float64)
    return np.clip(y, limits.min, limits.max).astype(dtype)


@pytest.mark.parametrize('dtype', SMALL)
@pytest.mark.parametrize('axis', [0, 1, -1])
def test_a_scale_for_each_position_of_an_axis(dtype, axis):
    x = draw(3, 4, 5)
    length = x.shape[axis]
    scale = np.linspace(.1, 1, length, dtype=np.float32)
    zero_point = np.arange(length).astype(dtype)
    shape = [1, 1, 1]
    shape[axis] = length
    y = run('QuantizeLinear', x, scale, zero_point, opset=21, axis=axis)
    assert y.dtype == dtype
    scales, zeros = scale.reshape(shape), zero_point.reshape(shape)
    np.testing.assert_array_equal(y, quantized(x, scales, zeros, dtype))
    back = run('DequantizeLinear', y, scale, zero_point, opset=21, axis=axis)
    assert back.dtype == np.float32
    expected = (y.astype(np.float64) - zeros) * scales
    np.testing.assert_allclose(back, expected, 1e-6, 1e-6)


def test_halves_go_to_even_and_results_stay_within_their_type():
    x = np.float32([.5, 1.5, -.5, 300, -300])
    np.testing.assert_array_equal(run('QuantizeLinear', x, np.float32(1), np.int8(1)),
                                  [1, 3, 1, 127, -128])
    assert run('QuantizeLinear', x, np.float32(1)).dtype == np.uint8


def test_the_first_operator_set_has_one_scale():
    x = np.float32([[0, 2], [3, 1000]])
    np.testing.assert_array_equal(
        run('QuantizeLinear', x, np.float32(2), np.uint8(128), opset=10), [[128, 129], [130, 255]])
    np.testing.assert_array_equal(
        run('DequantizeLinear', np.uint8([[128, 0]]), np.float32(2), np.uint8(128), opset=10),
        [[0, -256]])


def test_integers_of_32_bits_are_scaled():
    x = np.array([[-2 ** 31, 7], [3, 2 ** 31 - 1]], np.int32)
    y = run('DequantizeLinear', x, np.float32([.5, 2]), opset=13, axis=0)
    np.testing.assert_allclose(y, x * np.array([[.5], [2]]), 1e-6)
    with_zero = run('DequantizeLinear', x, np.float32(.5), np.int32(0), opset=13)
    np.testing.assert_allclose(with_zero, x * .5, 1e-6)


@pytest.mark.parametrize('block', [1, 2, 3, 4])
def test_a_scale_for_each_block(block):
    x = draw(2, 4, 3)
    count = -(-4 // block)
    scale = np.random.RandomState(1).uniform(.2, 1, (2, count, 3)).astype(np.float32)
    zero_point = np.random.RandomState(2).randint(0, 9, scale.shape).astype(np.uint8)
    scales, zeros = (np.repeat(value, block, 1)[:, :4] for value in (scale, zero_point))
    y = run('QuantizeLinear', x, scale, zero_point, opset=21, axis=1, block_size=block)
    np.testing.assert_array_equal(y, quantized(x, scales, zeros, np.uint8))
    back = run('DequantizeLinear', y, scale, zero_point, opset=21, axis=1, block_size=block)
    np.testing.assert_allclose(back, (y.astype(np.float32) - zeros) * scales, 1e-6)


def test_scales_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match='4 scales'):
        run('QuantizeLinear', draw(3, 4), np.float32([1, 2, 3]), opset=13)
    with pytest.raises(DataError, match='blocks? of 3'):
        run('QuantizeLinear', draw(3, 4), draw(3, 4), opset=21, block_size=3)


def test_the_type_of_the_result_can_be_chosen():
    x = draw(3)
    y = run('QuantizeLinear', x, np.float32(1), opset=21, output_dtype=TensorProto.INT16)
    np.testing.assert_array_equal(y, np.rint(x).astype(np.int16))
    y = run('DequantizeLinear', np.int8([3]), np.float16(.5), opset=23,
            output_dtype=TensorProto.FLOAT)
    assert y.dtype == np.float32 and y == 1.5


@pytest.mark.parametrize('values', [[-3., 0, 9], [2., 5], [-4., -1], [0., 0]])
def test_a_scale_found_from_the_range(values):
    x = np.float32(values)
    y, scale, zero_point = run('DynamicQuantizeLinear', x, n_outputs=3, opset=11)
    assert y.dtype == zero_point.dtype == np.uint8 and scale.dtype == np.float32
    assert scale.shape == zero_point.shape == ()
    assert scale > 0
    np.testing.assert_allclose((y.astype(np.float32) - zero_point) * scale, x, 0,
                               float(scale) * .51)


@pytest.mark.parametrize('types', [('uint8', 'int8'), ('int8', 'uint8'), ('uint8', 'uint8')])
def test_products_of_integers_are_exact(types):
    random = np.random.RandomState(0)
    x, y = (random.randint(0, 128, shape).astype(dtype)
            for shape, dtype in zip([(2, 5, 300), (300, 7)], types))
    zeros = random.randint(0, 50, (2, 5, 1)).astype(types[0]), \
        random.randint(0, 50, 7).astype(types[1])
    expected = (x.astype(np.int64) - zeros[0]) @ (y.astype(np.int64) - zeros[1])
    z = run('MatMulInteger', x, y, *zeros, opset=10)
    assert z.dtype == np.int32
    np.testing.assert_array_equal(z, expected)
    z = run('MatMulInteger', x[0], y, zeros[0][0, :, 0], opset=10)
    np.testing.assert_array_equal(z, (x[0].astype(np.int64) - zeros[0][0]) @ y.astype(np.int64))


@pytest.mark.parametrize('each', [False, True])
def test_quantized_products(each):
    random = np.random.RandomState(0)
    x, y = random.randint(0, 255, (4, 6), np.uint8), random.randint(-99, 99, (6, 3), np.int8)
    x_scale, y_scale = (np.linspace(.01, .1, length, dtype=np.float32) for length in (4, 3))
    x_zero, y_zero = np.arange(4, dtype=np.uint8), np.arange(3, dtype=np.int8)
    if not each:
        x_scale, y_scale, x_zero, y_zero = x_scale[0], y_scale[0], x_zero[1], y_zero[1]
    z_scale, z_zero = np.float32(.7), np.uint8(100)
    z = run('QLinearMatMul', x, x_scale, x_zero, y, y_scale, y_zero, z_scale, z_zero, opset=21)
    a = (x.astype(np.float64) - (x_zero[:, None] if each else x_zero)) * (
        x_scale[:, None] if each else x_scale)
    expected = quantized(a @ ((y.astype(np.float64) - y_zero) * y_scale), z_scale, z_zero,
                         np.uint8)
    assert z.dtype == np.uint8
    np.testing.assert_array_equal(z, expected)

"""Integers that stand for floats: value = scale (integer - zero point).

Scales and zero points are one for all, one for each position of an axis, or one for each block of
positions. No gradient flows through the rounding.
"""
import math

import numpy as np

from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.budget import current
from minichain.onnx.operators.values import check_growth, normalize_axis, on_one_device
from minichain.onnx.schema import dtype_of

SMALL = ('int8', 'uint8', 'int16', 'uint16')


def spread(node, parameter, x):
    """A scale or zero point in a shape that broadcasts to x."""
    if parameter.size == 1 and parameter.ndim <= 1:
        return parameter.reshape(())
    axis = normalize_axis(node.get('axis', 1), x.ndim) if x.ndim > 1 else 0
    length, block = x.shape[axis], node.get('block_size', 0)
    if parameter.ndim == 1 and not block:
        if parameter.size != length:
            raise DataError(f'{length} scales expected, one for each position of axis {axis} of '
                            f'{x.shape}, got {parameter.size}')
        return parameter.reshape((-1,) + (1,) * (x.ndim - 1 - axis))
    expected = (*x.shape[:axis], math.ceil(length / block) if block > 0 else -1,
                *x.shape[axis + 1:])
    if parameter.shape != expected:
        raise DataError(f'scales of the shape {expected} expected, one for each block of {block} '
                        f'along axis {axis} of {x.shape}, got {parameter.shape}')
    xp = get_array_module(parameter)
    return parameter.take(xp.arange(length) // block, axis)


def saturate(y, zero_point, dtype):
    """Rounded floats plus a zero point, cut to the limits of an integer type."""
    xp, limits = get_array_module(y), np.iinfo(dtype)
    y = y.astype(np.float32, copy=False) if y.dtype == np.float16 else y
    return xp.clip(y + zero_point.astype(y.dtype), limits.min, limits.max).astype(dtype)


def zero_like(x, dtype):
    return get_array_module(x).zeros((), dtype)


def quantize_linear(node, x, scale, zero_point=None):
    x, scale = on_one_device(x, scale)
    dtype = node.get('output_dtype') or None
    dtype = dtype_of(dtype, 'output_dtype') if dtype else np.dtype(np.uint8)
    if zero_point is None:
        zero_point = zero_like(x, dtype)
    x, zero_point = on_one_device(x, zero_point)
    if zero_point.dtype.name not in SMALL:
        raise DataError(f'integers of 8 or 16 bits expected as zero point, got '
                        f'{zero_point.dtype}')
    precision = node.get('precision') or None
    precision = dtype_of(precision, 'precision') if precision else scale.dtype
    y = x.astype(precision, copy=False) / spread(node, scale, x).astype(precision, copy=False)
    return saturate(get_array_module(x).rint(y), spread(node, zero_point, x), zero_point.dtype)


def dequantize_linear(node, x, scale, zero_point=None):
    x, scale = on_one_device(x, scale)
    dtype = node.get('output_dtype') or None
    dtype = dtype_of(dtype, 'output_dtype') if dtype else scale.dtype
    if zero_point is not None:
        x, zero_point = on_one_device(x, zero_point)
        wide = np.int64 if x.dtype.itemsize > 2 else np.int32
        x = x.astype(wide) - spread(node, zero_point, x).astype(wide)
    return x.astype(dtype) * spread(node, scale, x).astype(dtype)


def dynamic_quantize_linear(node, x):
    """Quantized to uint8 with the scale that its own range, widened to hold 0, asks for."""
    x, xp = as_array(x), get_array_module(x)
    low, high = xp.minimum(x.min(), 0), xp.maximum(x.max(), 0)
    scale = xp.asarray((high - low) / x.dtype.type(255))
    scale = xp.where(scale == 0, x.dtype.type(1), scale)
    zero_point = xp.rint(xp.clip(-low / scale, 0, 255)).astype(np.uint8)
    return saturate(xp.rint(x / scale), zero_point, np.uint8), scale, zero_point


def product_of_integers(x, y, x_zero=None, y_zero=None):
    """(x - x_zero) @ (y - y_zero), exact: the products of 8 bits fit into float64 by far.

    Zero points are one for all, or one for each row of x, and each column of y.
    """
    x, y, *zeros = on_one_device(x, y, *(zero for zero in (x_zero, y_zero) if zero is not None))
    if x.ndim == 0 or y.ndim == 0:
        raise DataError('matrices or vectors expected, got a number')
    shape = np.broadcast_shapes(x.shape[:-2], y.shape[:-2]) + x.shape[-2:-1] + y.shape[-1:]
    check_growth(shape, x, y)
    current().work(2 * math.prod(shape) * x.shape[-1])
    a, b = x.astype(np.float64), y.astype(np.float64)
    if x_zero is not None:
        a -= rows(zeros.pop(0), x)
    if y_zero is not None:
        b -= zeros.pop(0)   # one for each column is aligned as NumPy does
    return a @ b


def rows(parameter, x):
    """A parameter for each row of a matrix, so that it broadcasts to it."""
    if parameter.ndim == 1 and parameter.size > 1 and x.ndim > 1:
        return parameter.reshape(-1, 1)
    return parameter


def mat_mul_integer(node, x, y, x_zero=None, y_zero=None):
    result = product_of_integers(x, y, x_zero, y_zero)
    return get_array_module(result).asarray(result).astype(np.int64).astype(np.int32)


def qlinear_mat_mul(node, x, x_scale, x_zero, y, y_scale, y_zero, z_scale, z_zero):
    z = product_of_integers(x, y, x_zero, y_zero)
    z, x_scale, y_scale, z_scale, z_zero = on_one_device(z, x_scale, y_scale, z_scale, z_zero)
    factor = rows(x_scale, x).astype(np.float64) * y_scale / rows(z_scale, x)
    return saturate(get_array_module(z).rint(z * factor), rows(z_zero, x), z_zero.dtype)


OPERATORS = {
    'DequantizeLinear': dequantize_linear,
    'DynamicQuantizeLinear': dynamic_quantize_linear,
    'MatMulInteger': mat_mul_integer,
    'QLinearMatMul': qlinear_mat_mul,
    'QuantizeLinear': quantize_linear,
}

"""Convolutions: of floats, transposed, of integers, and columns put back into an image."""
import math

import numpy as np

import minichain.functions as F
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.functions.convolution import Convolution, Deconvolution, check_operands
from minichain.functions.convolution_arrays import convolve
from minichain.functions.im2col import Col2Im
from minichain.functions.windows import Windows, get_conv_outsize
from minichain.onnx.budget import current
from minichain.onnx.operators.geometry import (
    auto_pad,
    check_windows,
    expect_image,
    halves,
    lengths,
    slide,
    split_pads,
)
from minichain.onnx.operators.values import (
    check_growth,
    is_variable,
    on_one_device,
    send_like,
    to_ints,
)


def kernel_of(node, x, W):
    """The spatial shape of the filters.

    Raises:
        DataError: x and W do not fit, or `kernel_shape` says something else.
    """
    expect_image(x)
    ksize = W.shape[2:]
    if W.ndim != x.ndim or tuple(node.get('kernel_shape', ksize)) != ksize:
        raise DataError(f'filters for an input {x.shape}, of the spatial shape kernel_shape = '
                        f'{node.get("kernel_shape")}, expected, got {W.shape}')
    return ksize


def plan(windows, x, W):
    """Refuses a convolution that is too large, or takes too long."""
    check_windows(windows, x, len(W), math.prod(windows.ksize))
    current().work(2 * len(x) * W.size * math.prod(windows.out))


def conv(node, x, W, b=None):
    windows, _ = slide(node, x.shape[2:], kernel_of(node, x, W))
    groups = node.get('group', 1)
    plan(windows, x, W)
    if windows.out == tuple(get_conv_outsize(n, k, s, p, False, d)
                            for n, k, s, p, d, _ in zip(*windows)) and 0 not in windows.size:
        return F.convolution_nd(x, W, b, windows.stride, windows.pad, dilate=windows.dilate,
                                groups=groups)
    check_operands('Conv', x, W, b, groups)
    if 0 in windows.out:
        return get_array_module(x).zeros((len(x), len(W), *windows.out), x.dtype)
    return Convolution(windows, groups).apply((x, W) if b is None else (x, W, b))[0]


def conv_transpose(node, x, W, b=None):
    windows, groups = transposed_windows(node, x, kernel_of(node, x, W)), node.get('group', 1)
    check_operands('ConvTranspose', x, W, b, groups, transposed=True)
    check_growth((len(x), W.shape[1] * groups, *windows.size), x)
    check_growth((x.shape[1], *windows.extent), x, on_the_way=True)
    check_growth((W.shape[1] * groups, *windows.ksize, *windows.out), x, on_the_way=True)
    current().work(2 * x.size * math.prod(W.shape[1:]))
    if 0 in windows.out:
        y = get_array_module(x).zeros((len(x), W.shape[1] * groups, *windows.size), x.dtype)
        return y if b is None else y + F.reshape(b, (-1, *[1] * len(windows.size)))
    return Deconvolution(windows, groups).apply((x, W) if b is None else (x, W, b))[0]


def transposed_windows(node, x, ksize):
    """The windows of the convolution whose adjoint ConvTranspose is."""
    small, ndim = x.shape[2:], x.ndim - 2
    stride, dilate = (lengths(node, name, ndim, 1, 1) for name in ('strides', 'dilations'))
    extra = lengths(node, 'output_padding', ndim, 0, 0)
    full = [s * (n - 1) + o + (k - 1) * d + 1
            for s, n, o, k, d in zip(stride, small, extra, ksize, dilate)]
    mode, size = auto_pad(node), node.get('output_shape')
    if size is None and not mode.startswith('SAME'):
        before, behind = split_pads(node, ndim)
        size = tuple(f - p - q for f, p, q in zip(full, before, behind))
    else:
        size = tuple(n * s for n, s in zip(small, stride)) if size is None else \
            lengths(node, 'output_shape', len(size), 1, 0)[-ndim:]
        total = [max(0, f - n) for f, n in zip(full, size)]
        before, _ = halves(total, mode == 'SAME_UPPER')
    if min(size) < 0:
        raise DataError(f'pads and output_padding give the spatial shape {size}')
    return Windows(tuple(size), ksize, stride, before, dilate, small)


def centred(x, zero):
    """Integers less their zero point, as float64, in which sums of their products are exact."""
    if zero is None:
        return x.astype('float64')
    shape = () if zero.size == 1 else (-1, *[1] * (x.ndim - 1))     # one, or one for each filter
    return x.astype('float64') - send_like(zero, x).reshape(shape)


def integer_sums(node, x, W, x_zero, W_zero):
    """The convolution of integers, as float64."""
    windows, _ = slide(node, x.shape[2:], kernel_of(node, x, W))
    plan(windows, x, W)
    x, W = on_one_device(x, W)
    x, W, groups = centred(x, x_zero), centred(W, W_zero), node.get('group', 1)
    check_operands(node.op_type, x, W, None, groups)
    if 0 in windows.out:
        return get_array_module(x).zeros((len(x), len(W), *windows.out))
    return convolve(x, W, None, windows, groups)


def conv_integer(node, x, W, x_zero=None, W_zero=None):
    return integer_sums(node, x, W, x_zero, W_zero).astype('int64').astype('int32')


def qlinear_conv(node, x, x_scale, x_zero, W, W_scale, W_zero, y_scale, y_zero, b=None):
    y = integer_sums(node, x, W, x_zero, W_zero)
    y, x_scale, W_scale, y_scale, y_zero = on_one_device(y, x_scale, W_scale, y_scale, y_zero)
    shape = (-1, *[1] * (y.ndim - 2))
    if b is not None:
        y += send_like(b, y).reshape(shape)
    scale = x_scale.reshape(()) * W_scale.reshape(shape) / y_scale.reshape(())
    xp, bounds = get_array_module(y), np.iinfo(y_zero.dtype)
    y = xp.rint(y.astype('float32') * scale) + y_zero.reshape(())
    return xp.clip(y, bounds.min, bounds.max).astype(y_zero.dtype)


def col2im(node, columns, image_shape, block_shape):
    size, ksize = to_ints(image_shape), to_ints(block_shape)
    if columns.ndim != 3 or len(size) != len(ksize) or not size or min(*size, *ksize) < 1 \
            or columns.shape[1] % math.prod(ksize):
        raise DataError(f'columns (N, C * prod(block_shape), L) expected, got {columns.shape} for '
                        f'image_shape {size} and block_shape {ksize}')
    windows, _ = slide(node, size, ksize)
    if math.prod(windows.out) != columns.shape[2]:
        raise DataError(f'{math.prod(windows.out)} columns expected: windows {windows.out}; got '
                        f'{columns.shape}')
    channels = columns.shape[1] // math.prod(ksize)
    check_growth((len(columns), channels, *size), columns)
    columns = columns.reshape((len(columns), channels, *ksize, *windows.out))
    if is_variable(columns):
        return Col2Im(windows).apply((columns,))[0]
    return Col2Im(windows).forward((columns,))[0]


OPERATORS = {
    'Col2Im': col2im,
    'Conv': conv,
    'ConvInteger': conv_integer,
    'ConvTranspose': conv_transpose,
    'QLinearConv': qlinear_conv,
}

"""Blocks of pixels to channels and back; crops and pads around the middle. Any type."""
import math

import minichain.functions as F
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.operators.values import axes_of, check_growth, is_float, to_ints


def block_of(node, x):
    size = node.require('blocksize')
    if x.ndim != 4 or size < 1:
        raise DataError(f'an input (N, C, H, W) and a blocksize of at least 1 expected, got '
                        f'{x.shape} and {size}')
    return size


def depth_to_space(node, x):
    block = block_of(node, x)
    n, c, h, w = x.shape
    if c % block ** 2:
        raise DataError(f'channels that divide by {block} * {block} expected, got {c}')
    if node.get('mode', 'DCR') == 'CRD':
        x = x.reshape((n, c // block ** 2, block, block, h, w)).transpose((0, 1, 4, 2, 5, 3))
    else:
        x = x.reshape((n, block, block, c // block ** 2, h, w)).transpose((0, 3, 4, 1, 5, 2))
    return x.reshape((n, c // block ** 2, h * block, w * block))


def space_to_depth(node, x):
    block = block_of(node, x)
    n, c, h, w = x.shape
    if h % block or w % block:
        raise DataError(f'a height and width that divide by {block} expected, got {x.shape}')
    x = x.reshape((n, c, h // block, block, w // block, block))
    x = x.transpose((0, 1, 3, 5, 2, 4) if node.get('mode') == 'CRD' else (0, 3, 5, 1, 2, 4))
    return x.reshape((n, c * block ** 2, h // block, w // block))


def center_crop_pad(node, x, shape):
    axes, wanted = axes_of(node, x), to_ints(shape)
    axes = tuple(range(x.ndim)) if axes is None else axes
    if len(axes) != len(wanted) or min(wanted, default=0) < 0:
        raise DataError(f'a shape of {len(axes)} lengths expected, got {wanted}')
    crop, pads, whole = [slice(None)] * x.ndim, [(0, 0)] * x.ndim, list(x.shape)
    for axis, length in zip(axes, wanted):
        spare, whole[axis] = x.shape[axis] - length, length
        if spare >= 0:
            crop[axis] = slice(spare // 2, spare // 2 + length)
        else:
            pads[axis] = (-spare // 2, -spare - -spare // 2)
    check_growth(whole, x)
    x = x[tuple(crop)]
    if not math.prod(whole) or not any(sum(pair) for pair in pads):
        return x if x.shape == tuple(whole) else get_array_module(x).zeros(whole, x.dtype)
    if is_float(x):
        return F.pad(x, pads, 'constant')
    return get_array_module(x).pad(x, pads)


OPERATORS = {
    'CenterCropPad': center_crop_pad,
    'DepthToSpace': depth_to_space,
    'SpaceToDepth': space_to_depth,
}

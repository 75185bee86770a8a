"""Images sampled wherever a grid points: GridSample, AffineGrid, deformable convolution.

A pixel is a row of channels, so that every neighbour is one row taken for each point. Gradients
reach the image and the grid.
"""
import itertools
import math

import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.functions.convolution import check_operands
from minichain.onnx.budget import RESULT, STEP, current
from minichain.onnx.operators.convolution import kernel_of
from minichain.onnx.operators.geometry import check_windows, slide
from minichain.onnx.operators.values import (
    check_growth,
    check_size,
    is_float,
    send_like,
    to_ints,
)

MODES = {'linear': 'linear', 'bilinear': 'linear', 'nearest': 'nearest', 'cubic': 'cubic',
         'bicubic': 'cubic'}
A = -.75    # of the cubic kernel
TAPS = {'nearest': 1, 'linear': 2, 'cubic': 4}     # along each axis


def reflected(position, low, high):
    """Coordinates beaten back at two borders until they lie between them."""
    array = as_array(position)
    xp, span = get_array_module(array), max(high - low, 1e-9)
    turn = xp.floor((array - low) / span)
    odd = (turn % 2).astype(array.dtype)
    # rising on even turns, falling on odd ones
    return position * (1 - 2 * odd) + (odd * (low + high) - (1 - 2 * odd) * turn * span)


def taps_of(position, mode):
    """The neighbours of coordinates along an axis: a list of (index, weight); both float."""
    xp = get_array_module(position)
    if mode == 'nearest':
        nearest = xp.rint(as_array(position))
        return [(nearest, None)]
    first = xp.floor(as_array(position))
    right = position - first
    left = 1 - right
    if mode == 'linear':
        return [(first, left), (first + 1, right)]
    return [(first - 1, far(1 + right)), (first, near(right)), (first + 1, near(left)),
            (first + 2, far(1 + left))]


def near(x):
    return ((A + 2) * x - (A + 3)) * x * x + 1


def far(x):
    return ((A * x - 5 * A) * x + 8 * A) * x - 4 * A


def sample(x, positions, mode, padding, borders):
    """Images at points.

    Args:
        x: (N, C, size...), float.
        positions: coordinates in pixels, one Variable (N, P) an axis.
        mode: 'nearest', 'linear' or 'cubic'.
        padding: 'zeros', 'border' or 'reflection'.
        borders: (low, high) at which a reflection turns, one an axis.
    Returns:
        (N, P, C).
    """
    (n, c, *size), points, xp = x.shape, positions[0].shape[1], get_array_module(x)
    current().work(TAPS[mode] ** len(size) * (STEP + RESULT * n * points * c))
    pixels = F.reshape(F.transpose(x, (0, *range(2, x.ndim), 1)), (n * math.prod(size), c))
    axes = []
    for position, length, (low, high) in zip(positions, size, borders):
        if padding == 'border' and mode != 'cubic':
            position = F.clip(position, 0, length - 1)
        taps = []
        for index, weight in taps_of(position, mode):
            if padding == 'reflection':
                index = reflected(index, low, high)
            inside = (index >= 0) & (index <= length - 1)
            weight = inside.astype(x.dtype) if weight is None else weight
            if padding == 'zeros':
                weight = weight * inside.astype(x.dtype)
            taps.append((xp.clip(xp.nan_to_num(index), 0, length - 1).astype('int64'), weight))
        axes.append(taps)
    y, image = None, xp.arange(n)[:, None]
    for neighbours in itertools.product(*axes):
        row, weight = image, None
        for (index, part), length in zip(neighbours, size):
            row = row * length + index
            weight = part if weight is None else weight * part
        term = F.get_item(pixels, row.ravel()) * F.reshape(weight, (n * points, 1))
        y = term if y is None else y + term
    return F.reshape(y, (n, points, c))


def grid_sample(node, x, grid):
    mode, padding = MODES.get(node.get('mode', 'linear')), node.get('padding_mode', 'zeros')
    if mode is None or padding not in ('zeros', 'border', 'reflection'):
        raise DataError(f'mode {node.get("mode")!r} or padding_mode {padding!r} is not known')
    if x.ndim < 3 or grid.ndim != x.ndim or grid.shape[0] != x.shape[0] \
            or grid.shape[-1] != x.ndim - 2:
        raise DataError(f'a grid (N, out..., {x.ndim - 2}) for {x.shape} expected, got '
                        f'{grid.shape}')
    n, c, *size = x.shape
    out = grid.shape[1:-1]
    check_growth((n, c, *out), x, grid)
    if not x.size or not grid.size:
        return get_array_module(x).zeros((n, c, *out), x.dtype)
    dtype = np.promote_types(np.promote_types(x.dtype, grid.dtype), 'float32')
    points = F.reshape(F.cast(grid, dtype), (n, math.prod(out), len(size)))
    positions, borders = [], []
    for axis, length in enumerate(size):    # the grid names the last axis first
        place = (points[:, :, len(size) - 1 - axis] + 1) * .5
        if node.get('align_corners'):
            positions.append(place * (length - 1))
            borders.append((0, length - 1))
        else:
            positions.append(place * length - .5)
            borders.append((-.5, length - .5))
    y = sample(F.cast(x, dtype), positions, mode, padding, borders)
    y = F.reshape(F.transpose(y, (0, 2, 1)), (n, c, *out))
    return F.cast(y, x.dtype) if is_float(x) else as_array(y).astype(x.dtype)


def affine_grid(node, theta, size):
    n, _, *out = check_size(to_ints(size))
    axes = len(out)
    if axes not in (2, 3) or theta.shape != (n, axes, axes + 1):
        raise DataError(f'theta ({n}, {axes}, {axes + 1}) for the size {to_ints(size)} expected, '
                        f'got {theta.shape}')
    check_size((n, axes + 1, *out))
    places = []
    for length in out:
        place = (np.arange(length) * 2 + 1) / length - 1
        if node.get('align_corners'):
            place = np.linspace(-1, 1, length)
        places.append(place)
    points = np.stack([*np.meshgrid(*places, indexing='ij')[::-1], np.ones(out)], axis=-1)
    points = send_like(points.reshape(-1, axes + 1).astype(theta.dtype), theta)
    return F.reshape(F.matmul(points, theta, transb=True), (n, *out, axes))


def deform_conv(node, x, W, offset, b=None, mask=None):
    windows, _ = slide(node, x.shape[2:], kernel_of(node, x, W))
    groups, parts = node.get('group', 1), node.get('offset_group', 1)
    check_operands('DeformConv', x, W, b, groups)
    check_windows(windows, x, len(W), math.prod(windows.ksize))
    taps, out, axes = math.prod(windows.ksize), windows.out, len(windows.ksize)
    n, c = x.shape[:2]
    if parts < 1 or c % parts or offset.shape != (n, parts * taps * axes, *out) or \
            mask is not None and mask.shape != (n, parts * taps, *out):
        raise DataError(f'offset ({n}, {parts * taps * axes}, {out}) for {parts} offset groups, '
                        f'and a mask with a part of its channels, expected, got {offset.shape}')
    offset = F.reshape(offset, (n * parts, taps, axes, math.prod(out)))
    positions = []
    for axis, place in enumerate(tap_positions(windows)):
        place = send_like(place.astype(x.dtype), x)
        positions.append(F.reshape(offset[:, :, axis] + place, (n * parts, -1)))
    y = sample(F.reshape(x, (n * parts, c // parts, *windows.size)), positions, 'linear',
               'zeros', [(0, length - 1) for length in windows.size])
    y = F.reshape(F.transpose(y, (0, 2, 1)), (n, parts, c // parts, taps, math.prod(out)))
    if mask is not None:
        y = y * F.reshape(mask, (n, parts, 1, taps, math.prod(out)))
    columns = F.reshape(y, (n, groups, c // groups * taps, math.prod(out)))
    current().work(2 * n * W.size * math.prod(out))
    filters = F.reshape(W, (groups, len(W) // groups, c // groups * taps))
    y = F.reshape(F.matmul(filters, columns), (n, len(W), *out))
    return y if b is None else y + F.reshape(b, (-1, *[1] * axes))


def tap_positions(windows):
    """Where the taps of all windows lie: for each axis an array (taps, windows)."""
    axes = len(windows.ksize)
    for axis, (_, k, stride, pad, dilate, out) in enumerate(zip(*windows)):
        tap = np.arange(k).reshape(-1, *[1] * (2 * axes - axis - 1)) * dilate
        first = np.arange(out).reshape(-1, *[1] * (axes - axis - 1)) * stride - pad
        whole = np.broadcast_to(tap + first, (*windows.ksize, *windows.out))
        yield whole.reshape(math.prod(windows.ksize), math.prod(windows.out))


OPERATORS = {
    'AffineGrid': affine_grid,
    'DeformConv': deform_conv,
    'GridSample': grid_sample,
}

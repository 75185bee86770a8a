"""Resize and Upsample, axis after axis.

Along an axis an output lies at a coordinate of the input. There the nearest element is taken, or
neighbours are weighed. Coordinates are float32, as other runtimes have them, so that ties fall to
the same side.
"""
import functools
import math
import operator

import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.backend import get_array_module, to_cpu
from minichain.errors import DataError
from minichain.onnx.budget import RESULT, current
from minichain.onnx.operators.values import (
    axes_of,
    check_growth,
    check_size,
    is_float,
    send_like,
    to_ints,
)

MAX_MATRIX = 1 << 22    # numbers; interpolation by more goes neighbour by neighbour
f32 = np.float32


def positions(mode, size, out, scale, roi):
    """Where the outputs lie along an axis: coordinates, float32 (out,).

    Args:
        mode: the attribute coordinate_transformation_mode.
        size, out: lengths of the axis before and after.
        scale: float32.
        roi: (start, end), of 'tf_crop_and_resize'.
    """
    o, width = np.arange(out, dtype=f32), f32(scale * f32(size))
    if mode == 'asymmetric':
        return o / scale
    if mode == 'align_corners':
        return o * f32(size - 1) / (width - f32(1)) if width != 1 else f32(0) * o
    if mode == 'tf_crop_and_resize':
        start, end = map(f32, roi)
        if width == 1:
            return f32(0) * o + (start + end) * f32(size - 1) / f32(2)
        return start * f32(size - 1) + o * (end - start) * f32(size - 1) / (width - f32(1))
    if mode == 'tf_half_pixel_for_nn':
        return (o + f32(.5)) / scale
    if mode == 'pytorch_half_pixel' and out == 1:
        return f32(0) * o
    if mode not in ('half_pixel', 'half_pixel_symmetric', 'pytorch_half_pixel'):
        raise DataError(f'coordinate_transformation_mode {mode!r} is not known')
    x = (o + f32(.5)) / scale - f32(.5)
    if mode == 'half_pixel_symmetric':
        x += f32(size / 2) * (f32(1) - f32(out) / width)
    return x


ROUNDING = {
    'ceil': np.ceil,
    'floor': np.floor,
    'round_prefer_ceil': lambda x: np.floor(x + f32(.5)),
    'round_prefer_floor': lambda x: np.ceil(x - f32(.5)),
}


def linear(x):
    return np.maximum(1 - abs(x), 0)


def cubic(a):
    def weight(x):
        x = abs(x)
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
        return np.where(x <= 1, near, np.where(x < 2, far, 0))
    return weight


def neighbours(x, size, kernel, reach, stretch, exclude_outside):
    """What an interpolation reads: (places, weights), (out, taps) each.

    Args:
        x: coordinates, (out,).
        size: length of the axis.
        kernel: weight of a neighbour as a function of its distance, 0 from `reach` on.
        stretch: at least 1; how much wider the kernel is, against aliasing.
        exclude_outside: neighbours outside do not count; else the first or last stands for them.
    """
    x = x.astype('float64')
    taps = 2 * math.ceil(reach * stretch)
    check_size((len(x), taps), 8, on_the_way=True)
    place = np.floor(x).astype('int64')[:, None] + np.arange(1 - taps // 2, 1 + taps // 2)
    weight = kernel((place - x[:, None]) / stretch)
    if exclude_outside:
        weight = weight * ((place >= 0) & (place < size))
    total = weight.sum(axis=1, keepdims=True)
    return np.clip(place, 0, size - 1), weight / np.where(total == 0, 1, total)


def take(x, axis, index):
    """x[..., index, ...] by the cheapest way that there is."""
    size, out = x.shape[axis], len(index)
    before = (slice(None),) * axis
    if out % size == 0 and (index == np.arange(out) // (out // size)).all():
        count = out // size
        if is_float(x):
            return F.repeat(x, count, axis=axis)
        return get_array_module(x).repeat(x, count, axis=axis)
    step = int(index[1] - index[0]) if out > 1 else 1
    if step > 0 and (index == index[0] + step * np.arange(out)).all():
        return x[(*before, slice(int(index[0]), int(index[-1]) + 1, step))]
    return x[(*before, send_like(index, x))]


def weigh(x, axis, place, weight):
    """The sums of neighbours along an axis, times their weights.

    By a product with a matrix (out, in), unless that would be large and nearly empty.
    """
    size, out, xp = x.shape[axis], len(place), get_array_module(x)
    others = x.size // size
    if size * out > MAX_MATRIX:
        current().work(2 * RESULT * others * place.size)
        terms = (F.get_item(x, (*(slice(None),) * axis, index)) * xp.asarray(
            values.reshape(-1, *[1] * (x.ndim - axis - 1)).astype(x.dtype))
            for index, values in zip(place.T, weight.T))
        return functools.reduce(operator.add, terms)
    current().work(2 * others * size * out)
    matrix = np.zeros((out, size))
    np.add.at(matrix, (np.arange(out)[:, None], place), weight)
    matrix = send_like(matrix.astype(x.dtype), x)
    if axis == x.ndim - 1:
        return F.matmul(x, matrix.T)
    shape = x.shape
    x = F.reshape(x, (math.prod(shape[:axis]), size, math.prod(shape[axis + 1:])))
    return F.reshape(F.matmul(matrix, x), (*shape[:axis], out, *shape[axis + 1:]))


def interpolate(node, x, mode, plan):
    """x with some axes resized.

    Args:
        mode: 'nearest', 'linear' or 'cubic'.
        plan: list of (axis, scale, coordinates).
    """
    dtype = x.dtype
    if mode == 'nearest':
        rounding = ROUNDING[node.get('nearest_mode') or 'round_prefer_floor'] \
            if node.opset >= 11 else np.floor
        for axis, _, position in plan:
            index = np.clip(rounding(position), 0, x.shape[axis] - 1).astype('int64')
            x = take(x, axis, index)
        return x
    if dtype.kind != 'f' or dtype == 'float16':
        x = x.astype('float32')
    if mode in ('linear', 'bilinear'):     # the older name
        kernel, reach = linear, 1
    elif mode == 'cubic':
        kernel, reach = cubic(node.get('cubic_coeff_a', -.75)), 2
    else:
        raise DataError(f'mode {mode!r} is not known')
    for axis, scale, position in sorted(plan, key=lambda entry: entry[1]):
        stretch = max(1, 1 / float(scale)) if node.get('antialias') else 1
        x = weigh(x, axis, *neighbours(position, x.shape[axis], kernel, reach, stretch,
                                       node.get('exclude_outside')))
    if dtype.kind != 'f':
        xp, bounds = get_array_module(x), np.iinfo(dtype)
        return xp.clip(xp.rint(as_array(x)), bounds.min, bounds.max).astype(dtype)
    return x.astype(dtype)


def extrapolated(x, plan, value):
    """x with a value wherever a coordinate lies outside of the input, of the given lengths."""
    inside = np.ones((1,) * x.ndim, bool)
    for axis, size, position in plan:
        within = (position >= 0) & (position <= size - 1)
        inside = inside & within.reshape(-1, *[1] * (x.ndim - axis - 1))
    if inside.all():
        return x
    xp, inside = get_array_module(x), send_like(inside, x)
    if is_float(x):
        value = xp.full((1,) * x.ndim, value, x.dtype)
        return F.where(xp.broadcast_to(inside, x.shape), x,
                       xp.broadcast_to(value, x.shape))
    return xp.where(inside, x, x.dtype.type(value))


def resize(node, x, *settings):
    roi, scales, sizes = (*settings, None, None, None)[:3] if node.opset >= 11 else \
        (None, settings[0], None)
    axes = axes_of(node, x) or tuple(range(x.ndim))
    scales, sizes = (None if each is None or not each.size else each for each in (scales, sizes))
    if (scales is None) == (sizes is None):
        raise DataError('either scales or sizes expected')
    scales, out = lengths_of(x, axes, scales) if sizes is None else \
        scales_of(node, x, axes, to_ints(sizes))
    crop = node.get('coordinate_transformation_mode') == 'tf_crop_and_resize'
    regions = [(0, 1)] * len(axes)
    if crop:
        region = to_cpu(as_array(roi)).ravel().tolist()
        expect_lengths('roi', region, 2 * axes)
        regions = list(zip(region[:len(axes)], region[len(axes):]))
    return resized(node, x, axes, out, scales, regions, crop)


def upsample(node, x, scales=None):
    if node.opset < 7:
        scales = [1, 1, node.require('height_scale'), node.require('width_scale')]
    elif node.opset < 9:
        scales = node.require('scales')
    axes = tuple(range(x.ndim))
    scales, out = lengths_of(x, axes, scales)
    return resized(node, x, axes, out, scales, [(0, 1)] * x.ndim, False)


def resized(node, x, axes, out, scales, regions, crop):
    """x with the given lengths of some axes."""
    shape = list(x.shape)
    for axis, length in zip(axes, out):
        shape[axis] = length
    check_growth(shape, x)
    if min(shape) < 1 or not x.size:
        if min(shape) < 0 or math.prod(shape):
            raise DataError(f'{x.shape} cannot become {shape}')
        return get_array_module(x).zeros(shape, x.dtype)
    coordinates = node.get('coordinate_transformation_mode') or 'half_pixel' \
        if node.opset >= 11 else 'asymmetric'
    # The standard's corners of 2.5 x 9 pixels are those of 22.5; PyTorch means those of 22.
    whole = coordinates == 'align_corners' and node.producer == 'pytorch'
    plan = [(axis, scale, positions(coordinates, x.shape[axis], length,
                                    f32(length) / f32(x.shape[axis]) if whole else scale, region))
            for axis, length, scale, region in zip(axes, out, scales, regions)
            if not (length == x.shape[axis] and scale == 1 and region == (0, 1))]
    y = interpolate(node, x, node.get('mode') or 'nearest', plan)
    if not crop:
        return y
    return extrapolated(y, [(axis, x.shape[axis], position) for axis, _, position in plan],
                        node.get('extrapolation_value', 0.))


def expect_lengths(name, values, axes):
    if len(values) != len(axes):
        raise DataError(f'{name}: {len(axes)} numbers expected, got {len(values)}')


def lengths_of(x, axes, scales):
    """(scales, lengths) from a list or tensor of scales."""
    scales = np.asarray(scales, f32) if isinstance(scales, list) else to_cpu(as_array(scales))
    scales = list(scales.astype(f32).ravel())
    expect_lengths('scales', scales, axes)
    if not all(0 < scale < math.inf for scale in scales):
        raise DataError(f'positive scales expected, got {scales!s:.200}')
    return scales, [int(scale * f32(x.shape[axis])) for axis, scale in zip(axes, scales)]


def scales_of(node, x, axes, sizes):
    """(scales, lengths) from `sizes`, which may be bounds that keep the aspect ratio."""
    expect_lengths('sizes', sizes, axes)
    policy = node.get('keep_aspect_ratio_policy') or 'stretch'
    if any(x.shape[axis] == 0 for axis in axes):
        return [f32(1)] * len(axes), list(sizes)
    scales = [f32(size) / f32(x.shape[axis]) for axis, size in zip(axes, sizes)]
    if policy == 'stretch':
        return scales, list(sizes)
    if policy not in ('not_larger', 'not_smaller'):
        raise DataError(f'keep_aspect_ratio_policy {policy!r} is not known')
    ratios = [size / x.shape[axis] for axis, size in zip(axes, sizes)]
    ratio = min(ratios) if policy == 'not_larger' else max(ratios)
    return ([f32(ratio)] * len(axes),
            [math.floor(ratio * x.shape[axis] + .5) for axis in axes])


OPERATORS = {
    'Resize': resize,
    'Upsample': upsample,
}

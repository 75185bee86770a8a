"""Caffe's layers that join, cut and reshape blobs."""

import math

import minichain.functions as F
from minichain.caffe.geometry import canonical, planned
from minichain.errors import DataError


def eltwise(layer, blobs):
    p, count = layer.eltwise_param, len(layer.bottom)
    coefficients = p.coeff or [1.0] * count
    if not count or len(coefficients) != count:
        raise DataError(f'a coeff for each of {count} bottoms expected, got {len(p.coeff)}')

    def forward(*xs):
        if any(x.shape != xs[0].shape for x in xs):
            raise DataError('inputs of one shape expected')
        if p.operation == 'SUM':
            xs = [x if c == 1 else x * c for x, c in zip(xs, coefficients)]
        y = xs[0]
        for x in xs[1:]:
            y = (y + x if p.operation == 'SUM' else
                 y * x if p.operation == 'PROD' else F.maximum(y, x))
        return y
    return forward


def concat(layer, blobs):
    p = layer.concat_param
    axis = p.concat_dim if 'concat_dim' in p else p.axis

    def plan(*shapes):
        first, join = shapes[0], canonical(axis, len(shapes[0]))
        if any(len(shape) != len(first) for shape in shapes):
            raise DataError(f'inputs of {len(first)} axes each expected')
        return (*first[:join], sum(shape[join] for shape in shapes), *first[join + 1:]), 0
    return planned(lambda *xs: F.concat(xs, canonical(axis, xs[0].ndim)), plan)


def slice_(layer, blobs):
    p, count = layer.slice_param, len(layer.top)
    points = p.slice_point
    if points and len(points) != count - 1 or sorted(set(points)) != points:
        raise DataError(f'{count - 1} growing slice_point expected, got {points}')

    def forward(x):
        axis = canonical(p.slice_dim if 'slice_dim' in p else p.axis, x.ndim)
        if points and points[-1] >= x.shape[axis] or not points and x.shape[axis] % count:
            raise DataError(f'axis {axis} of length {x.shape[axis]} cannot be cut at '
                            f'{points or f"{count} equal parts"}')
        return F.split_axis(x, points or count, axis, force_tuple=True)
    return forward


def split(layer, blobs):
    return lambda x: (x,) * len(layer.top)


def flatten(layer, blobs):
    p = layer.flatten_param

    def forward(x):
        first, last = canonical(p.axis, x.ndim), canonical(p.end_axis, x.ndim) + 1
        return F.reshape(x, (*x.shape[:first], math.prod(x.shape[first:last]), *x.shape[last:]))
    return forward


def reshape(layer, blobs):
    p = layer.reshape_param
    dims = p.shape.dim
    if any(dim < -1 for dim in dims) or dims.count(-1) > 1:
        raise DataError(f'dimensions above 0, 0 to copy, and at most one -1 expected, got {dims}')

    def forward(x):
        first = canonical(p.axis, x.ndim, allow_end=True)
        last = x.ndim if p.num_axes < 0 else first + p.num_axes
        if last > x.ndim or any(dim == 0 and first + i >= x.ndim for i, dim in enumerate(dims)):
            raise DataError(f'an input of more than {x.ndim} axes expected')
        middle = [x.shape[first + i] if dim == 0 else dim for i, dim in enumerate(dims)]
        return F.reshape(x, (*x.shape[:first], *middle, *x.shape[last:]))
    return forward


def permute(layer, blobs):
    order = layer.permute_param.order

    def forward(x):
        axes = order + [axis for axis in range(x.ndim) if axis not in order]
        if sorted(axes) != list(range(x.ndim)):
            raise DataError(f'order: each axis of {x.shape} at most once expected, got {order}')
        return F.transpose(x, axes)
    return forward


def tile(layer, blobs):
    p = layer.tile_param
    if p.tiles < 1:
        raise DataError(f'tiles above 0 expected, got {p.tiles}')

    def forward(x):
        axis = canonical(p.axis, x.ndim)
        return F.tile(x, (*(1,) * axis, p.tiles, *(1,) * (x.ndim - axis - 1)))

    def plan(shape):
        axis = canonical(p.axis, len(shape))
        return (*shape[:axis], shape[axis] * p.tiles, *shape[axis + 1:]), 0
    return planned(forward, plan)


def shuffle_channel(layer, blobs):
    """Channels as rows of `group`, read by columns; Zhang et al. 2018, "ShuffleNet"."""
    groups = layer.shuffle_channel_param.group

    def forward(x):
        if x.ndim < 2 or not groups or x.shape[1] % groups:
            raise DataError(f'channels that {groups} groups divide expected, got {x.shape}')
        y = F.reshape(x, (len(x), groups, x.shape[1] // groups, *x.shape[2:]))
        return F.reshape(F.swapaxes(y, 1, 2), x.shape)
    return forward


def reorg(layer, blobs):
    """Blocks of pixels into the channels, as YOLO's second version does it.

    There the blob is first read as one of fewer channels and larger images,
    (N, C / s^2, s H, s W), whose blocks then become channels.
    """
    p = layer.reorg_param
    if not p.stride or p.reverse:
        raise DataError(f'a stride above 0 and no reverse expected, got {p.stride}, {p.reverse}')

    def forward(x):
        s = p.stride
        if x.ndim != 4 or x.shape[1] % (s * s) or x.shape[2] % s or x.shape[3] % s:
            raise DataError(f'an input (N, C, H, W) with C a multiple of {s * s}, H and W of {s}, '
                            f'expected, got {x.shape}')
        n, c, h, w = x.shape
        y = F.reshape(x, (n, c // (s * s), h, s, w, s))
        y = F.transpose(y, (0, 3, 5, 1, 2, 4))
        return F.reshape(y, (n, c * s * s, h // s, w // s))
    return forward


def batch_reindex(layer, blobs):
    """Samples at the places that the second bottom gives, in its order."""
    def forward(x, places):
        return x[sample_numbers(places, x.shape[:1])]
    return planned(forward, lambda x, places: ((math.prod(places), *x[1:]), 0))


def sample_numbers(places, lead):
    """Whole numbers of samples, kept as floats, as int64."""
    array = places.array.ravel()
    if not lead or not bool(((array >= 0) & (array < lead[0])).all()):
        raise DataError(f'numbers of samples in {lead} expected')
    return array.astype('int64')


def filter_(layer, blobs):
    """The samples of all bottoms but the last one for which that one is not 0."""
    if len(layer.top) != len(layer.bottom) - 1:
        raise DataError(f'{len(layer.bottom) - 1} tops expected, got {len(layer.top)}')

    def forward(*xs):
        *xs, selector = xs
        if any(x.shape[:1] != (selector.size,) for x in xs):
            raise DataError(f'{selector.size} samples expected, got {[x.shape for x in xs]}')
        chosen, = selector.xp.nonzero(selector.array.ravel())
        return tuple(x[chosen] for x in xs)
    return forward

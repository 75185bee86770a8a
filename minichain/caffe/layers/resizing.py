"""Layers of Caffe's forks that change the size of images: Interp and Upsample; and Crop."""
import math

import minichain.functions as F
from minichain.caffe.geometry import canonical, expect_image, planned
from minichain.errors import DataError


def crop(layer, blobs):
    p = layer.crop_param

    def forward(x, reference):
        axis = canonical(p.axis, x.ndim)
        count = x.ndim - axis
        offsets = p.offset or [0]
        offsets = offsets * count if len(offsets) == 1 else offsets
        if reference.ndim != x.ndim or len(offsets) != count:
            raise DataError(f'two inputs with as many axes and one offset, or {count}, expected')
        lengths = reference.shape[axis:]
        if any(offset + length > whole for offset, length, whole in zip(
                offsets, lengths, x.shape[axis:])):
            raise DataError(f'{lengths} from {offsets} on does not lie in {x.shape[axis:]}')
        return x[(slice(None),) * axis + tuple(
            slice(offset, offset + length) for offset, length in zip(offsets, lengths))]
    return forward


def interp(layer, blobs):
    """Bilinear, with the middles of the corner pixels at the corners, as DeepLab and PSPNet do."""
    p = layer.interp_param
    zoom, shrink = p.zoom_factor, p.shrink_factor
    if zoom < 1 or shrink < 1 or p.pad_beg > 0 or p.pad_end > 0:
        raise DataError('zoom_factor and shrink_factor above 0, pad_beg and pad_end not above 0 '
                        f'expected, got {zoom}, {shrink}, {p.pad_beg} and {p.pad_end}')
    first, last = -p.pad_beg, p.pad_end

    def outsize(shape, reference):
        inner = [n - first + last for n in shape[2:]]
        if min(inner, default=0) < 1:
            raise DataError(f'pad_beg {p.pad_beg} and pad_end {p.pad_end} leave nothing of '
                            f'{shape[2:]}')
        if reference is not None:
            return tuple(reference[2:])
        if p.height > 0 and p.width > 0:
            return p.height, p.width
        return tuple(((n - 1) // shrink) * zoom + 1 for n in inner)

    def forward(x, reference=None):
        expect_image(x)
        size = outsize(x.shape, None if reference is None else reference.shape)
        x = x[:, :, first:x.shape[2] + last, first:x.shape[3] + last]
        return x if x.shape[2:] == size else F.resize_images(x, size)

    def plan(shape, reference=None):
        if len(shape) != 4 or reference is not None and len(reference) != 4:
            raise DataError(f'inputs (N, C, H, W) expected, got {shape}')
        height, width = outsize(shape, reference)
        weights = height * shape[2] + width * shape[3]
        return (*shape[:2], height, width), 4 * weights + math.prod(shape[:3]) * width
    return planned(forward, plan)


def upsample(layer, blobs):
    """Back to the places in a mask of Pooling, as SegNet does; without one pixels are repeated."""
    p = layer.upsample_param
    scales = p.get('scale_h', p.scale), p.get('scale_w', p.scale)
    given = (p.upsample_h, p.upsample_w) if 'upsample_h' in p and 'upsample_w' in p else None
    short = int(p.pad_out_h), int(p.pad_out_w)
    if min(scales) < 1:
        raise DataError(f'a scale of at least 1 expected, got {scales}')
    if len(layer.bottom) == 1 and (given or any(short)):
        raise DataError('upsample_h, upsample_w and pad_out come with a mask as second bottom')

    def plan(shape, mask=None):
        size = given or tuple(n * s - q for n, s, q in zip(shape[2:], scales, short))
        # places as 64-bit integers
        return (*shape[:2], *size), 4 * math.prod(shape[:2] + size) * (mask is not None)

    def forward(x, mask=None):
        expect_image(x)
        if mask is None:
            return F.repeat(F.repeat(x, scales[0], 2), scales[1], 3)
        return unpool(x, mask, plan(x.shape)[0])
    return planned(forward, plan)


def unpool(x, mask, shape):
    """Values at their places in planes of zeros; of several in one place the last one stays.

    Args:
        x: (N, C, H, W).
        mask: of that shape, places in a plane, counted row by row, as floats.
        shape: of the result.
    """
    xp, planes, size = x.xp, x.shape[0] * x.shape[1], shape[2] * shape[3]
    if mask.shape != x.shape:
        raise DataError(f'a mask of shape {x.shape} expected, got {mask.shape}')
    inside = (mask.array >= 0) & (mask.array < size)
    if not bool(inside.all()):
        raise DataError(f'a mask with places in planes of {shape[2:]} expected; one lies outside. '
                        'Do the sizes fit those of the pooling layer?')
    places = mask.array.astype('int64').reshape(planes, -1)
    places += xp.arange(planes)[:, None] * size
    winner = xp.zeros(planes * size, 'uint64')     # which value, from 1 on; CuPy has no int64 here
    # in the order of the values, also on devices that write in any order
    xp.maximum.at(winner, places.ravel(), xp.arange(1, x.size + 1, dtype='uint64'))
    winner = winner.astype('int64') - 1
    y = F.reshape(x, (x.size,))[xp.maximum(winner, 0)] * (winner >= 0).astype(x.dtype)
    return F.reshape(y, shape)

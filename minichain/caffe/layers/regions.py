"""Layers of Caffe's forks that look at regions of feature maps.

Arithmetic on corners is float32 as in Caffe: where a bin ends is decided by its last digit.
"""
import math

import numpy as np

import minichain.functions as F
from minichain.backend import get_device_from_array, to_cpu
from minichain.caffe.geometry import expect_image, planned
from minichain.errors import DataError
from minichain.functions.roi_pooling_2d import max_over_bins

AT_A_TIME = 1 << 22     # numbers that are made for some of the regions


def roi_pooling(layer, blobs):
    """Girshick 2015, "Fast R-CNN", arXiv:1504.08083."""
    p = layer.roi_pooling_param
    sizes = p.pooled_h, p.pooled_w
    if not min(sizes) or not 0 < p.spatial_scale < math.inf:
        raise DataError('pooled_h, pooled_w and spatial_scale above 0 expected, got '
                        f'{p.pooled_h}, {p.pooled_w} and {p.spatial_scale}')

    def forward(x, rois):
        expect_image(x)
        images, corners = regions(x, rois)
        corners = rounded(corners * np.float32(p.spatial_scale))
        send, bins = get_device_from_array(x.array).send, []
        for axis, out in ((1, p.pooled_h), (0, p.pooled_w)):
            length = np.maximum(corners[:, axis + 2] - corners[:, axis] + 1, 1)
            places = edges(length, out) + [corners[:, axis, None]] * 2
            bins.append([send(inside(place, x.shape[3 - axis])) for place in places])
        images, size = send(images), x.shape[1] * x.shape[3] * (x.shape[2] + 2 * p.pooled_h)
        step = max(1, AT_A_TIME // size)        # regions
        parts = [slice(first, first + step) for first in range(0, max(len(images), 1), step)]
        ys = [max_over_bins(x, images[part], *([place[part] for place in axis] for axis in bins))
              for part in parts]
        return ys[0] if len(ys) == 1 else F.concat(ys, 0)

    def plan(x, rois):
        count, channels = math.prod(rois) // 5, math.prod(x[1:2])
        rows = math.prod(x[2:3]) + 2 * p.pooled_h
        return ((count, channels, p.pooled_h, p.pooled_w),
                count * channels * (rows * math.prod(x[3:]) + 2 * p.pooled_h * p.pooled_w))
    return planned(forward, plan)


def regions(x, rois):
    """(Image of each region, int64 (R,); corners left, top, right, bottom, float32 (R, 4))."""
    if rois.size % 5 or not rois.ndim:
        raise DataError(f'regions (R, 5) expected, got {rois.shape}')
    rois = to_cpu(rois.array).reshape(-1, 5).astype(np.float32)
    if not bool(((rois[:, 0] >= 0) & (rois[:, 0] < len(x))).all()):
        raise DataError(f'regions of images 0 to {len(x) - 1} expected')
    if not np.isfinite(rois).all():
        raise DataError('regions with finite corners expected')
    return rois[:, 0].astype(np.int64), rois[:, 1:]


def rounded(x):
    """Whole numbers; halves away from zero, as C has it."""
    return np.copysign(np.floor(abs(x) + np.float32(.5)), x)


def edges(length, out, first=0):
    """Where bins of regions begin and end, [(R, out), (R, out)], whole numbers, float32."""
    step, place = (length / np.float32(out))[:, None], np.arange(out, dtype=np.float32)
    return np.array([np.floor(place * step + first), np.ceil((place + 1) * step + first)])


def inside(places, size):
    return np.clip(places, 0, size).astype(np.int64)


def psroi_pooling(layer, blobs):
    """Means over the bins of regions, each bin of channels of its own.

    Dai et al. 2016, "R-FCN", arXiv:1605.06409.
    """
    p = layer.psroi_pooling_param
    outputs, size, scale = p.output_dim, p.group_size, np.float32(p.spatial_scale)
    if outputs < 1 or size < 1 or not 0 < scale < math.inf:
        raise DataError('output_dim, group_size and spatial_scale above 0 expected, got '
                        f'{outputs}, {size} and {p.spatial_scale}')

    def forward(x, rois):
        expect_image(x)
        if x.shape[1] != outputs * size ** 2:
            raise DataError(f'{outputs * size ** 2} channels expected, got {x.shape}')
        images, corners = regions(x, rois)
        corners = rounded(corners) + np.array([0, 0, 1, 1], np.float32)
        rows, columns = (weights(corners[:, axis] * scale, corners[:, axis + 2] * scale,
                                 x.shape[3 - axis]) for axis in (1, 0))
        send = get_device_from_array(x.array).send
        parts, order = [], np.argsort(images, kind='stable')
        for image in np.unique(images):
            mine = images == image
            parts.append(of_image(x[int(image)], send(rows[:, mine]), send(columns[:, mine])))
        if not parts:
            return F.reshape(x[:0], (0, outputs, size, size))
        return F.concat(parts, 0)[send(np.argsort(order))]

    def weights(first, end, length):
        """What each pixel of an axis counts in each bin, float32 (size, R, length)."""
        begin, stop = (inside(place, length)[..., None] for place in edges(
            np.maximum(end - first, np.float32(.1)), size, first[:, None]))
        pixel = np.arange(length)
        counted = ((pixel >= begin) & (pixel < stop)) / np.maximum(stop - begin, 1)
        return counted.astype(np.float32).swapaxes(0, 1)

    def of_image(x, rows, columns):
        """(R, D, size, size) of maps (D size size, H, W) and weights (size, R, H or W)."""
        height, width = x.shape[1:]
        maps = F.transpose(F.reshape(x, (outputs, size, size, height, width)), (1, 2, 3, 0, 4))
        bins = []
        for i in range(size):
            for j in range(size):
                seen = F.matmul(rows[i], F.reshape(maps[i, j], (height, outputs * width)))
                seen = F.reshape(seen, (rows.shape[1], outputs, width))
                bins.append(F.sum(seen * F.broadcast_to(columns[j][:, None], seen.shape), 2))
        return F.reshape(F.stack(bins, 2), (rows.shape[1], outputs, size, size))

    def plan(x, rois):
        count = math.prod(rois) // 5
        height, width = (math.prod(x[axis:axis + 1]) for axis in (2, 3))
        return ((count, outputs, size, size),
                3 * count * size * (height + width) + 4 * count * outputs * (width + size ** 2)
                + math.prod(x[1:]))
    return planned(forward, plan)

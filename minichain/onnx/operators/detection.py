"""Regions of images and boxes: RoiAlign, MaxRoiPool, NonMaxSuppression."""
import math

import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.backend import get_array_module, to_cpu
from minichain.errors import DataError
from minichain.onnx.budget import RESULT, STEP, current
from minichain.onnx.operators.values import check_size, send_like, to_scalar

# Numbers at a time that are made for some of the regions.
ROOM = 1 << 24
# Boxes of a group that are looked at together, and pairs of boxes.
BLOCK, PAIRS = 64, 1 << 20


def check_regions(x, images, count):
    """The image of each region, int64.

    Raises:
        DataError: x is no batch of feature maps, or an image does not exist.
    """
    if x.ndim != 4 or images.shape != (count,):
        raise DataError(f'feature maps (N, C, H, W), and the image of each of {count} regions, '
                        f'expected, got {x.shape} and {images.shape}')
    images = send_like(images, x).astype('int64')
    if count and not 0 <= int(images.min()) <= int(images.max()) < len(x):
        raise DataError(f'images from 0 to {len(x) - 1} expected, got {int(images.min())} to '
                        f'{int(images.max())}')
    return images


def points_of(low, length, out, ratio, size):
    """Where a region is sampled along an axis.

    Args:
        low, length: of the regions, (R,).
        out: number of bins. ratio: points a bin; 0 takes one a pixel.
        size: length of the axis.
    Returns:
        first neighbour, second neighbour (R, out, S), int64; share of the second; which points
        count at all: 1 or 0, and 0 where they lie outside; points of each bin (R,).
    """
    xp, step = get_array_module(low), length / out
    count = xp.full_like(low, ratio) if ratio else xp.ceil(step)
    most = max(int(count.max()) if count.size else 0, 0)
    check_size((len(low), out, 8 * max(most, size)))     # some arrays of this shape are made
    number = xp.arange(most)
    place = low[:, None, None] + step[:, None, None] * (
        xp.arange(out)[:, None] + (number + .5) / xp.maximum(count, 1)[:, None, None])
    valid = (place >= -1) & (place <= size) & (number < count[:, None, None])
    place = xp.clip(place, 0, size - 1)
    first = xp.floor(place).astype('int64')
    return first, xp.minimum(first + 1, size - 1), place - first, valid, count


def roi_align(node, x, rois, images):
    rois = as_array(rois)
    images = check_regions(x, as_array(images), len(rois))
    mode = node.get('mode', 'avg')
    if rois.ndim != 2 or rois.shape[1] != 4 or mode not in ('avg', 'max'):
        raise DataError(f'regions (R, 4) and the mode avg or max expected, got {rois.shape} and '
                        f'{mode!r}')
    rois = send_like(rois, x).astype('float64') * node.get('spatial_scale', 1.)
    half = node.opset >= 16 and node.get('coordinate_transformation_mode', 'half_pixel') \
        == 'half_pixel'
    outs = node.get('output_height', 1), node.get('output_width', 1)
    shape = (len(rois), x.shape[1], *outs)
    check_size(shape)
    if not math.prod(shape) or not x.size:
        return get_array_module(x).zeros(shape, x.dtype)
    points, xp = [], get_array_module(x)
    for axis, out in ((1, outs[0]), (0, outs[1])):
        low = rois[:, axis] - half * .5
        length = rois[:, axis + 2] - half * .5 - low
        length = length if half else xp.maximum(length, 1)
        points.append(points_of(low, length, out, node.get('sampling_ratio', 0),
                                x.shape[3 - axis]))
    if mode == 'avg':
        align, size = align_average, math.prod(x.shape[1:])
        current().work(2 * math.prod(shape[:2]) * outs[1] * x.shape[2] * (x.shape[3] + outs[0]))
    else:
        align, size = align_max, 8 * x.shape[1] * math.prod(
            place.shape[1] * place.shape[2] for place, *_ in points)
        check_size((len(rois), size // 8))
        current().work(RESULT * len(rois) * size)
    return in_parts(len(rois), size, lambda part: align(
        x, images[part], *([array[part] for array in arrays] for arrays in points)))


def in_parts(count, size, function):
    """Calls a function of a slice of the regions for some of them at a time.

    Args:
        count: number of regions.
        size: how many numbers are made for one of them.
    """
    step = max(1, ROOM // max(size, 1))
    results = [function(slice(start, start + step)) for start in range(0, count, step)]
    return results[0] if len(results) == 1 else F.concat(results, axis=0)


def align_average(x, images, rows, columns):
    """Means over the points of each bin: two products with the weights of pixels."""
    xp, matrices = get_array_module(x), []
    for (first, second, share, valid, count), size in zip((rows, columns), x.shape[2:]):
        matrix = xp.zeros((*first.shape[:2], size), 'float64')
        region, place = (xp.arange(n).reshape(shape) for n, shape in zip(
            first.shape, ((-1, 1, 1), (-1, 1))))
        weight = valid / xp.maximum(count, 1)[:, None, None]
        xp.add.at(matrix, (region, place, first), (1 - share) * weight)
        xp.add.at(matrix, (region, place, second), share * weight)
        matrices.append(matrix.astype(x.dtype)[:, None])
    seen = F.matmul(F.get_item(x, (images,)), matrices[1], transb=True)
    return F.matmul(matrices[0], seen)


def align_max(x, images, rows, columns):
    """Maxima over the weighed neighbours of the points of each bin, as ONNX has it."""
    xp, values = get_array_module(x), as_array(x)
    (r, oh, sy), (_, ow, sx), (_, c, h, w) = rows[0].shape, columns[0].shape, x.shape
    best = index = weight = None
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = [xp.where(valid, second if side else 1 - second, 0).reshape(r, -1)
                 for side, (_, _, second, valid, _) in ((i, rows), (j, columns))]
        pixel = [points[side].reshape(r, -1) for side, points in ((i, rows), (j, columns))]
        place = pixel[0][:, :, None] * w + pixel[1][:, None]                # (R, oh sy, ow sx)
        factor = (share[0][:, :, None] * share[1][:, None]).astype(x.dtype)[:, None]
        place = place[:, None] + xp.arange(c)[:, None, None] * (h * w) + \
            images[:, None, None, None] * (c * h * w)
        value = values.ravel()[place] * factor
        if best is None:
            best, index, weight = value, place, xp.broadcast_to(factor, value.shape)
        else:
            better = value > best
            best, index, weight = (xp.where(better, *pair) for pair in (
                (value, best), (place, index), (factor, weight)))
    # the points that a bin does not have must not win
    counted = [xp.arange(points[0].shape[2]) < points[4][:, None] for points in (rows, columns)]
    counted = (counted[0][:, None, :, None] & counted[1][:, None, None])    # (R, 1, sy, sx)
    counted = counted.reshape(r, 1, 1, 1, sy * sx)

    def by_bin(array):
        array = array.reshape(r, c, oh, sy, ow, sx).transpose(0, 1, 2, 4, 3, 5)
        return array.reshape(r, c, oh, ow, sy * sx)
    best, index, weight = map(by_bin, (best, index, weight))
    winner = xp.where(counted, best, -math.inf).argmax(axis=4)[..., None]
    index, weight = (xp.take_along_axis(array, winner, axis=4)[..., 0]
                     for array in (index, weight))
    weight = weight * counted.any(axis=4).astype(x.dtype)
    return F.get_item(F.reshape(x, (-1,)), index) * weight


def max_roi_pool(node, x, rois):
    rois = as_array(rois)
    if rois.ndim != 2 or rois.shape[1] != 5:
        raise DataError(f'regions (R, 5) expected, got {rois.shape}')
    check_regions(x, rois[:, 0], len(rois))
    (h, w), (_, c, height, width) = node.require('pooled_shape'), x.shape
    check_size((len(rois), c, h, w))
    if not x.size or not len(rois):
        return get_array_module(x).zeros((len(rois), c, h, w), x.dtype)
    size = c * (width * (height + 2 * h) + 16 * h * w)      # rows of bins, places of maxima
    check_size((size,))
    xp, corners = get_array_module(rois), rois[:, 1:] * rois.dtype.type(
        node.get('spatial_scale', 1.))
    rounded = xp.copysign(xp.floor(abs(corners) + .5), corners)     # halves away from zero
    rois = xp.concatenate([rois[:, :1], rounded], axis=1)
    return in_parts(len(rois), size, lambda part: F.roi_pooling_2d(x, rois[part], h, w, 1))


def corners_of(boxes, center):
    """(low, high), (N, M, 2) each, of boxes (N, M, 4) in either of the two forms."""
    first, second = boxes[..., :2], boxes[..., 2:]
    if center:
        return first - second / 2, first + second / 2
    return np.minimum(first, second), np.maximum(first, second)


def non_max_suppression(node, boxes, scores, most=None, overlap=None, threshold=None):
    boxes, scores = (to_cpu(as_array(each)) for each in (boxes, scores))
    most, overlap = (0 if each is None else to_scalar(each) for each in (most, overlap))
    if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape[2] != 4 or \
            (boxes.shape[0], boxes.shape[1]) != (scores.shape[0], scores.shape[2]):
        raise DataError(f'boxes (N, M, 4) and scores (N, C, M) expected, got {boxes.shape} and '
                        f'{scores.shape}')
    if not 0 <= overlap <= 1:
        raise DataError(f'iou_threshold from 0 to 1 expected, got {overlap}')
    low, high = corners_of(boxes, node.get('center_point_box', 0))
    area = np.prod(high - low, axis=2)
    counts = np.ones(scores.shape, bool) if threshold is None else scores > to_scalar(threshold)
    image, kind, box = np.nonzero(counts)
    order = np.lexsort((-scores[image, kind, box], kind, image))    # ties: the first box first
    image, kind, box = image[order], kind[order], box[order]
    group = image * scores.shape[1] + kind
    chosen = choose(group, (image, box), min(max(most, 0), boxes.shape[1]),
                    lambda a, b: covers(low, high, area, overlap, a, b))
    return np.stack([image[chosen], kind[chosen], box[chosen]], axis=1).astype('int64')


def choose(group, places, most, covered):
    """Places in a list of boxes, the best of each group first, of those that stay.

    In every group at once some boxes are looked at: those stay that none of the chosen ones
    covers, and no better one of themselves that stays.

    Args:
        group: ints (K,), ascending.
        places: of each box, two arrays (K,).
        most: boxes that a group may keep.
        covered: function of two such pairs of arrays, which broadcast.
    Returns:
        ints, ascending.
    """
    start = np.flatnonzero(np.diff(group, prepend=-1))
    length = np.diff(start, append=len(group))
    kept, count = np.zeros((len(start), 0), np.int64), np.zeros(len(start), np.int64)
    chosen, first = [np.zeros(0, np.int64)], 0
    busy = np.full(len(start), most > 0)
    while busy.any():       # groups that have boxes to look at, and room for one
        start, length, kept, count = (each[busy] for each in (start, length, kept, count))
        groups, known = kept.shape
        wide = max(1, min(BLOCK, int(length.max()) - first, PAIRS // (groups * max(known, 1)),
                          math.isqrt(PAIRS // groups)))
        current().work(STEP + RESULT * groups * wide * (known + wide))
        table = first + np.tile(np.arange(wide), (groups, 1))
        stays = table < length[:, None]
        table = np.where(stays, start[:, None] + table, 0)

        def hides(better, worse):
            return covered([place[better][:, :, None] for place in places],
                           [place[worse][:, None] for place in places])
        is_kept = np.arange(known) < count[:, None]
        stays &= ~(hides(kept, table) & is_kept[:, :, None]).any(axis=1)
        among = np.triu(hides(table, table), 1)
        for i in range(wide):
            stays &= ~(among[:, i] & stays[:, i:i + 1])
        number = count[:, None] + np.cumsum(stays, axis=1)
        stays &= number <= most
        chosen.append(table[stays])
        count, first = count + stays.sum(axis=1), first + wide
        kept = np.pad(kept, ((0, 0), (0, max(int(count.max()) - known, 0))))
        kept[np.nonzero(stays)[0], number[stays] - 1] = table[stays]
        busy = (length > first) & (count < most)
    return np.sort(np.concatenate(chosen))


def covers(low, high, area, overlap, a, b):
    """Whether boxes share more than a part of what they cover together."""
    a, b = tuple(a), tuple(b)
    common = np.prod(np.maximum(np.minimum(high[a], high[b]) - np.maximum(low[a], low[b]), 0),
                     axis=-1)
    union = area[a] + area[b] - common
    return (common > 0) & (union > 0) & (common > overlap * union)


OPERATORS = {
    'MaxRoiPool': max_roi_pool,
    'NonMaxSuppression': non_max_suppression,
    'RoiAlign': roi_align,
}

"""Pooling over regions of interest: rectangles of feature maps, whatever their size.

A region is cut into bins. Means are separable and linear, hence two matrix products whose
weights are made from the corners. Maxima are picked out of the map at their places.
"""
import math

from minichain.autograd import as_array
from minichain.backend import get_array_module, get_device_from_array
from minichain.errors import InvalidType
from minichain.functions.get_item import get_item
from minichain.functions.matmul import matmul
from minichain.functions.max_pooling import GatherWinners, winners
from minichain.functions.resize_images import hat
from minichain.functions.windows import as_ints, reduce_windows, slide
from minichain.type_check import expect_float, expect_ndim, expect_shape


def _check(label, x, rois, roi_indices, outsize):
    """Return (corners (R, 4) as floats on the device of x, image of each region, outsize)."""
    expect_ndim(label, 4, x=x)
    expect_float(label, x=x)
    rois, roi_indices = as_array(rois), as_array(roi_indices)
    expect_shape(label, (None, 4), rois=rois)
    expect_shape(label, (rois.shape[0],), roi_indices=roi_indices)
    device = get_device_from_array(x)
    images = device.send(roi_indices).astype('int64')
    if images.size and not bool(((images >= 0) & (images < x.shape[0])).all()):
        raise InvalidType(f'{label}: roi_indices from 0 to {x.shape[0] - 1} expected, the images '
                          f'of x {x.shape}; one is outside')
    return device.send(rois).astype('float64'), images, as_ints(label, 'outsize', outsize, 2, 1)


def _bins(low, length, out, size):
    """Return (first, end), (R, out) each: pixels of the bins of whole-pixel regions."""
    xp = get_array_module(low)
    step, place = length[:, None] / out, xp.arange(out)
    first = xp.floor(place * step) + low[:, None]
    end = xp.ceil((place + 1) * step) + low[:, None]
    return (xp.clip(first, 0, size).astype('int64'), xp.clip(end, 0, size).astype('int64'))


def _whole_bins(rois, outsize, scale, shape, inclusive=False):
    """Return :func:`_bins` along both axes, of corners rounded to pixels."""
    corners = get_array_module(rois).rint(rois * scale)
    extra = 1 if inclusive else 0
    return [_bins(corners[:, axis], get_array_module(rois).maximum(
        corners[:, axis + 2] - corners[:, axis] + extra, 1), outsize[axis], shape[2 + axis])
        for axis in (0, 1)]


def max_over_bins(x, images, rows, columns):
    """Return (R, C, oh, ow): maxima of x (N, C, H, W) over bins, 0 where a bin is empty."""
    values, xp = as_array(x), get_array_module(x)
    taken, filled = [], []
    for first, end in (rows, columns):   # positions to look at; a short bin repeats its last
        longest = max(int((end - first).max()) if first.size else 0, 1)
        taken.append(xp.maximum(xp.minimum(first[..., None] + xp.arange(longest),
                                           end[..., None] - 1), 0))
        filled.append(end > first)
    (r, oh), ow, c = rows[0].shape, columns[0].shape[1], x.shape[1]
    region = xp.arange(r)[:, None, None, None]
    channel = xp.arange(c)[:, None, None]
    seen = values[images[:, None, None], :, taken[0]]                # (R, oh, kh, C, W)
    best_row = seen.argmax(axis=2).swapaxes(1, 2)                    # (R, C, oh, W)
    seen = seen.max(axis=2).swapaxes(1, 2)
    row = taken[0][region, xp.arange(oh)[:, None], best_row]
    seen = seen[region[..., None], channel[..., None], xp.arange(oh)[:, None, None],
                taken[1][:, None, None]]                             # (R, C, oh, ow, kw)
    column = taken[1][region, xp.arange(ow), seen.argmax(axis=4)]    # (R, C, oh, ow)
    row = row[region, channel, xp.arange(oh)[:, None], column]
    y = get_item(x, (images[:, None, None, None], channel, row, column))
    return y * (filled[0][:, None, :, None] & filled[1][:, None, None, :]).astype(x.dtype)


def roi_pooling_2d(x, rois, outh, outw, spatial_scale):
    """:func:`roi_max_pooling_2d` with regions in the order of Fast R-CNN's own code.

    Args:
        x: feature maps, (N, C, H, W), float.
        rois: (R, 5): number of the image, then x0, y0, x1, y1; the last pixels belong to it.
        outh, outw: number of bins, ints.
        spatial_scale: feature pixels per unit of the corners, float.
    Returns:
        (R, C, outh, outw).
    Raises:
        InvalidType: shapes or dtypes do not fit.
    """
    rois = as_array(rois)
    expect_shape('roi_pooling_2d', (None, 5), rois=rois)
    corners, images, outsize = _check('roi_pooling_2d', x, rois[:, [2, 1, 4, 3]], rois[:, 0],
                                      (outh, outw))
    return max_over_bins(x, images, *_whole_bins(corners, outsize, spatial_scale, x.shape, True))


def roi_max_pooling_2d(x, rois, roi_indices, outsize, spatial_scale):
    """Maximum over every bin of every region; 0 where a bin lies outside of the image.

    Args:
        x: feature maps, (N, C, H, W), float.
        rois: corners of the regions, (R, 4): y0, x0, y1, x1; rounded to whole pixels.
        roi_indices: image of each region, (R,), integer.
        outsize: number of bins, int or (oh, ow).
        spatial_scale: feature pixels per unit of the corners, float.
    Returns:
        (R, C, oh, ow).
    Raises:
        InvalidType: shapes or dtypes do not fit. InvalidArgument: ``outsize`` is below 1.
    Girshick 2015, "Fast R-CNN", arXiv:1504.08083.
    """
    rois, images, outsize = _check('roi_max_pooling_2d', x, rois, roi_indices, outsize)
    return max_over_bins(x, images, *_whole_bins(rois, outsize, spatial_scale, x.shape))


def roi_average_pooling_2d(x, rois, roi_indices, outsize, spatial_scale):
    """Mean over every bin of every region; arguments and result as :func:`roi_max_pooling_2d`."""
    rois, images, outsize = _check('roi_average_pooling_2d', x, rois, roi_indices, outsize)
    weights = []
    for (first, end), size in zip(_whole_bins(rois, outsize, spatial_scale, x.shape), x.shape[2:]):
        xp = get_array_module(first)
        pixel, first, end = xp.arange(size), first[..., None], end[..., None]
        inside = (pixel >= first) & (pixel < end)
        weights.append((inside / xp.maximum(end - first, 1)).astype(x.dtype))
    return _weigh(x, images, *weights)


def _weigh(x, images, rows, columns):
    """Return (R, C, oh, ow): x[images] with weights (R, oh, H) and (R, ow, W) along its axes."""
    x = matmul(get_item(x, images), columns[:, None], transb=True)
    return matmul(rows[:, None], x)


def _samples(rois, outsize, scale, sampling_ratio, shape):
    """Return for both axes: interpolation weights (R, out, S, size), and how many of S count."""
    xp, results = get_array_module(rois), []
    for axis, (out, ratio) in enumerate(zip(outsize, sampling_ratio)):
        low, size = rois[:, axis] * scale, shape[2 + axis]
        step = xp.maximum(rois[:, axis + 2] * scale - low, 1) / out             # (R,)
        count = xp.ceil(step) if ratio is None else xp.full_like(step, ratio)
        longest = max(int(count.max()) if count.size else 0, 1)
        sample = xp.minimum(xp.arange(longest), count[:, None] - 1)             # (R, S)
        position = low[:, None, None] + step[:, None, None] * (
            xp.arange(out)[:, None] + ((sample + .5) / count[:, None])[:, None])
        weights = hat(xp.clip(position, 0, size - 1), size, 'float64')
        weights *= ((position >= -1) & (position <= size))[..., None]
        results.append((weights, count))
    return results


def _check_ratio(label, sampling_ratio):
    ratios = sampling_ratio if isinstance(sampling_ratio, (tuple, list)) else (sampling_ratio,) * 2
    return [r if r is None else as_ints(label, 'sampling_ratio', r, 1, 1)[0] for r in ratios]


def roi_average_align_2d(x, rois, roi_indices, outsize, spatial_scale, sampling_ratio=None):
    """Mean of points interpolated in every bin of every region; corners are not rounded.

    Args:
        x, rois, roi_indices, outsize, spatial_scale: as in :func:`roi_max_pooling_2d`.
        sampling_ratio: points per bin and axis, int or pair; None takes one per pixel.
    Returns:
        (R, C, oh, ow).
    Raises:
        InvalidType: shapes or dtypes do not fit. InvalidArgument: a number is below 1.
    He et al. 2017, "Mask R-CNN", arXiv:1703.06870.
    """
    label = 'roi_average_align_2d'
    rois, images, outsize = _check(label, x, rois, roi_indices, outsize)
    weights = []
    for points, count in _samples(rois, outsize, spatial_scale,
                                  _check_ratio(label, sampling_ratio), x.shape):
        xp = get_array_module(points)
        counted = xp.arange(points.shape[2]) < count[:, None]                   # (R, S)
        points = (points * counted[:, None, :, None]).sum(axis=2) / count[:, None, None]
        weights.append(points.astype(x.dtype))
    return _weigh(x, images, *weights)


def roi_max_align_2d(x, rois, roi_indices, outsize, spatial_scale, sampling_ratio=None):
    """Maximum of points interpolated in every bin; 0 where all lie outside of the image.

    Arguments and errors are those of :func:`roi_average_align_2d`.
    """
    label = 'roi_max_align_2d'
    rois, images, outsize = _check(label, x, rois, roi_indices, outsize)
    samples = _samples(rois, outsize, spatial_scale, _check_ratio(label, sampling_ratio), x.shape)
    rows, columns = (
        weights.reshape(len(weights), out * weights.shape[2], weights.shape[3]).astype(x.dtype)
        for out, (weights, _) in zip(outsize, samples))
    points, xp = _weigh(x, images, rows, columns), get_array_module(rows)
    valid = (rows.sum(axis=2) > 0)[:, None, :, None] & (columns.sum(axis=2) > 0)[:, None, None]
    seen = xp.where(valid, as_array(points), -math.inf)   # points beyond the image do not compete
    ksize = rows.shape[1] // outsize[0], columns.shape[1] // outsize[1]
    windows = slide(label, points.shape[2:], ksize, ksize)
    found = winners(seen, reduce_windows(xp.maximum, seen, windows, -math.inf), windows)
    return GatherWinners(found, windows).apply((points,))[0]

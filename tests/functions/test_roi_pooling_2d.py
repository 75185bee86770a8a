"""Pooling over regions, against loops over bins and points."""
import math

import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X = RANDOM.permutation(2 * 2 * 6 * 7).reshape(2, 2, 6, 7) / 10 - 8
ROIS = np.array([[0, 0, 8, 6], [2, 4, 13, 15], [5, 5, 6, 6], [-3, -4, 5, 30]], 'float32')
IMAGES = np.array([0, 1, 1, 0], 'int32')
ALL = {'outsize': (3, 2), 'spatial_scale': .5}


def bins(low, high, out, size, extra=0):
    """Return the pixels of every bin along one axis."""
    low, high = round(low), round(high)
    length = max(high - low + extra, 1)
    return [[p for p in range(low + math.floor(i * length / out),
                              low + math.ceil((i + 1) * length / out)) if 0 <= p < size]
            for i in range(out)]


def by_bins(x, reduce, extra=0):
    y = np.zeros((len(ROIS), 2, 3, 2))
    for r, (y0, x0, y1, x1) in enumerate(ROIS.astype(float) / 2):
        for i, rows in enumerate(bins(y0, y1, 3, 6, extra)):
            for j, columns in enumerate(bins(x0, x1, 2, 7, extra)):
                if rows and columns:
                    y[r, :, i, j] = reduce(x[IMAGES[r]][:, rows][:, :, columns], axis=(1, 2))
    return y


@pytest.mark.parametrize('pool, reduce', [
    (F.roi_max_pooling_2d, np.max), (F.roi_average_pooling_2d, np.mean)], ids=['max', 'average'])
def test_pooling_is_its_definition_with_two_orders_of_gradients(pool, reduce):
    check_function(lambda x: pool(x, ROIS, IMAGES, **ALL), [X], lambda x: by_bins(x, reduce))


def test_the_last_pixel_belongs_to_a_region_of_roi_pooling_2d():
    old = np.concatenate([IMAGES[:, None], ROIS[:, [1, 0, 3, 2]]], axis=1)
    check_function(lambda x: F.roi_pooling_2d(x, old, 3, 2, .5), [X],
                   lambda x: by_bins(x, np.max, 1))


def points(low, high, out, size, ratio):
    """Return for every bin the weights (size,) of its points, None for one outside."""
    step = max(high - low, 1) / out
    count = ratio or math.ceil(step)
    result = []
    for i in range(out):
        result.append([])
        for s in range(count):
            at = low + (i + (s + .5) / count) * step
            inside = min(max(at, 0), size - 1)
            weights = np.maximum(0, 1 - abs(np.arange(size) - inside))
            result[-1].append(weights if -1 <= at <= size else None)
    return result


def by_points(x, ratio, largest):
    y = np.zeros((len(ROIS), 2, 3, 2))
    for r, (y0, x0, y1, x1) in enumerate(ROIS.astype(float) / 2):
        for i, rows in enumerate(points(y0, y1, 3, 6, ratio and ratio[0])):
            for j, columns in enumerate(points(x0, x1, 2, 7, ratio and ratio[1])):
                values = [np.einsum('chw,h,w->c', x[IMAGES[r]], v, u)
                          for v in rows for u in columns if v is not None and u is not None]
                if values:
                    y[r, :, i, j] = (np.max(values, axis=0) if largest else
                                     np.sum(values, axis=0) / (len(rows) * len(columns)))
    return y


@pytest.mark.parametrize('ratio', [None, (2, 1)], ids=str)
@pytest.mark.parametrize('align, largest', [
    (F.roi_max_align_2d, True), (F.roi_average_align_2d, False)], ids=['max', 'average'])
def test_align_is_its_definition_with_two_orders_of_gradients(align, largest, ratio):
    check_function(lambda x: align(x, ROIS, IMAGES, sampling_ratio=ratio, **ALL), [X],
                   lambda x: by_points(x, ratio, largest))


@pytest.mark.parametrize('pool', [
    F.roi_max_pooling_2d, F.roi_average_pooling_2d, F.roi_max_align_2d, F.roi_average_align_2d])
def test_no_region_gives_no_result(pool):
    assert pool(X, np.zeros((0, 4), 'f'), np.zeros(0, 'i'), 2, 1.).shape == (0, 2, 2, 2)


def test_operands_that_do_not_fit_are_refused():
    with pytest.raises(InvalidType, match=r'rois.shape \(any, 4\)'):
        F.roi_max_pooling_2d(X, ROIS[:, :3], IMAGES, 2, 1)
    with pytest.raises(InvalidType, match=r'roi_indices.shape \(4\)'):
        F.roi_max_pooling_2d(X, ROIS, IMAGES[:2], 2, 1)
    with pytest.raises(InvalidType, match='roi_indices from 0 to 1'):
        F.roi_max_align_2d(X, ROIS, IMAGES + 1, 2, 1)
    with pytest.raises(InvalidArgument, match='outsize'):
        F.roi_average_align_2d(X, ROIS, IMAGES, 0, 1)
    with pytest.raises(InvalidArgument, match='sampling_ratio'):
        F.roi_average_align_2d(X, ROIS, IMAGES, 2, 1, 0)

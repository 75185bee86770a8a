"""Layers of Caffe's forks for detection."""
import math

import minichain.functions as F
from minichain.caffe.geometry import expect_image, planned
from minichain.errors import DataError


def roi_pooling(layer, blobs):
    """Girshick 2015, "Fast R-CNN", arXiv:1504.08083."""
    p = layer.roi_pooling_param
    if not p.pooled_h or not p.pooled_w or not 0 < p.spatial_scale < math.inf:
        raise DataError('pooled_h, pooled_w and spatial_scale above 0 expected, got '
                        f'{p.pooled_h}, {p.pooled_w} and {p.spatial_scale}')

    def forward(x, rois):
        expect_image(x)
        if rois.size % 5 or not rois.ndim:
            raise DataError(f'regions (R, 5) expected, got {rois.shape}')
        corners = rois.array.reshape(-1, 5)
        if not bool(((corners[:, 0] >= 0) & (corners[:, 0] < len(x))).all()):
            raise DataError(f'regions of images 0 to {len(x) - 1} expected')
        return F.roi_pooling_2d(x, corners, p.pooled_h, p.pooled_w, p.spatial_scale)

    def plan(x, rois):
        count, channels = math.prod(rois) // 5, math.prod(x[1:2])
        rows = math.prod(x[2:3]) + 2 * p.pooled_h
        return ((count, channels, p.pooled_h, p.pooled_w),
                count * channels * (rows * math.prod(x[3:]) + 2 * p.pooled_h * p.pooled_w))
    return planned(forward, plan)

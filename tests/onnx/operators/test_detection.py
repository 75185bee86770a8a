"""Regions and boxes beyond what the onnx package generates cases for."""
import numpy as np
import pytest

import minichain as mc
from minichain.errors import DataError
from minichain.onnx.operators import detection
from tests.onnx.beside import check_beside_onnxruntime
from tests.onnx.building import load, reference, run

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 3, 7, 6)).astype('float32')
ROIS = np.array([[0, 1, 4, 5.5], [-3, -2, 9, 9], [2, 2, 2.2, 2.3], [4, 3, 8, 12]], 'float32')
IMAGES = np.array([0, 1, 1, 0])


@pytest.mark.parametrize('opset, settings', [
    (10, {}), (16, {}), (16, {'coordinate_transformation_mode': 'output_half_pixel'})])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_aligned_regions_are_those_of_onnxruntime(mode, sampling_ratio, opset, settings):
    check_beside_onnxruntime('RoiAlign', X, ROIS, IMAGES, opset=opset, mode=mode,
                             sampling_ratio=sampling_ratio, output_height=2, output_width=3,
                             spatial_scale=.5, **settings)


def test_aligned_regions_of_the_newest_models():
    for mode in ('avg', 'max'):
        settings = {'mode': mode, 'output_height': 2, 'output_width': 2, 'sampling_ratio': 3}
        np.testing.assert_allclose(run('RoiAlign', X, ROIS, IMAGES, **settings),
                                   reference('RoiAlign', X, ROIS, IMAGES, **settings), 1e-4, 1e-5)


def test_the_mean_of_a_region_on_pixels_is_that_of_its_pixels():
    x = np.arange(16.).reshape(1, 1, 4, 4)
    y = run('RoiAlign', x, np.array([[1., 0., 3., 2.]]), np.array([0]), sampling_ratio=2)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, [[[[x[0, 0, :2, 1:3].mean()]]]])
    assert run('RoiAlign', X, ROIS[:0], IMAGES[:0], output_height=2).shape == (0, 3, 2, 1)


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_many_regions_are_cut_in_parts(mode, monkeypatch):
    whole = run('RoiAlign', X, ROIS, IMAGES, output_width=2, mode=mode)
    monkeypatch.setattr('minichain.onnx.operators.detection.ROOM', 1)
    np.testing.assert_array_equal(
        run('RoiAlign', X, ROIS, IMAGES, output_width=2, mode=mode), whole)
    rois = np.c_[IMAGES, abs(ROIS)].astype('float32')
    pooled = run('MaxRoiPool', X, rois, pooled_shape=[2, 2])
    monkeypatch.undo()
    np.testing.assert_array_equal(run('MaxRoiPool', X, rois, pooled_shape=[2, 2]), pooled)
    assert run('MaxRoiPool', X, rois[:0], pooled_shape=[2, 2]).shape == (0, 3, 2, 2)


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_gradients_reach_the_feature_maps(mode):
    x = X[:, :2].astype('float64')
    operands = x, ROIS.astype('float64'), IMAGES
    net = load('RoiAlign', operands, initializers=(1, 2), mode=mode, output_height=2)
    direction = rng.standard_normal(x.shape)
    variable = mc.Variable(x)
    y, = net(variable)
    y.grad = np.cos(np.arange(y.size)).reshape(y.shape)
    y.backward()
    ends = [(net(x + sign * 1e-6 * direction)[0].array * y.grad).sum() for sign in (1, -1)]
    assert (variable.grad * direction).sum() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)


@pytest.mark.parametrize('scale', [1., .5])
def test_pooled_regions_are_those_of_onnxruntime(scale):
    rois = np.c_[IMAGES, abs(ROIS).round()].astype('float32')
    check_beside_onnxruntime('MaxRoiPool', X, rois, opset=11, pooled_shape=[2, 3],
                             spatial_scale=scale)


def test_pooled_regions_by_hand():
    x = np.arange(16, dtype='float32').reshape(1, 1, 4, 4)
    y = run('MaxRoiPool', x, np.array([[0, 0, 1, 3, 2]], 'float32'), pooled_shape=[2, 2])
    np.testing.assert_array_equal(y, [[[[5, 7], [9, 11]]]])


def suppress(boxes, scores, most, overlap, threshold):
    """Box by box, class by class, image by image; corners (y, x, y, x) in order."""
    def iou(a, b):
        height, width = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) for k in (0, 1))
        common = max(height, 0) * max(width, 0)
        return common / (sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - common)
    found = []
    for n, c in np.ndindex(*scores.shape[:2]):
        kept = []
        for m in sorted(range(scores.shape[2]), key=lambda m: (-scores[n, c, m], m)):
            if scores[n, c, m] > threshold and len(kept) < most and all(
                    iou(boxes[n, m], boxes[n, k]) <= overlap for k in kept):
                kept.append(m)
        found += [(n, c, m) for m in kept]
    return np.array(found).reshape(-1, 3)


def random_boxes(count):
    corner = rng.uniform(0, 8, (2, count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 5, (2, count, 2))], axis=2)
    scores = rng.choice([.1, .2, .3, .5, .6, .9], (2, 3, count))    # with ties
    return boxes.astype('float32'), scores.astype('float32')


@pytest.mark.parametrize('most, overlap, threshold', [
    (3, .5, .25), (100, .3, .1), (100, 0., 0.), (2, 1., .55), (0, .5, 0.), (5, .5, .95)])
def test_boxes_are_chosen_as_one_by_one(most, overlap, threshold):
    boxes, scores = random_boxes(30)
    y = run('NonMaxSuppression', boxes, scores, np.array([most]), np.float32([overlap]),
            np.float32([threshold]))
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, suppress(boxes, scores, most, np.float32(overlap),
                                              np.float32(threshold)))


@pytest.mark.parametrize('block, pairs', [(64, 1 << 20), (3, 1 << 20), (64, 100), (1, 1)])
def test_many_boxes_are_chosen_in_blocks_of_any_size(block, pairs, monkeypatch):
    monkeypatch.setattr(detection, 'BLOCK', block)
    monkeypatch.setattr(detection, 'PAIRS', pairs)
    boxes, scores = random_boxes(150)
    boxes[1, :, 2:] += boxes[1, :, :2] * 7    # hardly any overlap
    boxes[1, :, :2] *= 8
    scores[:, 2, 5:] = 0
    for most in (40, 1000):
        y = run('NonMaxSuppression', boxes, scores, np.array([most]), np.float32([.2]),
                np.float32([.05]))
        np.testing.assert_array_equal(
            y, suppress(boxes, scores, most, np.float32(.2), np.float32(.05)))
    assert len(y) > 100


def test_centres_and_turned_corners_say_the_same_boxes():
    boxes, scores = random_boxes(20)
    settings = np.array([5]), np.float32([.4])
    expected = run('NonMaxSuppression', boxes, scores, *settings)
    turned = boxes[..., [2, 1, 0, 3]]
    np.testing.assert_array_equal(run('NonMaxSuppression', turned, scores, *settings), expected)
    size = boxes[..., 2:] - boxes[..., :2]
    centre = boxes[..., :2] + size / 2
    as_centres = np.concatenate([centre[..., ::-1], size[..., ::-1]], axis=2)
    np.testing.assert_array_equal(run('NonMaxSuppression', as_centres, scores, *settings,
                                      center_point_box=1), expected)


def test_no_limit_means_no_boxes_and_no_boxes_stay_none():
    boxes, scores = random_boxes(5)
    assert run('NonMaxSuppression', boxes, scores).shape == (0, 3)
    y = run('NonMaxSuppression', boxes[:, :0], scores[..., :0], np.array([3]))
    assert y.shape == (0, 3) and y.dtype == np.int64


def test_what_does_not_fit_is_refused():
    boxes, scores = random_boxes(5)
    with pytest.raises(DataError, match='iou_threshold'):
        run('NonMaxSuppression', boxes, scores, np.array([3]), np.float32([1.5]))
    with pytest.raises(DataError, match='scores'):
        run('NonMaxSuppression', boxes, scores[..., 1:], np.array([3]))
    with pytest.raises(DataError, match='images from 0 to 1'):
        run('RoiAlign', X, ROIS, IMAGES + 1)
    with pytest.raises(DataError, match='regions'):
        run('RoiAlign', X, ROIS[:, :3], IMAGES)
    with pytest.raises(DataError, match='damaged'):
        run('RoiAlign', X, ROIS * 1e12, IMAGES)
    with pytest.raises(DataError, match='damaged'):
        run('RoiAlign', X, ROIS, IMAGES, sampling_ratio=1 << 30)
    with pytest.raises(DataError, match='images from 0 to 1'):
        run('MaxRoiPool', X, np.array([[9, 0, 0, 1, 1]], 'float32'), pooled_shape=[1, 1])

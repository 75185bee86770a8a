"""Layers that crop, tile, shuffle and resize, against loops and OpenCV."""

import itertools

import numpy as np
import pytest

from minichain import Variable
from minichain.caffe import load, save
from minichain.errors import DataError

RANDOM = np.random.default_rng(9)
X = RANDOM.standard_normal((2, 4, 6, 5)).astype(np.float32)


def test_crop_cuts_to_the_shape_of_its_reference(run):
    reference = np.zeros((2, 3, 4, 2), np.float32)
    y = run('Crop', [X, reference], crop_param={'axis': 2, 'offset': [1, 3]})
    np.testing.assert_array_equal(y, X[:, :, 1:5, 3:5])
    y = run('Crop', [X, reference], crop_param={'axis': 1, 'offset': [1]})
    np.testing.assert_array_equal(y, X[:, 1:4, 1:5, 1:3])
    np.testing.assert_array_equal(run('Crop', [X, reference]), X[:, :, :4, :2])
    with pytest.raises(DataError, match='does not lie in'):
        run('Crop', [X, reference], crop_param={'offset': [3, 0]})


def test_tile_repeats_along_its_axis(run):
    y = run('Tile', X, tile_param={'tiles': 3, 'axis': 2})
    np.testing.assert_array_equal(y, np.concatenate([X] * 3, 2))


def test_shuffle_channel_deals_the_groups_out(run):
    x = np.arange(6, dtype=np.float32).reshape(1, 6, 1, 1)
    y = run('ShuffleChannel', x, shuffle_channel_param={'group': 3})
    assert y.ravel().tolist() == [0, 2, 4, 1, 3, 5]


def test_im2col_puts_every_window_into_the_channels(run):
    y = run('Im2col', X, convolution_param={'kernel_h': 3, 'kernel_w': 2, 'stride': [2],
                                            'pad': [1]})
    padded = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
    assert y.shape == (2, 24, 3, 3)
    for c, i, j, row, column in itertools.product(range(4), range(3), range(2), range(3),
                                                  range(3)):
        np.testing.assert_array_equal(y[:, c * 6 + i * 2 + j, row, column],
                                      padded[:, c, row * 2 + i, column * 2 + j])


def interpolate(x, height, width):
    y = np.empty((*x.shape[:2], height, width))
    for i, j in itertools.product(range(height), range(width)):
        row = i * (x.shape[2] - 1) / max(height - 1, 1)
        column = j * (x.shape[3] - 1) / max(width - 1, 1)
        top, left = int(row), int(column)
        bottom, right = min(top + 1, x.shape[2] - 1), min(left + 1, x.shape[3] - 1)
        a, b = row - top, column - left
        y[:, :, i, j] = ((1 - a) * ((1 - b) * x[:, :, top, left] + b * x[:, :, top, right])
                         + a * ((1 - b) * x[:, :, bottom, left] + b * x[:, :, bottom, right]))
    return y


@pytest.mark.parametrize('parameters, size', [
    ({'zoom_factor': 2}, (11, 9)), ({'shrink_factor': 2}, (3, 3)), ({'height': 4, 'width': 9},
                                                                    (4, 9)),
    ({'shrink_factor': 2, 'zoom_factor': 3}, (7, 7))])
def test_interp_is_bilinear_with_corners_kept(run, parameters, size):
    y = run('Interp', X, interp_param=parameters)
    np.testing.assert_allclose(y, interpolate(X, *size), rtol=1e-4, atol=1e-5)


def test_interp_crops_and_takes_the_size_of_a_second_bottom(run):
    y = run('Interp', X, interp_param={'zoom_factor': 2, 'pad_beg': -1, 'pad_end': -2})
    np.testing.assert_allclose(y, interpolate(X[:, :, 1:-2, 1:-2], 5, 3), rtol=1e-4, atol=1e-5)
    y = run('Interp', [X, np.zeros((2, 1, 3, 8), np.float32)])
    np.testing.assert_allclose(y, interpolate(X, 3, 8), rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match='leave nothing'):
        run('Interp', X, interp_param={'pad_beg': -6})


def test_upsample_without_a_mask_repeats_pixels(run):
    y = run('Upsample', X, upsample_param={'scale': 3})
    np.testing.assert_array_equal(y, X.repeat(3, 2).repeat(3, 3))


def pool_net(tmp_path, upsample):
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    save(*paths, [
        {'name': 'pool', 'type': 'Pooling', 'bottom': ['x'], 'top': ['pooled', 'mask'],
         'pooling_param': {'pool': 'MAX', 'kernel_size': 2, 'stride': 2}},
        {'name': 'up', 'type': 'Upsample', 'bottom': ['pooled', 'mask'], 'top': ['y'],
         'upsample_param': upsample}], X.shape, input_name='x')
    return load(*paths)


def test_a_mask_says_where_each_maximum_was_and_upsample_puts_it_back(tmp_path):
    net = pool_net(tmp_path, {'upsample_h': 6, 'upsample_w': 5})
    x = Variable(X)
    pooled, mask, y = net({'x': x}, ['pooled', 'mask', 'y'])
    assert pooled.shape == mask.shape == (2, 4, 3, 3)
    expected, places = np.zeros_like(X), np.zeros(mask.shape)
    for n, c, i, j in itertools.product(range(2), range(4), range(3), range(3)):
        window = X[n, c, 2 * i:2 * i + 2, 2 * j:2 * j + 2]
        row, column = np.unravel_index(window.argmax(), window.shape)
        places[n, c, i, j] = (2 * i + row) * 5 + 2 * j + column
        expected[n, c, 2 * i + row, 2 * j + column] = window.max()
    np.testing.assert_array_equal(mask.array, places)
    np.testing.assert_array_equal(y.array, expected)
    y.grad = np.full_like(X, 2)
    y.backward()
    np.testing.assert_array_equal(x.grad, 2 * (expected != 0))


def test_upsample_knows_scales_and_short_edges_and_refuses_places_outside(tmp_path):
    y, = pool_net(tmp_path, {'scale': 2, 'pad_out_w': True})({'x': X}, ['y'])
    assert y.shape == X.shape
    with pytest.raises(DataError, match='one lies outside'):
        pool_net(tmp_path, {'upsample_h': 4, 'upsample_w': 5})({'x': X}, ['y'])


def test_of_overlapping_places_the_last_value_stays(run):
    x = np.array([[[[1, 2], [3, 4]]]], np.float32)
    mask = np.array([[[[0, 3], [3, 5]]]], np.float32)
    y = run('Upsample', [x, mask], upsample_param={'upsample_h': 2, 'upsample_w': 3})
    assert y.ravel().tolist() == [1, 0, 0, 3, 0, 4]


@pytest.mark.parametrize('option', [{'round_mode': 'FLOOR'}, {'ceil_mode': False}])
def test_pooling_may_round_down(run, option):
    x = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
    y = run('Pooling', x, pooling_param={'pool': 'MAX', 'kernel_size': 3, 'stride': 2, **option})
    np.testing.assert_array_equal(y[0, 0], [[14, 16], [26, 28]])


def test_roi_pooling_takes_the_maxima_of_regions(run):
    x = np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8)
    rois = np.array([[0, 0, 0, 7, 7], [0, 4, 4, 11, 7]], np.float32)
    y = run('ROIPooling', [x, rois], roi_pooling_param={'pooled_h': 2, 'pooled_w': 2})
    np.testing.assert_array_equal(y[0, 0], [[27, 31], [59, 63]])
    # by hand: columns 4..11 in bins 4..7 and 8..11, of which only the first lies in the image
    np.testing.assert_array_equal(y[1, 0], [[47, 0], [63, 0]])
    with pytest.raises(DataError, match='regions of images 0 to 0'):
        run('ROIPooling', [x, rois + 1], roi_pooling_param={'pooled_h': 2, 'pooled_w': 2})

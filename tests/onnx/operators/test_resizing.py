"""Resize and Upsample beyond what the onnx package generates cases for."""
import numpy as np
import pytest

import minichain.onnx
from minichain.errors import DataError
from tests.onnx.beside import check_beside_onnxruntime
from tests.onnx.building import check_gradients, load, model, run

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 3, 5, 4)).astype('float32')
NONE = np.zeros(0, 'float32')


def scales(*values):
    return np.array(values, 'float32')


@pytest.mark.parametrize('opset', [6, 7, 9, 10, 11, 18])
def test_whole_scales_repeat_pixels_in_all_operator_sets(opset):
    expected = X.repeat(2, axis=2).repeat(3, axis=3)
    if opset == 6:
        y = run('Upsample', X, opset=6, height_scale=2., width_scale=3.)
    elif opset == 7:
        y = run('Upsample', X, opset=7, scales=[1., 1., 2., 3.])
    elif opset == 9:
        y = run('Upsample', X, scales(1, 1, 2, 3), opset=9)
    elif opset == 10:
        y = run('Resize', X, scales(1, 1, 2, 3), opset=10)
    else:
        y = run('Resize', X, NONE, scales(1, 1, 2, 3), opset=opset, nearest_mode='floor',
                coordinate_transformation_mode='asymmetric')
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize('dtype', ['uint8', 'int8', 'int32', 'float16', 'float64', 'bool'])
def test_the_nearest_of_any_type_and_every_second_of_it(dtype):
    x = (X * 30).astype('int8').astype(dtype)
    y = run('Resize', x, NONE, scales(1, 1, .4, 2), nearest_mode='floor',
            coordinate_transformation_mode='asymmetric')
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, x[:, :, [0, 2]].repeat(2, axis=3))


@pytest.mark.parametrize('mode', ['half_pixel', 'half_pixel_symmetric', 'pytorch_half_pixel',
                                  'align_corners', 'asymmetric'])
@pytest.mark.parametrize('settings', [
    {'mode': 'nearest', 'nearest_mode': 'round_prefer_ceil'},
    {'mode': 'nearest', 'nearest_mode': 'ceil'}, {'mode': 'linear'}, {'mode': 'cubic'},
    {'mode': 'linear', 'antialias': 1}, {'mode': 'cubic', 'antialias': 1, 'cubic_coeff_a': -.5},
    {'mode': 'cubic', 'exclude_outside': 1}])
def test_all_modes_up_and_down_are_those_of_onnxruntime(mode, settings):
    for size in ((3, 7), (1, 4), (8, 2)):
        check_beside_onnxruntime(
            'Resize', X, None, None, np.array([2, 3, *size]), opset=19, initializers=[3],
            coordinate_transformation_mode=mode, **settings)


def test_lines_and_volumes():
    for shape in ((4,), (2, 3, 4)):
        x = rng.standard_normal((1, 2, *shape)).astype('float32')
        check_beside_onnxruntime('Resize', x, None, scales(1, 1, *[1.5] * len(shape)), opset=19,
                                 mode='linear')


def test_linear_weights_by_hand():
    x = scales(0, 4).reshape(1, 1, 2)
    for mode, expected in (('half_pixel', [0, 1, 3, 4]), ('asymmetric', [0, 2, 4, 4]),
                           ('align_corners', [0, 4 / 3, 8 / 3, 4])):
        y = run('Resize', x, NONE, scales(1, 1, 2), mode='linear',
                coordinate_transformation_mode=mode)
        np.testing.assert_allclose(y[0, 0], expected, 1e-6)


def test_a_crop_is_resized_and_extrapolated():
    x = np.arange(16, dtype='float32').reshape(1, 1, 4, 4)
    roi = scales(0, 0, 0, 1 / 3, 1, 1, 1, 4 / 3)   # columns 1, 2, 3 and one behind
    y = run('Resize', x, roi, None, np.array([1, 1, 4, 4]), mode='linear',
            coordinate_transformation_mode='tf_crop_and_resize', extrapolation_value=-9.)
    np.testing.assert_allclose(y[0, 0], np.c_[x[0, 0, :, 1:], [-9] * 4], 1e-5)
    whole = run('Resize', x.astype('int32'), roi, None, np.array([1, 1, 4, 4]),
                coordinate_transformation_mode='tf_crop_and_resize', extrapolation_value=-9.)
    assert whole.dtype == np.int32
    np.testing.assert_array_equal(whole, y)


def test_integers_are_rounded_and_saturate():
    x = np.array([0, 255, 255, 0], 'uint8').reshape(1, 1, 4)
    y = run('Resize', x, NONE, scales(1, 1, 2), mode='cubic')
    wide = run('Resize', x.astype('float64'), NONE, scales(1, 1, 2), mode='cubic')
    assert y.dtype == np.uint8 and wide.max() > 255
    np.testing.assert_array_equal(y, np.clip(np.rint(wide), 0, 255))


@pytest.mark.parametrize('policy, size', [('stretch', (10, 6)), ('not_larger', (8, 6)),
                                          ('not_smaller', (10, 8))])
def test_sizes_of_some_axes_may_be_bounds(policy, size):
    y = run('Resize', X, None, None, np.array([6, 10]), axes=[3, -2], mode='linear',
            keep_aspect_ratio_policy=policy)
    assert y.shape == (2, 3, *size)


def test_long_axes_are_interpolated_neighbour_by_neighbour(monkeypatch):
    operands = X, NONE, scales(1, 2, .7, 1.6)
    for settings in ({'mode': 'linear'}, {'mode': 'cubic', 'antialias': 1}):
        expected = run('Resize', *operands, **settings)
        monkeypatch.setattr('minichain.onnx.operators.resizing.MAX_MATRIX', 0)
        np.testing.assert_allclose(run('Resize', *operands, **settings), expected, 1e-4, 1e-5)
        monkeypatch.undo()


def test_gradients_reach_the_image():
    x = rng.standard_normal((1, 2, 3, 4))
    for settings in ({'mode': 'linear'}, {'mode': 'cubic'}, {'mode': 'nearest'},
                     {'mode': 'linear', 'antialias': 1},
                     {'coordinate_transformation_mode': 'tf_crop_and_resize', 'mode': 'linear'}):
        operands = x, scales(0, 0, -.2, 0, 1, 1, 1, 1.5), None, np.array([1, 2, 5, 2])
        check_gradients(load('Resize', operands, initializers=(1, 3), **settings), x)


def test_what_is_empty_stays_empty():
    assert run('Resize', X[:0], NONE, scales(1, 1, 2, 2)).shape == (0, 3, 10, 8)
    assert run('Resize', X, NONE, scales(1, 1, .1, 1)).shape == (2, 3, 0, 4)
    with pytest.raises(DataError, match='cannot become'):
        run('Resize', X[:, :, :0], NONE, None, np.array([2, 3, 5, 4]))


def test_what_does_not_fit_is_refused():
    for operands, attributes, words in (
            ((NONE, scales(1, 1, 2)), {}, 'scales: 4'),
            ((NONE, scales(1, 1, 0, 2)), {}, 'positive'),
            ((NONE, scales(1, 1, 1e9, 1e9)), {}, 'damaged'), ((NONE, NONE), {}, 'either'),
            ((NONE, None, np.array([1, 1])), {}, 'sizes: 4'),
            ((NONE, scales(1, 1, 2, 2)), {'mode': 'quartic'}, 'quartic'),
            ((NONE, scales(1, 1, 2, 2)), {'coordinate_transformation_mode': 'odd'}, 'odd'),
            ((NONE, None, np.array([1, 1, 2, 2])), {'keep_aspect_ratio_policy': 'none'}, 'none')):
        with pytest.raises(DataError, match=words):
            run('Resize', X, *operands, **attributes)


@pytest.mark.parametrize('producer, length', [('pytorch', 12), ('', 12.5)])
def test_corners_of_broken_scales_are_whole_pixels_where_pytorch_wrote_the_file(producer, length):
    proto = model('Resize', [X, NONE, scales(1, 1, 1, 3.125)], opset=17, initializers=(1, 2),
                  mode='linear', coordinate_transformation_mode='align_corners')
    proto.producer_name = producer
    net = minichain.onnx.load(proto)
    y, = net(X)
    assert net.producer == producer and y.shape == (2, 3, 5, 12)
    places = np.arange(12) * 3 / (length - 1)
    expected = [np.interp(places, np.arange(4), row) for row in X.reshape(-1, 4)]
    np.testing.assert_allclose(y.array.reshape(-1, 12), expected, rtol=1e-5, atol=1e-6)

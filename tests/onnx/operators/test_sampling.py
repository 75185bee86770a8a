"""Grids and deformable convolution beyond what the onnx package generates cases for."""
import numpy as np
import pytest

from minichain.errors import DataError
from tests.onnx.beside import check_beside_onnxruntime
from tests.onnx.building import check_gradients, load, reference, run

rng = np.random.default_rng(0)
X = rng.standard_normal((2, 3, 4, 5)).astype('float32')
GRID = rng.uniform(-1.6, 1.6, (2, 3, 6, 2)).astype('float32')


@pytest.mark.parametrize('align_corners', [0, 1])
@pytest.mark.parametrize('padding_mode', ['zeros', 'border', 'reflection'])
@pytest.mark.parametrize('mode', ['nearest', 'bilinear', 'bicubic'])
def test_points_inside_and_outside_are_those_of_onnxruntime(mode, padding_mode, align_corners):
    settings = {'padding_mode': padding_mode, 'align_corners': align_corners, 'tolerance': 3e-5}
    check_beside_onnxruntime('GridSample', X, GRID, opset=16, mode=mode, **settings)
    newer = {'bilinear': 'linear', 'bicubic': 'cubic'}.get(mode, mode)
    check_beside_onnxruntime('GridSample', X, GRID, opset=20, mode=newer, **settings)
    if newer != 'cubic':
        volume = rng.standard_normal((1, 2, 3, 4, 2)).astype('float32')
        grid = rng.uniform(-1.6, 1.6, (1, 2, 2, 3, 3)).astype('float32')
        check_beside_onnxruntime('GridSample', volume, grid, opset=20, mode=newer, **settings)


def test_the_grid_of_no_change_gives_the_image_back():
    for align_corners in (0, 1):
        grid = run('AffineGrid', np.array([[[1, 0, 0], [0, 1, 0]]] * 2, 'float32'),
                   np.array([2, 3, 4, 5]), align_corners=align_corners)
        for mode in ('linear', 'nearest', 'cubic'):
            y = run('GridSample', X, grid, mode=mode, align_corners=align_corners)
            np.testing.assert_allclose(y, X, 1e-4, 1e-5)


@pytest.mark.parametrize('dtype', ['float16', 'float64', 'uint8'])
def test_other_types_are_sampled_in_them(dtype):
    x = (X * 20).astype('int8').astype(dtype)
    y = run('GridSample', x, GRID, mode='nearest', padding_mode='border')
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, reference('GridSample', x.astype('float32'), GRID,
                                               mode='nearest', padding_mode='border'))


def test_points_that_are_no_numbers_do_not_crash():
    grid = np.full((1, 1, 3, 2), [[np.nan], [np.inf], [-np.inf]], 'float32')
    for padding_mode in ('zeros', 'border', 'reflection'):
        y = run('GridSample', X[:1], grid, padding_mode=padding_mode)
        assert y.shape == (1, 3, 1, 3)
    assert run('GridSample', X[:0], GRID[:0]).shape == (0, 3, 3, 6)


@pytest.mark.parametrize('padding_mode', ['zeros', 'border', 'reflection'])
def test_gradients_reach_the_image_and_the_grid(padding_mode):
    x, grid = X[:1, :2].astype('float64'), GRID[:1, :2, :3].astype('float64')
    for mode in ('linear', 'cubic'):
        net = load('GridSample', (x, grid), mode=mode, padding_mode=padding_mode)
        check_gradients(net, x, grid, rtol=1e-4, atol=1e-6)


def test_gradients_reach_theta():
    theta = rng.standard_normal((2, 3, 4))
    check_gradients(load('AffineGrid', (theta, np.array([2, 1, 2, 3, 2])), initializers=(1,)),
                    theta)


def test_deformable_convolution_without_offsets_is_convolution():
    W, b = rng.standard_normal((4, 3, 2, 3)).astype('float32'), np.ones(4, 'float32')
    settings = {'pads': [1, 0, 0, 2], 'strides': [2, 1], 'dilations': [1, 2]}
    expected = run('Conv', X, W, b, **settings)
    y = run('DeformConv', X, W, np.zeros((2, 12, *expected.shape[2:]), 'float32'), b, **settings)
    np.testing.assert_allclose(y, expected, 1e-4, 1e-5)


def test_deformable_convolution_by_bilinear_samples():
    x, W = rng.standard_normal((1, 4, 4, 4)), rng.standard_normal((2, 2, 2, 2))
    offset, mask = rng.uniform(-2, 2, (1, 16, 3, 3)), rng.uniform(0, 1, (1, 8, 3, 3))
    y = run('DeformConv', x, W, offset, None, mask, group=2, offset_group=2)
    expected = np.zeros((1, 2, 3, 3))
    image = np.pad(x[0], [(0, 0), (4, 4), (4, 4)])
    for o, c, i, j, row, column in np.ndindex(2, 2, 2, 2, 3, 3):
        channel = o * 2 + c     # the offset groups are the groups, too
        tap = o * 4 + i * 2 + j
        v = row + i + offset[0, 2 * tap, row, column] + 4
        u = column + j + offset[0, 2 * tap + 1, row, column] + 4
        top, left = int(v), int(u)
        weights = np.outer([top + 1 - v, v - top], [left + 1 - u, u - left])
        value = (weights * image[channel, top:top + 2, left:left + 2]).sum()
        expected[0, o, row, column] += value * W[o, c, i, j] * mask[0, tap, row, column]
    np.testing.assert_allclose(y, expected, 1e-9)


def test_gradients_reach_all_that_a_deformable_convolution_takes():
    x, W, b = rng.standard_normal((1, 2, 3, 3)), rng.standard_normal((2, 2, 2, 2)), np.ones(2)
    offset, mask = rng.uniform(-.9, .9, (1, 8, 2, 2)), rng.uniform(0, 1, (1, 4, 2, 2))
    check_gradients(load('DeformConv', (x, W, offset, b, mask), initializers=(1, 3)), x, offset,
                    mask, rtol=1e-4, atol=1e-6)


def test_what_does_not_fit_is_refused():
    for operands, attributes, words in (
            ((X, GRID[..., :1]), {}, 'a grid'), ((X, GRID[:1]), {}, 'a grid'),
            ((X, GRID), {'mode': 'quartic'}, 'quartic'),
            ((X, GRID), {'padding_mode': 'no'}, "'no'")):
        with pytest.raises(DataError, match=words):
            run('GridSample', *operands, **attributes)
    theta = np.zeros((1, 2, 3), 'float32')
    with pytest.raises(DataError, match='theta'):
        run('AffineGrid', theta, np.array([2, 1, 4, 4]))
    with pytest.raises(DataError, match='damaged'):
        run('AffineGrid', theta, np.array([1, 1, 1 << 20, 1 << 20]))
    with pytest.raises(DataError, match='offset'):
        run('DeformConv', X, np.zeros((1, 3, 2, 2), 'float32'), np.zeros((2, 4, 3, 4), 'float32'))

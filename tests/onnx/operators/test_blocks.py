"""Blocks of pixels to channels and back, crops and pads beyond the onnx package's cases."""
import numpy as np
import pytest

from minichain.errors import DataError
from tests.onnx.building import check_gradients, load, run

X = np.arange(96, dtype='float32').reshape(1, 8, 3, 4)


@pytest.mark.parametrize('dtype', ['float32', 'uint8', 'bool'])
@pytest.mark.parametrize('mode', ['DCR', 'CRD'])
def test_depth_becomes_space_and_depth_again(mode, dtype):
    x = (X % 2 if dtype == 'bool' else X).astype(dtype)
    y = run('DepthToSpace', x, blocksize=2, mode=mode)
    assert y.shape == (1, 2, 6, 8) and y.dtype == dtype
    for c in range(2):
        for i in range(2):
            for j in range(2):
                channel = c * 4 + i * 2 + j if mode == 'CRD' else (i * 2 + j) * 2 + c
                np.testing.assert_array_equal(y[0, c, i::2, j::2], x[0, channel])
    if mode == 'DCR':
        np.testing.assert_array_equal(run('SpaceToDepth', y, blocksize=2), x)


@pytest.mark.parametrize('dtype', ['float64', 'int32'])
def test_axes_are_cut_and_padded_around_the_middle(dtype):
    x = np.arange(1, 6).astype(dtype).reshape(1, 5)
    for length, expected in ((4, [1, 2, 3, 4]), (3, [2, 3, 4]), (6, [1, 2, 3, 4, 5, 0]),
                             (8, [0, 1, 2, 3, 4, 5, 0, 0]), (5, [1, 2, 3, 4, 5])):
        y = run('CenterCropPad', x, np.array([length]), axes=[-1])
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, [expected])
    assert run('CenterCropPad', x, np.array([3, 0])).shape == (3, 0)
    np.testing.assert_array_equal(run('CenterCropPad', x, np.array([2, 1])), [[3], [0]])


def test_gradients_pass():
    x = X.astype('float64')[:, :4, :2, :2] + 0
    check_gradients(load('DepthToSpace', (x,), blocksize=2), x)
    check_gradients(load('SpaceToDepth', (x,), blocksize=2), x)
    operands = x, np.array([3, 1])
    check_gradients(load('CenterCropPad', operands, initializers=(1,), axes=[1, 2]), x)


def test_what_does_not_fit_is_refused():
    for op_type, x, attributes, words in (
            ('DepthToSpace', X, {'blocksize': 3}, 'divide by 3'),
            ('SpaceToDepth', X, {'blocksize': 2}, 'divide by 2'),
            ('DepthToSpace', X[0], {'blocksize': 2}, 'N, C, H, W'),
            ('DepthToSpace', X, {}, 'blocksize'),
            ('DepthToSpace', X, {'blocksize': 0}, 'blocksize')):
        with pytest.raises(DataError, match=words):
            run(op_type, x, **attributes)
    with pytest.raises(DataError, match='4 lengths'):
        run('CenterCropPad', X, np.array([1]))
    with pytest.raises(DataError, match='damaged'):
        run('CenterCropPad', X, np.array([1 << 20, 1 << 20]), axes=[0, 1])

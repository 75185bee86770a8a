import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


def real(*shape):
    return RANDOM.uniform(-1, 1, shape)


def test_without_offsets_it_is_a_convolution():
    x, W, b = real(2, 2, 5, 4), real(3, 2, 3, 2), real(3)
    expected = F.convolution_2d(x, W, b, (2, 1), (1, 0))
    offset = np.zeros((2, 12, *expected.shape[2:]))
    y = F.deformable_convolution_2d_sampler(x, offset, W, b, (2, 1), (1, 0))
    np.testing.assert_allclose(y.array, expected.array, atol=1e-12)


def test_whole_offsets_move_the_image():
    x, W = real(1, 2, 6, 6), real(3, 2, 2, 2)
    offset = np.zeros((1, 8, 3, 3))
    offset[:, :4], offset[:, 4:] = 2, 1   # horizontal first
    y = F.deformable_convolution_2d_sampler(x[:, :, :4, :4], offset * 0, W)
    moved = np.zeros_like(x)
    moved[:, :, 1:5, 2:6] = x[:, :, :4, :4]
    padded = F.deformable_convolution_2d_sampler(moved, np.pad(offset, (
        (0, 0), (0, 0), (0, 2), (0, 2))), W).array[:, :, :3, :3]
    np.testing.assert_allclose(padded, y.array, atol=1e-12)


def test_two_orders_of_gradients():
    check_function(lambda *xs: F.deformable_convolution_2d_sampler(*xs, pad=1),
                   [real(1, 2, 3, 2), real(1, 4, 4, 4) * .8, real(1, 2, 2, 1), real(1)],
                   dtypes=('float32', 'float64'))


def test_offsets_for_another_number_of_windows_are_refused():
    with pytest.raises(InvalidType, match=r'offset.shape \(1, 8, 2, 2\)'):
        F.deformable_convolution_2d_sampler(real(1, 1, 3, 3), real(1, 8, 3, 3), real(1, 1, 2, 2))

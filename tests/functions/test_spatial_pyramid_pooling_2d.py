import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidArgument
from tests.functions.check import check_function


def test_levels_are_maxima_over_1_4_and_16_windows():
    x = np.random.RandomState(0).permutation(128).reshape(1, 2, 8, 8) / 10

    def reference(x):
        levels = [x.reshape(1, 2, n, 8 // n, n, 8 // n).max(axis=(3, 5)).reshape(1, -1)
                  for n in (1, 2, 4)]
        return np.concatenate(levels, axis=1)[:, :, None, None]

    check_function(lambda x: F.spatial_pyramid_pooling_2d(x, 3, 'max'), [x], reference)


def test_images_of_any_size_give_one_length():
    for size in ((5, 7), (4, 4), (13, 6)):
        assert F.spatial_pyramid_pooling_2d(np.ones((2, 3, *size)), 2, 'max').shape == (
            2, 15, 1, 1)


def test_other_arguments_are_refused():
    with pytest.raises(InvalidArgument, match="pooling='max' expected, got None"):
        F.spatial_pyramid_pooling_2d(np.ones((1, 1, 4, 4)), 2)
    with pytest.raises(InvalidArgument, match='pyramid_height'):
        F.spatial_pyramid_pooling_2d(np.ones((1, 1, 4, 4)), 0, 'max')

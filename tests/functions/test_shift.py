import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidArgument
from tests.functions.check import check_function


def test_groups_of_channels_move_each_in_their_direction():
    x = np.zeros((1, 11, 5, 7))
    x[:, :, 2, 3] = 1
    moved = [tuple(np.argwhere(channel)[0] - [2, 3]) for channel in F.shift(x).array[0]]
    assert moved == [(-1, -1), (-1, 0), (-1, 1), (0, -1), (1, 1), (0, 1), (1, -1), (1, 0), (0, 0),
                     (0, 0), (0, 0)]


def test_dilation_moves_further_and_what_leaves_is_lost():
    x = np.ones((1, 9, 3, 3))
    y = F.shift(x, dilate=2).array[0]
    np.testing.assert_array_equal(y[0], [[1, 0, 0], [0, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(y[5], [[0, 0, 1]] * 3)


def test_gradients_move_back():
    check_function(lambda x: F.shift(x, (3, 1)), [np.random.RandomState(0).rand(2, 7, 3, 2)])


def test_an_even_window_has_no_middle():
    with pytest.raises(InvalidArgument, match='odd'):
        F.shift(np.ones((1, 4, 2, 2)), 2)

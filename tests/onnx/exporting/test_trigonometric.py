import numpy as np
import pytest

import minichain.functions as F
from tests.onnx.exporting.running import RUNNERS, expect_same

ANGLES = np.random.default_rng(0).uniform(-.9, .9, (3, 5)).astype('f')
NAMES = ['sin', 'cos', 'tan', 'arcsin', 'arccos', 'arctan', 'sinh', 'cosh', 'arctanh']


@pytest.mark.parametrize('runner', RUNNERS)
def test_functions_of_an_angle(runner):
    expect_same(lambda x: [getattr(F, name)(x) for name in NAMES], ANGLES, runner)


@pytest.mark.parametrize('runner', RUNNERS)
def test_the_angle_of_a_point_on_every_side_of_the_origin(runner):
    corners = np.array([[-2, -1, 0, 1, 3e30]], 'f')
    y, x = np.repeat(corners, 5, 0).copy(), np.repeat(corners.T, 5, 1).copy()
    expect_same(F.arctan2, (y, x), runner)
    expect_same(lambda y, x: F.arctan2(y, x[:, :1]), (y, x), runner)

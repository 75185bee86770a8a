from functools import partial

import numpy as np
import pytest

import minichain.functions as F
from tests.onnx.exporting.running import RUNNERS, expect_same, operators

X = np.random.default_rng(5).standard_normal((2, 3, 7, 8, 6), 'f')


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('ndim', [1, 2])
@pytest.mark.parametrize('cover_all', [True, False])
def test_max_pooling_with_and_without_a_window_for_the_rest(cover_all, ndim, runner):
    x = X[(..., *[0] * (3 - ndim))].copy() - 3   # negative, so that padded zeros would be seen
    for ksize, stride, pad in ((2, 2, 0), (3, 2, 0), (3, 2, 1), (4, 3, 1)):
        proto = expect_same(partial(F.max_pooling_nd, ksize=ksize, stride=stride, pad=pad,
                                    cover_all=cover_all), x, runner)
        assert operators(proto) == ['MaxPool']


@pytest.mark.parametrize('runner', RUNNERS)
def test_average_pooling_with_the_padding_counted_or_left_out(runner):
    for ksize, stride, pad in ((2, 2, 0), (3, 2, 1), (4, 3, 1)):
        for pad_value in (0, None):
            proto = expect_same(partial(F.average_pooling_nd, ksize=ksize, stride=stride, pad=pad,
                                        pad_value=pad_value), X[..., 0].copy(), runner)
            assert operators(proto) == ['AveragePool']


def test_three_axes():
    expect_same(lambda x: (F.max_pooling_3d(x, 2), F.average_pooling_3d(x, 2)), X, 'onnxruntime')

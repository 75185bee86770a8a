from functools import partial

import numpy as np
import pytest

import minichain.functions as F
from minichain.functions.im2col import Col2Im
from minichain.functions.windows import slide
from tests.onnx.exporting.running import RUNNERS, expect_same

X = np.random.default_rng(0).standard_normal((2, 3, 7, 8), 'f')
GROUPED = 'onnxruntime', 'minichain'   # the reference evaluator has no ConvTranspose in groups


@pytest.mark.parametrize('runner', RUNNERS)
def test_what_windows_see(runner):
    for options in ({}, {'stride': 2, 'pad': 1}, {'stride': 3, 'cover_all': True},
                    {'stride': 5, 'pad': 2}, {'dilate': 2}):
        expect_same(partial(F.im2col, ksize=(3, 2), **options), X, runner)


@pytest.mark.parametrize('runner', GROUPED)
def test_columns_are_added_back(runner):
    for options in ({}, {'stride': 2, 'pad': 1}, {'dilate': 2}):
        windows = slide('', (7, 8), (3, 2), **options)
        columns = np.random.default_rng(1).standard_normal((2, 3, 3, 2, *windows.out), 'f')
        expect_same(lambda x, w=windows: Col2Im(w).apply((x,))[0], columns, runner)


@pytest.mark.parametrize('runner', GROUPED)
def test_unpooling(runner):
    for options in ({}, {'stride': 2, 'pad': 1}, {'outsize': (14, 15)}, {'cover_all': False}):
        expect_same(partial(F.unpooling_2d, ksize=2, **options), X, runner)

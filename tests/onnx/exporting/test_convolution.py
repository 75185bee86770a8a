from functools import partial

import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from tests.onnx.exporting.running import RUNNERS, expect_same, operators

RANDOM = np.random.default_rng(0)


def floats(*shape):
    return RANDOM.standard_normal(shape, 'f')


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('ndim', [1, 2, 3])
def test_a_convolution_keeps_stride_padding_and_dilation(ndim, runner):
    W, b = floats(6, 3, *(3,) * ndim), floats(6)
    for options in ({}, {'stride': 2, 'pad': 1}, {'dilate': 2, 'pad': 2},
                    {'stride': 3, 'cover_all': True}):
        proto = expect_same(partial(F.convolution_nd, W=W, b=b, **options),
                            floats(2, 3, *(8, 9, 7)[:ndim]), runner)
        assert operators(proto) == ['Conv']


@pytest.mark.parametrize('runner', RUNNERS)
def test_groups_and_a_missing_bias(runner):
    expect_same(L.Convolution2D(4, 6, 3, groups=2, nobias=True), floats(2, 4, 6, 6), runner)


def test_weights_are_called_by_their_path():
    proto = expect_same(L.Convolution2D(3, 2, 3), floats(2, 3, 5, 5))
    assert [w.name for w in proto.graph.initializer] == ['W', 'b']


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('ndim', [1, 2])
def test_a_deconvolution_keeps_stride_padding_and_the_size_asked_for(ndim, runner):
    W, b = floats(4, 3, *(4,) * ndim), floats(3)
    for options in ({}, {'stride': 2, 'pad': 1}, {'dilate': 2},
                    {'stride': 3, 'pad': 1, 'outsize': (15, 16)[:ndim]}):
        proto = expect_same(partial(F.deconvolution_nd, W=W, b=b, **options),
                            floats(2, 4, *(5,) * ndim), runner)
        assert operators(proto) == ['ConvTranspose']


def test_a_grouped_deconvolution():   # the reference evaluator knows none
    expect_same(L.Deconvolution2D(4, 6, 3, stride=2, groups=2), floats(2, 4, 4, 4), 'onnxruntime')

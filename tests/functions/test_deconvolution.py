"""Transposed convolution against PyTorch's and against its definition as an adjoint."""
import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(1)


def real(*shape):
    return RANDOM.uniform(-1, 1, shape)


@pytest.mark.parametrize('x, W, options, extra', [
    ((2, 2, 2, 3), (2, 3, 3, 2), {}, 0),
    ((1, 2, 3, 2), (2, 2, 3, 3), {'stride': 2, 'pad': 1}, 0),
    ((1, 2, 2, 2), (2, 1, 3, 3), {'stride': 3}, 2),
    ((1, 1, 3, 3), (1, 2, 2, 2), {'dilate': 2, 'pad': 1}, 0),
    ((1, 4, 2, 2), (4, 1, 2, 2), {'groups': 2, 'stride': 2}, 1),
    ((1, 4, 3, 2), (4, 1, 2, 3), {'groups': 4}, 0),
    ((1, 2, 3, 3), (2, 2, 1, 1), {}, 0),
], ids=str)
def test_deconvolution_2d_is_torchs_with_two_orders_of_gradients(x, W, options, extra):
    torch = pytest.importorskip('torch', reason='torch is the reference here')
    b = real(W[1] * options.get('groups', 1))
    stride, pad, dilate = (options.get(name, default) for name, default in (
        ('stride', 1), ('pad', 0), ('dilate', 1)))
    outsize = None if not extra else tuple(
        stride * (n - 1) + dilate * (k - 1) + 1 - 2 * pad + extra for n, k in zip(x[2:], W[2:]))

    def reference(x, W, b):
        return torch.conv_transpose2d(
            *map(torch.tensor, (x, W, b)), stride, pad, extra, options.get('groups', 1),
            dilate).numpy()

    check_function(lambda x, W, b: F.deconvolution_2d(x, W, b, outsize=outsize, **options),
                   [real(*x), real(*W), b], reference)


@pytest.mark.parametrize('x, W, options', [
    ((2, 2, 2, 3), (2, 0, 3, 2), {}), ((2, 2, 2, 3), (2, 0, 3, 2), {'stride': 2}),
    ((2, 0, 2, 2), (0, 3, 2, 2), {}), ((2, 0, 2, 2), (0, 3, 2, 2), {'stride': 3}),
    ((0, 2, 2, 2), (2, 3, 2, 2), {'stride': 2}), ((1, 2, 0, 2), (2, 3, 2, 2), {}),
    ((1, 0, 2, 2), (0, 3, 2, 2), {'groups': 2}), ((0, 2, 2, 2), (2, 1, 2, 2), {'groups': 2}),
], ids=str)
def test_of_nothing_the_bias_alone_remains(x, W, options):
    b = real(W[1] * options.get('groups', 1))

    def reference(x, W, b):
        size = [options.get('stride', 1) * (n - 1) + k for n, k in zip(x.shape[2:], W.shape[2:])]
        return np.zeros((len(x), len(b), *size)) + b[:, None, None]
    check_function(lambda x, W, b: F.deconvolution_2d(x, W, b, **options),
                   [real(*x), real(*W), b], reference)


@pytest.mark.parametrize('deconvolve, convolve, size, k', [
    (F.deconvolution_1d, F.convolution_1d, (7,), (3,)),
    (F.deconvolution_nd, F.convolution_nd, (5, 7), (3, 3)),
    (F.deconvolution_3d, F.convolution_3d, (3, 5, 3), (1, 3, 3)),
], ids=['1d', 'nd', '3d'])
def test_deconvolution_is_the_adjoint_of_convolution(deconvolve, convolve, size, k):
    x, W = real(2, 3, *size), real(4, 3, *k)
    y = convolve(x, W, stride=2, pad=0).array
    gy = real(*y.shape)
    back = deconvolve(gy, W, stride=2, pad=0, outsize=size).array
    np.testing.assert_allclose((y * gy).sum(), (x * back).sum(), rtol=1e-10)


def test_an_outsize_of_another_operand_is_refused_with_the_formula():
    with pytest.raises(InvalidType, match=r'outsize \(9, 9\) for x \(1, 1, 3, 3\).*stride \* '):
        F.deconvolution_2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), stride=2, outsize=(9, 9))


def test_channels_that_do_not_meet_are_refused():
    with pytest.raises(InvalidType, match=r'W.shape\[0\] == x.shape\[1\].*got x \(1, 2, 3, 3\)'):
        F.deconvolution_2d(np.ones((1, 2, 3, 3)), np.ones((3, 1, 3, 3)))


def test_an_empty_result_is_refused():
    with pytest.raises(InvalidType, match='output would be empty'):
        F.deconvolution_2d(np.ones((1, 1, 1, 1)), np.ones((1, 1, 2, 2)), pad=1)

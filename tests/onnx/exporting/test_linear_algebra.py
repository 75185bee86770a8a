import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidArgument
from minichain.onnx.exporting import export
from tests.onnx.exporting.running import RUNNERS, expect_same, operators

X = np.random.default_rng(0).standard_normal((4, 3, 6), 'f')
SQUARES = X[:, :, :3].copy()
PRODUCTS = {
    'matrices': ('nij,njk->nik', X, X.swapaxes(1, 2).copy()),
    'a sum': ('nij->ni', X), 'a transpose': ('nij->jni', X),
    'a diagonal': ('nii->ni', SQUARES), 'a trace': ('nii', SQUARES),
    'three': ('nij,njk,nkl->nl', SQUARES, SQUARES, SQUARES),
    'open axes': ('...j,...j->...', X, X), 'broadcast': ('...j,...j->...j', X, X[:, :1].copy()),
}


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('name', PRODUCTS)
def test_products_in_index_notation(name, runner):
    notation, *operands = PRODUCTS[name]
    expect_same(lambda *xs: F.einsum(notation, *xs), tuple(operands), runner)


@pytest.mark.parametrize('runner', RUNNERS)
def test_products_over_several_axes(runner):
    W = np.random.default_rng(1).standard_normal((6, 3, 2), 'f')
    expect_same(lambda x: (F.tensordot(x, W, ([2, 1], [0, 1])), F.batch_matmul(x, x, transb=True)),
                X, runner)


@pytest.mark.parametrize('runner', RUNNERS)
def test_determinants(runner):
    expect_same(F.batch_det, SQUARES, runner)
    expect_same(F.det, SQUARES[0], runner, batch_axis=None)


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('place', [(0, 1, 2), (1, 1, 2), (-2, 1, 2), (2, 2, 1)])
def test_diagonals(place, runner):
    expect_same(lambda x: F.diagonal(x, *place), X, runner)
    expect_same(lambda x: F.diagonal(x, *place[:1]), X[0], runner, batch_axis=None)


def both_ways(x, y):
    return (*F.fft((x, y)), *F.ifft((x, y)))


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('opset', [13, 17, 20])
@pytest.mark.parametrize('length', [1, 5, 8, 250])
def test_fourier_transforms_and_back(length, opset, runner):
    x, y = np.random.default_rng(2).standard_normal((2, 3, 2, length), 'f')
    proto = expect_same(both_ways, (x, y), runner, opset=opset)
    assert ('DFT' in operators(proto)) == (opset > 13 and length in (1, 8))
    expect_same(both_ways, (x[0, 0].copy(), y[0, 0].copy()), runner, opset=opset, batch_axis=None)


def test_long_signals_are_left_to_the_operator():
    x = np.random.default_rng(2).standard_normal((2, 1025), 'f')
    assert 'DFT' in operators(expect_same(both_ways, (x, x), 'minichain'))
    with pytest.raises(InvalidArgument, match='DFT needs opset 17'):
        export(both_ways, (x, x), opset=16)


@pytest.mark.parametrize('runner', RUNNERS)
def test_running_products(runner):
    expect_same(lambda x: (F.cumprod(x, 1), F.cumprod(x, -1)), X, runner)
    expect_same(F.cumprod, X[0], runner, batch_axis=None)


def test_what_would_need_the_batch_size_beforehand_is_refused():
    for code in (lambda x: F.cumprod(x, 0), lambda x: F.diagonal(F.concat((x, x), 0), 0, 0, 1),
                 lambda x: F.fft((x.transpose(1, 2, 0), x.transpose(1, 2, 0)))):
        with pytest.raises(InvalidArgument, match='batch'):
            export(code, X)


def test_decompositions_are_refused_unless_they_are_of_constants():
    def invert(x):
        return F.batch_inv(F.matmul(x, x, transa=True) + np.eye(3, dtype='f'))
    with pytest.raises(InvalidArgument, match='ONNX has no inverse of a matrix'):
        export(invert, SQUARES)
    with pytest.raises(InvalidArgument, match='no decomposition'):
        export(lambda x: F.cholesky(F.matmul(x, x, transa=True) + np.eye(3, dtype='f')),
               SQUARES[0], batch_axis=None)
    with pytest.raises(InvalidArgument, match='no eigenvectors'):
        export(lambda x: F.decorrelated_batch_normalization(x, groups=1), X)
    inverse = F.inv(SQUARES[0])
    assert operators(export(lambda x: F.matmul(x, F.inv(inverse)), SQUARES)) == ['MatMul']

"""Inverse, determinant and Cholesky factor of square matrices."""
import numpy as np

from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions._axis import sum_dtype
from minichain.functions.matmul import matmul
from minichain.type_check import expect_float, expect_ndim


def _expect_square(label, a):
    expect_float(label, a=a)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise InvalidType(f'{label}: square matrices expected, got shape {a.shape}')


def _linear_algebra(label, function, a, what):
    """Return ``function(a)``, computed in float32 for float16."""
    try:
        y = function(a.astype(sum_dtype(a.dtype), copy=False)).astype(a.dtype, copy=False)
    except np.linalg.LinAlgError:
        y = None
    if y is None or not bool(get_array_module(a).isfinite(y).all()):
        raise InvalidArgument(f'{label}: {what} matrices of finite numbers expected')
    return y


class Inv(Primitive):
    label = 'inv'

    def check_type_forward(self, in_types):
        _expect_square('inv', in_types[0])

    def forward(self, arrays):
        self.retain_outputs((0,))
        a, = arrays
        return _linear_algebra('inv', get_array_module(a).linalg.inv, a, 'invertible'),

    def backward(self, indexes, grads):
        y, = self.get_retained_outputs()
        return -matmul(matmul(y, grads[0], transa=True), y, transb=True),


class Det(Primitive):
    label = 'det'

    def check_type_forward(self, in_types):
        _expect_square('det', in_types[0])

    def forward(self, arrays):
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        a, = arrays
        y = get_array_module(a).linalg.det(a.astype(sum_dtype(a.dtype), copy=False))
        return y.astype(a.dtype, copy=False),

    def backward(self, indexes, grads):
        a, = self.get_retained_inputs()
        y, = self.get_retained_outputs()
        axes = (*range(a.ndim - 2), a.ndim - 1, a.ndim - 2)
        return Inv().apply((a,))[0].transpose(axes) * (grads[0] * y).reshape((*y.shape, 1, 1)),


class Cholesky(Primitive):
    label = 'cholesky'

    def check_type_forward(self, in_types):
        expect_ndim('cholesky', 2, a=in_types[0])
        _expect_square('cholesky', in_types[0])

    def forward(self, arrays):
        self.retain_outputs((0,))
        a, = arrays
        return _linear_algebra('cholesky', get_array_module(a).linalg.cholesky, a,
                               'positive definite'),

    def backward(self, indexes, grads):
        # With phi(m), the lower triangle of m with its diagonal halved, and L the factor:
        # S = inv(L)^T phi(L^T gL) inv(L), and the gradient is the symmetric part of S.
        L, = self.get_retained_outputs()
        xp = get_array_module(L)
        phi = xp.tril(xp.ones(L.shape, L.dtype)) - xp.eye(len(L), dtype=L.dtype) / 2
        inverse = Inv().apply((L,))[0]
        S = matmul(matmul(inverse, matmul(L, grads[0], transa=True) * phi, transa=True), inverse)
        return (S + S.T) * 0.5,


def inv(a):
    """Inverse of a matrix.

    Args:
        a: float, (M, M).
    Raises:
        InvalidType: not a square matrix. InvalidArgument: it has no inverse.
    """
    expect_ndim('inv', 2, a=a)
    return Inv().apply((a,))[0]


def batch_inv(a):
    """Inverse of each of N matrices.

    Args:
        a: float, (N, M, M).
    Raises:
        InvalidType: not square matrices. InvalidArgument: one has no inverse.
    """
    expect_ndim('batch_inv', 3, a=a)
    return Inv().apply((a,))[0]


def det(a):
    """Determinant of a matrix; its gradient needs the inverse, and so fails where det is 0.

    Args:
        a: float, (M, M).
    Returns:
        a number, shape ().
    Raises:
        InvalidType: not a square matrix.
    """
    expect_ndim('det', 2, a=a)
    return Det().apply((a,))[0]


def batch_det(a):
    """Determinant of each of N matrices; the gradient needs their inverses.

    Args:
        a: float, (N, M, M).
    Returns:
        (N,).
    Raises:
        InvalidType: not square matrices.
    """
    expect_ndim('batch_det', 3, a=a)
    return Det().apply((a,))[0]


def cholesky(a):
    """Lower triangular L with L L^T = a.

    Args:
        a: float, (M, M), symmetric and positive definite; only its lower triangle is read.
    Returns:
        (M, M).
    Raises:
        InvalidType: not a square matrix. InvalidArgument: not positive definite.
    """
    return Cholesky().apply((a,))[0]

"""Bilinear map of two vectors."""
import math

from minichain.autograd import as_variable
from minichain.errors import InvalidArgument
from minichain.functions.matmul import matmul
from minichain.functions.reshape import reshape
from minichain.type_check import expect_float, expect_ndim, expect_same_dtype, expect_shape


def _rows(x):
    return reshape(x, (x.shape[0], math.prod(x.shape[1:])))


def bilinear(e1, e2, W, V1=None, V2=None, b=None):
    """y_l = sum_jk e1_j e2_k W_jkl + (e1 V1)_l + (e2 V2)_l + b_l, row by row.

    Args:
        e1, e2: (N, J...) and (N, K...), float; axes after the first are flattened.
        W: (J, K, L), same dtype.
        V1, V2, b: (J, L), (K, L) and (L,), all three or none.
    Returns:
        (N, L).
    Raises:
        InvalidType: shapes or dtypes do not fit.
        InvalidArgument: only some of ``V1``, ``V2`` and ``b`` are given.
    """
    if len({each is None for each in (V1, V2, b)}) > 1:
        raise InvalidArgument('bilinear: V1, V2 and b, all three or none, expected')
    expect_float('bilinear', e1=e1, e2=e2)
    expect_ndim('bilinear', 3, W=W)
    e1, e2, W = _rows(e1), _rows(e2), as_variable(W)
    J, K, L = W.shape
    expect_same_dtype('bilinear', e1=e1, e2=e2, W=W)
    expect_shape('bilinear', (None, J), e1=e1)
    expect_shape('bilinear', (len(e1), K), e2=e2)
    products = reshape(e1, (len(e1), J, 1)) * reshape(e2, (len(e1), 1, K))
    y = matmul(reshape(products, (len(e1), J * K)), reshape(W, (J * K, L)))
    if b is not None:
        expect_shape('bilinear', (J, L), V1=V1)
        expect_shape('bilinear', (K, L), V2=V2)
        expect_shape('bilinear', (L,), b=b)
        y = y + matmul(e1, V1) + matmul(e2, V2) + b
    return y

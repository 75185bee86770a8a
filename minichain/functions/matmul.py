"""Matrix products, batched over leading axes; the gradient of one is two others."""
import numpy as np

from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidType
from minichain.functions.broadcast import sum_to
from minichain.functions.reshape import reshape
from minichain.gpu import products
from minichain.gpu.dispatch import fused
from minichain.type_check import expect_broadcast, expect_float


def _swap(a):
    axes = tuple(range(a.ndim - 2)) + (a.ndim - 1, a.ndim - 2)
    return a.transpose(axes)


@fused(products.product, libraries=('cublasLt',), accepts=products.are_matrices)
def product(a, b, transa, transb, out=None):
    """Return a @ b of arrays, either of them transposed on the way; in ``out`` if given."""
    a, b = _swap(a) if transa else a, _swap(b) if transb else b
    return multiplied(a, b) if out is None else get_array_module(a).matmul(a, b, out=out)


def multiplied(a, b):
    """Return a @ b of arrays; half floats, which no CPU multiplies so, take the way by float32."""
    if a.dtype == b.dtype == np.float16 and get_array_module(a) is np:
        return (a.astype(np.float32) @ b.astype(np.float32)).astype(np.float16)
    return a @ b


class MatMul(Primitive):
    """a @ b for operands of two or more axes, either of them transposed on the way."""

    label = '_ @ _'

    def __init__(self, transa, transb):
        self.transa, self.transb = transa, transb

    def check_type_forward(self, in_types):
        a, b = in_types
        expect_float('matmul', a=a, b=b)
        inner_a = a.shape[-2 if self.transa else -1]
        inner_b = b.shape[-1 if self.transb else -2]
        if inner_a != inner_b:
            raise InvalidType(f'matmul: inner lengths that agree expected, got {inner_a} and '
                              f'{inner_b} from shapes {a.shape} and {b.shape}'
                              f'{", a transposed" * self.transa}{", b transposed" * self.transb}')
        if a.ndim > 2 or b.ndim > 2:
            expect_broadcast('matmul, leading axes', a[..., :1, :1], b[..., :1, :1])

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        return product(*arrays, self.transa, self.transb),

    def backward(self, indexes, grads):
        a, b = self.get_retained_inputs()
        gy, = grads
        ga = gb = None
        if 0 in indexes:
            ga = (_product(b, gy, self.transb, True) if self.transa
                  else _product(gy, b, False, not self.transb))
            ga = sum_to(ga, a.shape)
        if 1 in indexes:
            gb = (_product(gy, a, True, self.transa) if self.transb
                  else _product(a, gy, not self.transa, False))
            gb = sum_to(gb, b.shape)
        return ga, gb


def _product(a, b, transa, transb):
    return MatMul(transa, transb).apply((a, b))[0]


def matmul(a, b, transa=False, transb=False):
    """Matrix product a b; leading axes broadcast, a vector counts as a row (a) or a column (b).

    Args:
        a, b: (..., M, K) and (..., K, N), float, one to any number of axes.
        transa, transb: swap the last two axes of ``a``, of ``b`` first. No effect on vectors.
    Returns:
        (..., M, N); the axis of a vector is left out.
    Raises:
        InvalidType: inner lengths differ, or a scalar is given.
    """
    if a.ndim == 0 or b.ndim == 0:
        raise InvalidType(f'matmul: at least one axis each expected, got shapes {a.shape} and '
                          f'{b.shape}. Scalars are multiplied with *')
    row, column = a.ndim == 1, b.ndim == 1
    y = _product(reshape(a, (1, -1)) if row else a, reshape(b, (-1, 1)) if column else b,
                 transa and not row, transb and not column)
    if row or column:
        shape = y.shape[:-2] + (() if row else y.shape[-2:-1]) + (() if column else y.shape[-1:])
        y = reshape(y, shape)
    return y


def batch_matmul(a, b, transa=False, transb=False):
    """Matrix products of N pairs.

    Args:
        a, b: (N, M, K) and (N, K, L), or (N, K) for vectors, which count as columns.
        transa, transb: swap the last two axes of ``a``, of ``b`` first.
    Returns:
        (N, M, L).
    """
    a = reshape(a, (*a.shape, 1)) if a.ndim == 2 else a
    b = reshape(b, (*b.shape, 1)) if b.ndim == 2 else b
    return matmul(a, b, transa, transb)

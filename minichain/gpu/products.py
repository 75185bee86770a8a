"""Products of matrices for functions: any layout, one call of :func:`~gemm.gemm` each.

Under ``config.precision = 'bf16'`` operands are rounded to bfloat16 first; sums and results are
float32, unless the array for them is bfloat16.
"""
import numpy as np

from minichain.backend import get_array_module
from minichain.gpu.casts import as_stored, storage_dtype
from minichain.gpu.gemm import gemm
from minichain.gpu.precision import is_bfloat16


def are_matrices(a, b, *_):
    """Return whether :func:`product` and :func:`affine` take these operands."""
    return a.ndim == b.ndim == 2 and b.size > 0 and all(
        x.dtype == np.float32 or is_bfloat16(x.dtype) for x in (a, b))


def product(a, b, transa, transb, out=None):
    """Return op(a) @ op(b), op the transpose where ``transa``, ``transb`` say so.

    Args:
        a, b: matrices, float32, or bfloat16 as uint16.
        out: C-contiguous array to fill; None: a new one, float32.
    """
    dtype = dtype_for(a, b)
    a, transa = operand(a, transa, dtype)
    b, transb = operand(b, transb, dtype)
    if out is None:
        shape = a.shape[1 if transa else 0], b.shape[0 if transb else 1]
        out = get_array_module(a).empty(shape, np.float32)
    return gemm(a, b, out, trans_a=transa, trans_b=transb)


def affine(x, W, b, out=None):
    """Return x @ W.T + b, x (N, I), W (O, I), b (O,) or None; ``out`` as of :func:`product`."""
    dtype = dtype_for(x, W)
    (x, transposed), (W, turned) = operand(x, False, dtype), operand(W, True, dtype)
    xp = get_array_module(x)
    if out is None:
        shape = x.shape[1 if transposed else 0], W.shape[0 if turned else 1]
        out = xp.empty(shape, np.float32)
    if b is not None:
        b = as_stored(b, out.dtype)
    return gemm(x, W, out, trans_a=transposed, trans_b=turned,
                epilogue=None if b is None else 'bias', bias=b)


def rounded(a, b):
    """Return matrices as products of both read them: copies in bfloat16 where that is asked for.

    A function keeps them for its way back, which then rounds neither of them again. They last no
    longer than its node: of a weight that changes between two steps there is no copy.
    """
    dtype, copies = dtype_for(a, b), []
    for x in (a, b):
        y, turned = operand(x, False, dtype)
        copies.append(y.T if turned else y)
    return tuple(copies)


def affine_gradients(gy, x, W, indexes):
    """Return gradients of x and W of :func:`affine`, if 0 and 1 are in ``indexes``, else None.

    Args:
        gy: (N, O), float32. x, W: as of :func:`rounded`.
    """
    if not {0, 1} & set(indexes):
        return None, None
    gy, _ = rounded(gy, W)
    return (product(gy, W, False, False) if 0 in indexes else None,
            product(gy, x, True, False) if 1 in indexes else None)


def sum_of_rows(x):
    """Return the sum of the rows of a matrix, (columns,), float32, as a product."""
    xp, one = get_array_module(x), 0x3f80 if is_bfloat16(x.dtype) else 1     # the bits of 1
    return product(xp.full((1, len(x)), one, x.dtype), x, False, False)[0]


def dtype_for(a, b):
    """Return the dtype of both operands: bfloat16 if it is asked for, or one of them is."""
    return next((x.dtype for x in (a, b) if is_bfloat16(x.dtype)), storage_dtype())


def operand(x, transposed, dtype):
    """Return a matrix of a dtype with contiguous rows, and whether it is to be transposed."""
    if not lies_in_rows(x):
        if lies_in_rows(x.T):
            x, transposed = x.T, not transposed
        else:
            x = get_array_module(x).ascontiguousarray(x)
    return (as_stored(x, dtype) if is_bfloat16(dtype) else x), transposed


def lies_in_rows(x):
    """Return whether elements of a row of a matrix are neighbours, and rows do not overlap."""
    step, row = x.strides[1], x.strides[0]
    return step == x.itemsize and row >= x.shape[1] * x.itemsize

"""Products of float32 matrices for functions: any layout, one call of :func:`~gemm.gemm` each."""
from minichain.backend import get_array_module
from minichain.gpu.gemm import gemm


def are_matrices(a, b, *_):
    """Return whether :func:`product` and :func:`affine` take these operands."""
    return a.ndim == b.ndim == 2 and b.size > 0 and a.dtype == b.dtype


def product(a, b, transa, transb, out=None):
    """Return op(a) @ op(b), op the transpose where ``transa``, ``transb`` say so.

    Args:
        a, b: matrices, float32.
        out: C-contiguous array to fill; None: a new one.
    """
    a, transa = operand(a, transa)
    b, transb = operand(b, transb)
    if out is None:
        shape = a.shape[1 if transa else 0], b.shape[0 if transb else 1]
        out = get_array_module(a).empty(shape, a.dtype)
    return gemm(a, b, out, trans_a=transa, trans_b=transb)


def affine(x, W, b):
    """Return x @ W.T + b, x (N, I), W (O, I), b (O,) or None."""
    (x, transposed), (W, turned) = operand(x, False), operand(W, True)
    xp = get_array_module(x)
    out = xp.empty((x.shape[1 if transposed else 0], W.shape[0 if turned else 1]), x.dtype)
    return gemm(x, W, out, trans_a=transposed, trans_b=turned,
                epilogue=None if b is None else 'bias',
                bias=None if b is None else xp.ascontiguousarray(b))


def operand(x, transposed):
    """Return a matrix whose rows are contiguous, and whether it is to be transposed."""
    if lies_in_rows(x):
        return x, transposed
    if lies_in_rows(x.T):
        return x.T, not transposed
    return get_array_module(x).ascontiguousarray(x), transposed


def lies_in_rows(x):
    """Return whether elements of a row of a matrix are neighbours, and rows do not overlap."""
    step, row = x.strides[1], x.strides[0]
    return step == x.itemsize and row >= x.shape[1] * x.itemsize

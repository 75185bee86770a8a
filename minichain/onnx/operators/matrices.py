"""Products of matrices, sums of products in index notation, determinants and triangles."""
import math

import numpy as np

import minichain.functions as F
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.budget import current
from minichain.onnx.operators.activations import keep_where
from minichain.onnx.operators.arithmetic import same_dtype
from minichain.onnx.operators.values import (
    check_broadcast,
    check_growth,
    check_size,
    is_float,
    keep_dtype,
    on_one_device,
    to_scalar,
)


def mat_mul(node, x, y):
    same_dtype(x, y)
    if x.ndim and y.ndim:
        try:
            lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
        except ValueError as error:
            raise DataError(f'leading axes that broadcast expected: {error}') from error
        shape = check_growth(lead + x.shape[-2:-1] + y.shape[-1:], x, y)
        current().work(2 * math.prod(shape) * x.shape[-1])
    if is_float(x):
        return F.matmul(x, y)
    x, y = on_one_device(x, y)
    return keep_dtype(x @ y, x)


def gemm(node, A, B, C=None):
    """alpha A B + beta C, A and B transposed if asked for; C broadcasts to the product."""
    same_dtype(A, B)
    if A.ndim != 2 or B.ndim != 2:
        raise DataError(f'two matrices expected, got the shapes {A.shape} and {B.shape}')
    transA, transB = bool(node.get('transA', 0)), bool(node.get('transB', 0))
    alpha, beta = node.get('alpha', 1.), node.get('beta', 1.)
    shape = A.shape[1 if transA else 0], B.shape[0 if transB else 1]
    check_growth(shape, A, B)
    current().work(2 * math.prod(shape) * A.shape[0 if transA else 1])
    if not is_float(A):
        A, B = on_one_device(A, B)
        y = (A.T if transA else A) @ (B.T if transB else B)
        y = y if alpha == 1 else keep_dtype(y * alpha, y)
    else:
        y = F.matmul(A, B, transA, transB)
        y = y if alpha == 1 else y * alpha
    if C is None or beta == 0:
        return y
    same_dtype(y, C)
    if check_broadcast(y, C) != y.shape:
        raise DataError(f'C of a shape that broadcasts to {y.shape} expected, got {C.shape}')
    if is_float(y):
        return y + (C if beta == 1 else C * beta)
    y, C = on_one_device(y, C)
    return y + (C if beta == 1 else keep_dtype(C * beta, C))


def einsum(node, *operands):
    equation = node.require('equation').replace(' ', '')
    same_dtype(*operands)
    labels, arrow, output = equation.partition('->')
    lengths = {label: length for each, x in zip(labels.split(','), operands)
               for label, length in zip(each.partition('...')[0], x.shape)}
    lengths.update({label: length for each, x in zip(labels.split(','), operands)
                    for label, length in zip(each.rpartition('...')[2][::-1], x.shape[::-1])})
    wanted = output if arrow else set(labels)
    spread = [x.shape[len(each.partition('...')[0]):x.ndim - len(each.rpartition('...')[2])]
              for each, x in zip(labels.split(','), operands) if '...' in each]
    lead = math.prod(np.broadcast_shapes(*spread))
    check_size((lead, math.prod(lengths.get(label, 1) for label in wanted)))
    current().work(2 * lead * math.prod(lengths.values()))
    if is_float(operands[0]):
        return F.einsum(equation, *operands)
    operands = on_one_device(*operands)
    y = get_array_module(*operands).einsum(equation, *operands)
    return keep_dtype(y, operands[0])


def det(node, x):
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise DataError(f'square matrices expected, got the shape {x.shape}')
    current().work(2 * x.size * x.shape[-1])
    if x.ndim == 2:
        return F.det(x)
    return F.reshape(F.batch_det(F.reshape(x, (math.prod(x.shape[:-2]), *x.shape[-2:]))),
                     x.shape[:-2])


def trilu(node, x, k=None):
    """The upper or lower triangle of matrices, 0 elsewhere; k moves the diagonal to the right."""
    if x.ndim < 2:
        raise DataError(f'matrices expected, got the shape {x.shape}')
    k = 0 if k is None else int(to_scalar(k))
    xp = get_array_module(x)
    k = max(-x.shape[-2], min(k, x.shape[-1]))
    check_size(x.shape[-2:], 8, on_the_way=True)
    offset = xp.arange(x.shape[-1]) - xp.arange(x.shape[-2])[:, None]
    inside = offset >= k if node.get('upper', 1) else offset <= k
    if is_float(x):
        return keep_where(inside, x)
    return xp.where(inside, as_array(x), x.dtype.type(0))


OPERATORS = {
    'Det': det,
    'Einsum': einsum,
    'Gemm': gemm,
    'MatMul': mat_mul,
    'Trilu': trilu,
}

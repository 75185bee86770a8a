"""Batch normalization that also removes the correlation of channels: whitening by groups.

Two functions that are each other's derivatives make it differentiable to any order: the inverse
square root of a symmetric matrix, and the solution X of S X + X S = G.
"""
from minichain.autograd import Primitive, as_array, as_variable
from minichain.backend import get_array_module
from minichain.errors import InvalidType
from minichain.functions._axis import sum_dtype
from minichain.functions.cast import cast
from minichain.functions.matmul import matmul
from minichain.functions.reshape import reshape, transpose
from minichain.functions.sum import sum
from minichain.type_check import expect_float, expect_shape


class InverseSquareRoot(Primitive):
    """P = C ** (-1 / 2) of symmetric positive matrices, (G, K, K)."""

    def forward(self, arrays):
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        values, vectors = get_array_module(*arrays).linalg.eigh(arrays[0])
        return (vectors * (values ** -.5)[:, None, :]) @ vectors.transpose(0, 2, 1),

    def backward(self, indexes, grads):
        C, = self.get_retained_inputs()
        P, = self.get_retained_outputs()
        root = matmul(C, P)   # dP = -P d(root) P, and C = root root
        return Sylvester().apply((root, -matmul(matmul(P, grads[0]), P)))


class Sylvester(Primitive):
    """X with S X + X S = G, for symmetric positive S; both (G, K, K)."""

    def forward(self, arrays):
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        S, G = arrays
        values, vectors = get_array_module(S).linalg.eigh(S)
        inverse = vectors.transpose(0, 2, 1)
        inner = inverse @ G @ vectors / (values[:, :, None] + values[:, None, :])
        return vectors @ inner @ inverse,

    def backward(self, indexes, grads):
        S, = self.get_retained_inputs()
        X, = self.get_retained_outputs()
        gG, = Sylvester().apply((S, grads[0]))
        return -(matmul(gG, X, transb=True) + matmul(X, gG, transa=True)), gG


def _grouped(label, x, groups):
    """Return ``x``, (N, C, ...), as (groups, C / groups, N ...) in float32 or wider."""
    expect_float(label, x=x)
    if x.ndim < 2 or groups < 1 or x.shape[1] % groups:
        raise InvalidType(f'{label}: x of shape (N, C, ...) with C a multiple of {groups} groups '
                          f'expected, got {x.shape}')
    first = transpose(as_variable(x), (1, 0, *range(2, x.ndim)))
    size = first.shape[0] // groups
    return reshape(cast(first, sum_dtype(x.dtype)),
                   (groups, size, x.size // max(1, groups * size)))


def _ungrouped(y, x):
    """Undo :func:`_grouped`."""
    y = reshape(y, (x.shape[1], x.shape[0], *x.shape[2:]))
    return cast(transpose(y, (1, 0, *range(2, x.ndim))), x.dtype)


def decorrelated_batch_normalization(x, *, groups=16, eps=2e-5, running_mean=None,
                                     running_projection=None, decay=0.9):
    """Whiten groups of channels:  y = (cov + eps) ** (-1 / 2) (x - mean), by this batch.

    Args:
        x: (N, C, ...), float.
        groups: number G of groups, a divisor of C; each of K = C / G channels.
        eps: added to the diagonal of the covariance.
        running_mean, running_projection: arrays (G, K) and (G, K, K) that are changed in place:
            r <- decay r + (1 - decay) new. None: not kept.
        decay: weight of the past in these averages.
    Returns:
        the shape and dtype of ``x``.
    Raises:
        InvalidType: shapes do not fit.
    Huang et al. 2018, "Decorrelated batch normalization", arXiv:1804.08450.
    """
    label = 'decorrelated_batch_normalization'
    rows = _grouped(label, x, groups)
    _, K, count = rows.shape
    mean = sum(rows, 2, keepdims=True) / max(1, count)
    centred = rows - mean
    diagonal = rows.xp.eye(K, dtype=rows.dtype) * eps
    covariance = matmul(centred, centred, transb=True) / max(1, count) + diagonal
    projection, = InverseSquareRoot().apply((covariance,))
    unbiased = count / max(1, count - 1)
    for name, average, new in (
            ('running_mean', running_mean, mean.array[:, :, 0]),
            ('running_projection', running_projection, projection.array * unbiased)):
        if average is not None and count:
            average = as_array(average)
            expect_shape(label, new.shape, **{name: average})
            average *= decay
            average += ((1 - decay) * new).astype(average.dtype)
    return _ungrouped(matmul(projection, centred), x)


def fixed_decorrelated_batch_normalization(x, mean, projection, groups=16):
    """y = projection (x - mean), by groups of channels.

    Args:
        x: (N, C, ...), float.
        mean, projection: (G, K) and (G, K, K) with K = C / G, float.
        groups: number G of groups, a divisor of C.
    Returns:
        the shape and dtype of ``x``.
    Raises:
        InvalidType: shapes do not fit.
    """
    label = 'fixed_decorrelated_batch_normalization'
    rows = _grouped(label, x, groups)
    G, K, _ = rows.shape
    expect_shape(label, (G, K), mean=mean)
    expect_shape(label, (G, K, K), projection=projection)
    centred = rows - reshape(cast(mean, rows.dtype), (G, K, 1))
    return _ungrouped(matmul(cast(projection, rows.dtype), centred), x)

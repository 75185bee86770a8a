"""Losses that make features independent: cross_covariance and decov."""
from minichain.autograd import as_variable
from minichain.functions._loss import expect_choice
from minichain.functions.matmul import matmul
from minichain.functions.sum import sum
from minichain.type_check import expect_float, expect_ndim, expect_shape


def _centred(x):
    x = as_variable(x)
    return x - sum(x, axis=0, keepdims=True) / max(1, len(x))


def _covariance(label, reduce, y, z):
    expect_choice(label, 'reduce', reduce, ('half_squared_sum', 'no'))
    expect_ndim(label, 2, y=y, z=z)
    expect_float(label, y=y, z=z)
    expect_shape(label, (len(y), None), z=z)
    return matmul(_centred(y), _centred(z), transa=True) / max(1, len(y))


def _half_squared_sum(covariance, reduce):
    return covariance if reduce == 'no' else sum(covariance * covariance) / 2


def cross_covariance(y, z, reduce='half_squared_sum'):
    """Covariance of the columns of two sets of features, or half the sum of its squares.

    Args:
        y, z: (N, J) and (N, K), float, one dtype.
        reduce: 'half_squared_sum', or 'no' for the covariance, (J, K).
    Raises:
        InvalidType: shapes or dtypes do not fit.
        InvalidArgument: unknown ``reduce``.
    Cheung et al. 2014, "Discovering hidden factors of variation in deep networks",
    arXiv:1412.6583.
    """
    return _half_squared_sum(_covariance('cross_covariance', reduce, y, z), reduce)


def decov(h, reduce='half_squared_sum'):
    """Covariance of the columns of ``h`` with its diagonal set to 0, or half its squared sum.

    Args:
        h: (N, K), float.
        reduce: 'half_squared_sum', or 'no' for the covariance, (K, K).
    Raises:
        InvalidType: ``h`` is not a float matrix.
        InvalidArgument: unknown ``reduce``.
    Cogswell et al. 2015, "Reducing overfitting in deep networks by decorrelating
    representations", arXiv:1511.06068.
    """
    covariance = _covariance('decov', reduce, h, h)
    return _half_squared_sum(covariance * (1 - covariance.xp.eye(h.shape[1], dtype=h.dtype)),
                             reduce)

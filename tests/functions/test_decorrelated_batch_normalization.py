import numpy as np
import pytest

from minichain.errors import InvalidType
from minichain.functions import (
    decorrelated_batch_normalization,
    fixed_decorrelated_batch_normalization,
)
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X, IMAGES = RANDOM.uniform(-1, 1, (6, 4)), RANDOM.uniform(-1, 1, (3, 4, 2, 1))


def rows(x):
    return np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def projection(z, eps):
    """(cov + eps) ** (-1/2), by singular values."""
    _, values, vectors = np.linalg.svd(z)
    return vectors.T @ np.diag((values ** 2 / len(z) + eps) ** -.5) @ vectors


def reference(x, groups, eps=2e-5):
    y, size = np.empty(x.shape), x.shape[1] // groups
    for start in range(0, x.shape[1], size):
        z = rows(x[:, start:start + size])
        z = z - z.mean(axis=0)
        y[:, start:start + size] = np.moveaxis(
            (z @ projection(z, eps)).reshape(x.shape[0], *x.shape[2:], size), -1, 1)
    return y


@pytest.mark.parametrize('x, groups', [(X, 1), (X, 2), (IMAGES, 2), (X, 4)])
def test_whitening_by_groups(x, groups):
    check_function(lambda x: decorrelated_batch_normalization(x, groups=groups, eps=.01), [x],
                   lambda x: reference(x, groups, .01), dtypes=('float32',))


def test_results_have_no_correlation():
    y = decorrelated_batch_normalization(X, groups=1, eps=1e-9).array
    np.testing.assert_allclose(y.T @ y / 6, np.eye(4), atol=1e-6)


def test_half_precision_stays_half_precision():
    y = decorrelated_batch_normalization(X.astype('float16'), groups=2, eps=.1)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.array, reference(X, 2, .1), atol=.01)


def test_equal_variances_have_finite_gradients():
    """Eigenvalues that coincide, where gradients of eigenvectors would be infinite."""
    x = np.array([[1., 1], [1, -1], [-1, 1], [-1, -1]])
    check_function(lambda x: decorrelated_batch_normalization(x, groups=1), [x],
                   lambda x: reference(x, 1), dtypes=())


def test_the_running_averages_move():
    mean, average = np.ones((2, 2)), np.ones((2, 2, 2))
    decorrelated_batch_normalization(X, groups=2, eps=.1, running_mean=mean,
                                     running_projection=average, decay=.8)
    np.testing.assert_allclose(mean, .8 + .2 * X.mean(axis=0).reshape(2, 2))
    for k in range(2):
        z = X[:, 2 * k:2 * k + 2]
        np.testing.assert_allclose(
            average[k], .8 + .2 * projection(z - z.mean(axis=0), .1) * 6 / 5)


def test_fixed_statistics():
    def fixed(x, mean, projection):
        y = np.empty(x.shape)
        for n, c in np.ndindex(x.shape):
            k = c // 2
            y[n, c] = projection[k, c % 2] @ (x[n, 2 * k:2 * k + 2] - mean[k])
        return y
    check_function(lambda *xs: fixed_decorrelated_batch_normalization(*xs, groups=2),
                   [X, RANDOM.rand(2, 2), RANDOM.rand(2, 2, 2)], fixed)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidType, match='multiple of 16 groups'):
        decorrelated_batch_normalization(X)
    with pytest.raises(InvalidType, match=r'running_mean.shape \(2, 2\) expected'):
        decorrelated_batch_normalization(X, groups=2, running_mean=np.ones(4))
    with pytest.raises(InvalidType, match=r'projection.shape \(2, 2, 2\) expected'):
        fixed_decorrelated_batch_normalization(X, np.ones((2, 2)), np.ones((2, 2)), groups=2)

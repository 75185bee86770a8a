import numpy as np
import pytest

from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import cross_covariance, decov
from tests.functions.check import check_function

Y, Z = np.random.RandomState(0).uniform(-1, 1, (2, 4, 3))


def covariance(y, z):
    return sum(np.outer(a - y.mean(axis=0), b - z.mean(axis=0)) for a, b in zip(y, z)) / len(y)


def without_diagonal(h):
    return covariance(h, h) * (1 - np.eye(h.shape[1]))


def test_cross_covariance():
    check_function(lambda y, z: cross_covariance(y, z, reduce='no'), [Y, Z[:, :2]], covariance)
    check_function(cross_covariance, [Y, Z[:, :2]], lambda y, z: (covariance(y, z) ** 2).sum() / 2)


def test_decov():
    check_function(lambda h: decov(h, reduce='no'), [Y], without_diagonal)
    check_function(decov, [Y], lambda h: (without_diagonal(h) ** 2).sum() / 2)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidType, match=r'z.shape \(4, any\) expected, got \(3, 3\)'):
        cross_covariance(Y, Z[1:])
    with pytest.raises(InvalidArgument, match="'mean'"):
        decov(Y, reduce='mean')

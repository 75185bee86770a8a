import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


def matrices(*shape):
    a = RANDOM.uniform(-1, 1, shape)
    return a @ np.swapaxes(a, -1, -2) + 2 * np.eye(shape[-1])


def test_inverses_and_determinants_are_numpys():
    check_function(F.inv, [matrices(3, 3)], np.linalg.inv)
    check_function(F.batch_inv, [matrices(2, 3, 3)], np.linalg.inv)
    check_function(F.det, [matrices(3, 3)], np.linalg.det)
    check_function(F.batch_det, [matrices(2, 3, 3)], np.linalg.det)


def test_the_cholesky_factor_is_numpys():
    # through a symmetric matrix, as finite differences of one triangle would count once
    check_function(lambda a: F.cholesky((a + a.T) * .5), [matrices(3, 3)], np.linalg.cholesky)


@pytest.mark.parametrize('function, a, error', [
    (F.inv, np.ones((2, 2)), InvalidArgument), (F.cholesky, -np.eye(2), InvalidArgument),
    (F.inv, np.full((2, 2), np.nan), InvalidArgument), (F.inv, np.ones((2, 3)), InvalidType),
    (F.inv, np.ones((1, 2, 2)), InvalidType), (F.batch_inv, np.ones((2, 2)), InvalidType),
    (F.det, np.ones((2, 3)), InvalidType), (F.batch_det, np.ones((2, 2)), InvalidType),
    (F.cholesky, np.ones((2, 2, 2)), InvalidType)])
def test_matrices_that_do_not_do_are_refused(function, a, error):
    with pytest.raises(error, match='inv|det|cholesky'):
        function(a)

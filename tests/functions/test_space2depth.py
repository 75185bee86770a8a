import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function


def test_each_channel_of_a_block_is_a_place_in_it():
    X = np.arange(16.).reshape(1, 1, 4, 4)
    Y = F.space2depth(X, 2).array
    for i in range(2):
        for j in range(2):
            np.testing.assert_array_equal(Y[0, 2 * i + j], X[0, 0, i::2, j::2])


def test_one_undoes_the_other():
    X = np.random.RandomState(0).randn(2, 3, 4, 6)
    check_function(lambda X: F.depth2space(F.space2depth(X, 2) * 2, 2), [X], lambda X: X * 2)


@pytest.mark.parametrize('apply, error', [
    (lambda X: F.space2depth(X, 2), InvalidType), (lambda X: F.depth2space(X, 2), InvalidType),
    (lambda X: F.depth2space(X, 0), InvalidArgument),
    (lambda X: F.space2depth(X[0], 1), InvalidType)])
def test_what_does_not_divide_is_refused(apply, error):
    with pytest.raises(error, match='space|depth'):
        apply(np.ones((1, 3, 3, 3)))

import numpy as np
import pytest

from minichain import Variable
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import sigmoid_cross_entropy
from tests.functions.check import check_function

X = np.random.RandomState(0).uniform(-3, 3, (2, 3))
T = np.array([[1, 0, -1], [0, 1, 1]])


def losses(x, t):
    p = 1 / (1 + np.exp(-x))
    return np.where(t < 0, 0, -np.log(np.where(t == 1, p, 1 - p)))


@pytest.mark.parametrize('options, reference', [
    ({}, lambda x, t: losses(x, t).sum() / 5),
    ({'normalize': False}, lambda x, t: losses(x, t).sum() / 2),
    ({'reduce': 'no'}, losses)], ids=str)
def test_sigmoid_cross_entropy(options, reference):
    check_function(lambda x, t: sigmoid_cross_entropy(x, t, **options), [X, T], reference)


def test_scores_of_any_size_cost_what_they_say():
    x = Variable(np.array([1e4, -1e4, 1e4]))
    y = sigmoid_cross_entropy(x, np.array([0, 0, 1]), reduce='no')
    np.testing.assert_array_equal(y.array, [1e4, 0, 0])


def test_labels_all_ignored_or_none_give_zero():
    assert sigmoid_cross_entropy(X, -np.ones((2, 3), int)).array == 0
    assert sigmoid_cross_entropy(X[:0], T[:0], normalize=False).array == 0


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidType, match='integer'):
        sigmoid_cross_entropy(X, T.astype(float))
    with pytest.raises(InvalidType, match=r'\(2, 3\) expected, got \(1, 3\)'):
        sigmoid_cross_entropy(X, T[:1])
    with pytest.raises(InvalidArgument, match="'sum'"):
        sigmoid_cross_entropy(X, T, reduce='sum')

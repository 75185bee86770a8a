import numpy as np
import pytest

from minichain import Variable
from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


def softmax(x, axis):
    return np.exp(x) / np.exp(x).sum(axis, keepdims=True)


@pytest.mark.parametrize('axis', [0, 1, -1])
def test_softmax_and_log_softmax_along_any_axis(axis):
    x = RANDOM.randn(2, 3, 4)
    check_function(lambda x: F.softmax(x, axis), [x], lambda x: softmax(x, axis))
    check_function(lambda x: F.log_softmax(x, axis), [x], lambda x: np.log(softmax(x, axis)))


@pytest.mark.parametrize('axis', [None, 1, -1, (0, 2)])
def test_logsumexp_over_any_axes(axis):
    x = RANDOM.randn(2, 3, 4)
    check_function(lambda x: F.logsumexp(x, axis), [x], lambda x: np.log(np.exp(x).sum(axis)))


def test_huge_numbers_do_not_overflow():
    x = np.array([[1e4, 1e4, -1e4]], 'float32')
    np.testing.assert_array_equal(F.softmax(x).array, [[.5, .5, 0]])
    np.testing.assert_allclose(F.log_softmax(x).array, [[-np.log(2), -np.log(2), -2e4]], rtol=1e-4)
    np.testing.assert_allclose(F.logsumexp(x).array, 1e4 + np.log(2))


def test_a_batch_of_nothing_has_a_softmax():
    assert F.softmax(np.zeros((0, 3))).shape == F.log_softmax(np.zeros((0, 3))).shape == (0, 3)


def test_the_operand_is_left_alone():
    x = RANDOM.randn(2, 3)
    kept = x.copy()
    for function in (F.softmax, F.log_softmax, F.logsumexp):
        function(x)
        np.testing.assert_array_equal(x, kept)


def test_many_float16_scores_are_normalized_in_float32():
    y = F.softmax(Variable(np.zeros((10000, 2), 'float16')), axis=0).array
    np.testing.assert_allclose(y.astype(float).sum(0), 1, rtol=2e-3)


def test_an_axis_that_is_not_there_is_refused():
    with pytest.raises(InvalidType, match='softmax: axis from -1 to 0'):
        F.softmax(np.ones(3))


def test_logsumexp_of_nothing_is_refused():
    with pytest.raises(InvalidType, match=r'logsumexp: at least one element along axes \(0, 1\)'):
        F.logsumexp(np.zeros((0, 3), 'f'))
    assert F.logsumexp(np.zeros((0, 3), 'f'), axis=1).shape == (0,)

import numpy as np
import pytest

from minichain import Variable
from minichain.errors import InvalidType
from minichain.functions import linear
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X, W, b = RANDOM.randn(2, 3), RANDOM.randn(4, 3), RANDOM.randn(4)


def test_rows_are_multiplied_and_shifted():
    check_function(linear, [X, W, b], lambda x, W, b: np.array([W @ row + b for row in x]))
    check_function(linear, [X, W], lambda x, W: np.array([W @ row for row in x]))


def test_axes_behind_the_batch_are_flattened():
    x, W = RANDOM.randn(2, 2, 3), RANDOM.randn(4, 6)
    check_function(linear, [x, W, b], lambda x, W, b: np.einsum('nij,oij->no', x,
                                                                W.reshape(4, 2, 3)) + b)


@pytest.mark.parametrize('n_batch_axes', [2, 3])
def test_more_batch_axes_are_kept(n_batch_axes):
    x = RANDOM.randn(2, 2, 3, 2)
    W = RANDOM.randn(4, 6 if n_batch_axes == 2 else 2)

    def reference(x, W, b):
        return x.reshape(*x.shape[:n_batch_axes], -1) @ W.T + b
    check_function(lambda *xs: linear(*xs, n_batch_axes=n_batch_axes), [x, W, b], reference)


def test_no_rows_give_no_rows():
    check_function(linear, [X[:0], W, b], lambda x, W, b: np.zeros((0, 4)))
    assert linear(np.zeros((0, 2, 3)), np.ones((4, 6))).shape == (0, 4)


def test_weights_of_another_dtype_are_used_in_that_of_x():
    weights = Variable(W), Variable(b)
    y = linear(X.astype('float16'), *weights)
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.array, X @ W.T + b, rtol=.02, atol=.02)
    y.grad = np.ones((2, 4), 'float16')
    y.backward()
    assert weights[0].grad.dtype == weights[1].grad.dtype == np.float64


@pytest.mark.parametrize('operands, message', [
    ((X, W[:, :2]), r'x.shape \(any, 2\) expected, got \(2, 3\)'),
    ((X, W, b[:3]), r'b.shape \(4\) expected, got \(3,\)'),
    ((X.astype(int), W), 'floating dtype expected, got int64'),
    ((X, W[0]), 'W with 2 axes')])
def test_what_does_not_fit_is_refused(operands, message):
    with pytest.raises(InvalidType, match=message):
        linear(*operands)


def test_a_list_is_refused_by_what_it_is():
    with pytest.raises(InvalidType, match='linear: NumPy or CuPy array expected, got list'):
        linear([[1.]], np.ones((2, 1), 'f'))

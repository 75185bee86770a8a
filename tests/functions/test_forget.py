import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain import Variable
from minichain.errors import InvalidType
from minichain.functions import forget
from tests.functions.check import check_function

X, Y = np.random.RandomState(0).uniform(.5, 1, (2, 2, 3))


def test_values_and_two_orders_of_gradients_are_those_of_the_function():
    check_function(lambda x, y: forget(lambda a, b: F.tanh(a * b), x, y), [X, Y],
                   lambda x, y: np.tanh(x * y))
    check_function(lambda x, y: forget(lambda a, b: (a * b, F.exp(a)), x, y), [X, Y],
                   lambda x, y: (x * y, np.exp(x)))


def test_parameters_inside_get_their_gradients_of_both_orders():
    check_function(lambda x, W: forget(lambda x: F.tanh(x * W) * W, x), [X, Y],
                   lambda x, W: np.tanh(x * W) * W)


def test_operands_and_parameters_computed_from_each_other_are_counted_once():
    check_function(lambda x, W: forget(lambda a, b: a * b * W, x, x * W), [X, Y],
                   lambda x, W: x * x * W * W)


def test_gradients_add_up_in_parameters_that_were_used_before():
    W = Variable(Y)
    F.sum(W * 2).backward()
    F.sum(forget(lambda x: x * W, X)).backward()
    np.testing.assert_allclose(W.grad, 2 + X)


def test_what_is_computed_inside_is_not_kept():
    alive, calls = [], []

    def square(x):
        y = x * x
        alive.append(y.node)
        calls.append(minichain.config.enable_backprop)
        return y + 1
    x = Variable(X)
    y = forget(square, x)
    assert alive[0].get_variable_or_none() is None and y.creator.inputs == (x.node,)
    y.grad = np.ones_like(X)
    y.backward()
    assert calls == [True, True]
    np.testing.assert_allclose(x.grad, 2 * X)


def test_nothing_is_recorded_without_backprop():
    with minichain.no_backprop_mode():
        assert forget(F.exp, Variable(X)).creator is None


def test_a_function_that_returns_no_variable_is_refused():
    with pytest.raises(InvalidType, match='returns Variables expected, got ndarray'):
        forget(lambda x: x.array, X)

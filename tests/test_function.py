"""Chainer's old-style functions, on arrays both ways."""
import gc
import weakref

import numpy as np
import pytest

import minichain
from minichain import functions as F
from minichain import type_check
from minichain.errors import InvalidType
from minichain.function import Function
from minichain.function_hook import FunctionHook
from minichain.gradient_check import check_backward


class MulAdd(Function):
    """y = a b + c, as Chainer's documentation writes one."""

    def check_type_forward(self, in_types):
        type_check.expect(in_types.size() == 3, in_types[0].shape == in_types[1].shape)

    def forward_cpu(self, inputs):
        a, b, c = inputs
        return a * b + c,

    def backward_cpu(self, inputs, grad_outputs):
        a, b, c = inputs
        gy, = grad_outputs
        return b * gy, a * gy, gy


class Halves(Function):
    def forward(self, inputs):
        self.retain_inputs(())
        self.retain_outputs((1,))
        return inputs[0][:2], np.exp(inputs[0][2:])

    def backward(self, inputs, grad_outputs):
        assert inputs == (None,) and self.output_data[0] is None
        first, second = grad_outputs
        zero = np.zeros(2)
        return np.concatenate([zero if first is None else first,
                               zero if second is None else second * self.output_data[1]]),


def test_values_and_gradients():
    a, b, c, gy = np.random.RandomState(0).randn(4, 3)
    y = MulAdd()(a, b, c)
    np.testing.assert_allclose(y.array, a * b + c)
    check_backward(lambda *xs: MulAdd()(*xs), (a, b, c), gy)
    check_backward(lambda x: Halves()(x), np.arange(4.), (None, gy[:2]))
    check_backward(lambda x: Halves()(x), np.arange(4.), (gy[:2], gy[1:]))


def test_the_graph_shows_the_function():
    x = minichain.Variable(np.ones(3))
    function = MulAdd()
    y = function(x, x, x)
    assert y.creator is function and y.creator_node is function.node is not function
    assert function.inputs == (x.node,) * 3 and function.outputs[0]() is y.node
    assert (function.rank, function.label) == (0, 'MulAdd')
    function.unchain()
    assert y.creator is None


def test_operands_are_checked():
    with pytest.raises(InvalidType, match='shape'):
        MulAdd()(np.ones(2), np.ones(3), np.ones(3))


def test_an_instance_may_be_called_again():
    function, x = MulAdd(), minichain.Variable(np.array([2.]))
    y = function(function(x, x, x), x, x)
    y.backward()
    np.testing.assert_allclose(x.grad, 3 * 4 + 2 * 2 + 1)   # x^3 + x^2 + x


def test_hooks_see_old_functions():
    class Recorder(FunctionHook):
        seen = []

        def forward_preprocess(self, function, in_data):
            self.seen.append(function.label)

    x = np.ones(2)
    with Recorder() as hook:
        MulAdd()(x, x, x)
    function, local = MulAdd(), Recorder()
    function.add_hook(local, 'mine')
    function(x, x, x)
    assert hook.seen == ['MulAdd', 'MulAdd'] and function.local_function_hooks == {}


def test_graphs_of_old_functions_die_by_reference_count():
    gc.disable()
    try:
        function = MulAdd()
        y = function(*[minichain.Variable(np.ones(2))] * 3)
        node = weakref.ref(y.creator_node)
        function = weakref.ref(function)
        del y
        assert node() is None and function() is None
    finally:
        gc.enable()


def test_no_gradient_flows_without_backward():
    class Constant(Function):
        def forward(self, inputs):
            return inputs[0] * 2,

    x = minichain.Variable(np.ones(2))
    F.sum(Constant()(x)).backward()
    assert x.grad is None
    with pytest.raises(NotImplementedError, match='Function'):
        Function()(x)

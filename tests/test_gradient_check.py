"""gradient_check finds wrong gradients, and only those."""
import numpy as np
import pytest

import minichain
from minichain import functions as F
from minichain import gradient_check
from minichain.errors import InvalidArgument
from minichain.gradient_check import NondifferentiableError
from tests import strict_cupy


class Square(minichain.FunctionNode):
    """x^2, with a factor that spoils the gradient of one order."""

    def __init__(self, first=2., second=2.):
        self.first, self.second = first, second

    def forward(self, inputs):
        self.retain_inputs((0,))
        return inputs[0] ** 2,

    def backward(self, targets, grad_outputs):
        x, = self.get_retained_inputs()
        return SquareGrad(self.first, self.second).apply((x, grad_outputs[0]))


class SquareGrad(minichain.FunctionNode):
    def __init__(self, first, second):
        self.first, self.second = first, second

    def forward(self, inputs):
        self.retain_inputs((0, 1))
        return (self.first * inputs[0] * inputs[1]).astype(inputs[0].dtype),

    def backward(self, targets, grad_outputs):
        (x, gy), (ggx,) = self.get_retained_inputs(), grad_outputs
        return self.second * gy * ggx, self.first * x * ggx


def arrays(*shape, count=2, seed=0):
    random = np.random.RandomState(seed)
    return [random.uniform(.5, 2, shape) for _ in range(count)]


@pytest.mark.parametrize('dtype, tolerance', [(None, 1e-5), ('float64', 1e-5)])
def test_right_gradients_pass(dtype, tolerance):
    x, gy = arrays(2, 3)
    gradient_check.check_backward(lambda x: Square().apply((x,))[0], x, gy, dtype=dtype,
                                  atol=tolerance, rtol=tolerance)
    gradient_check.check_double_backward(lambda x: Square().apply((x,))[0], x, gy, gy, dtype=dtype)
    gradient_check.check_backward(lambda x: F.sum(F.exp(x)), x, None, dtype=dtype)


def test_a_wrong_gradient_fails_with_both_numbers():
    x, gy = arrays(3)
    with pytest.raises(AssertionError, match='differences .* give .*backward gives'):
        gradient_check.check_backward(lambda x: Square(first=2.01).apply((x,))[0], x, gy)


def test_a_wrong_second_gradient_fails():
    x, gy = arrays(3)
    gradient_check.check_backward(lambda x: Square(second=2.1).apply((x,))[0], x, gy)
    with pytest.raises(AssertionError, match='backward gives'):
        gradient_check.check_double_backward(lambda x: Square(second=2.1).apply((x,))[0], x, gy,
                                             gy)


def test_a_lost_gradient_fails():
    x, gy = arrays(3)
    with pytest.raises(AssertionError, match='no gradient came'):
        gradient_check.check_backward(lambda x, z: x * z.array, (x, x + 1), gy)


def test_parameters_are_checked_and_come_back_unchanged():
    x, gy = (a.astype('f') for a in arrays(3))
    parameter = minichain.Parameter(np.array([1, 2, 3], 'f'), name='W')
    parameter.grad = np.ones(3, 'f')
    array = parameter.array
    for params in (parameter, (parameter,)):
        gradient_check.check_backward(lambda x: x * parameter * parameter, x, gy, params,
                                      dtype='float64')
    gradient_check.check_double_backward(lambda x: x * parameter * parameter, x, gy, gy,
                                         parameter, gy, dtype='float64')
    assert parameter.array is array and parameter.dtype == np.float32
    np.testing.assert_array_equal(parameter.grad, 1)
    with pytest.raises(AssertionError, match='parameter W'):
        gradient_check.check_backward(lambda x: Square(first=3.).apply((parameter,))[0] * x, x, gy,
                                      parameter, dtype='float64')


def test_integer_inputs_need_no_gradient():
    x, gy = arrays(4, 3)
    gradient_check.check_backward(
        lambda x, i: x * i.array.astype('d'), (x, np.arange(12).reshape(4, 3)), gy)
    with pytest.raises(AssertionError, match='input 1 has no gradient by no_grads'):
        gradient_check.check_backward(lambda x, z: x * z, (x, x), gy, no_grads=[False, True])


def test_several_outputs_and_absent_output_gradients():
    x, gy = arrays(3)
    gradient_check.check_backward(lambda x: (x * 2, F.exp(x)), x, (None, gy))
    gradient_check.check_double_backward(lambda x: (x * 2, F.exp(x)), x, (None, gy), gy)


def test_wrong_arguments_are_refused():
    x, gy = arrays(3)
    for arguments in ((x, None), (x, (gy, gy)), (x, gy[:2]), (x, gy.astype('f'))):
        with pytest.raises(InvalidArgument, match='y_grad'):
            gradient_check.check_backward(F.exp, *arguments)
    with pytest.raises(InvalidArgument, match='no_grads'):
        gradient_check.check_backward(F.exp, x, gy, no_grads=[True, True])
    with pytest.raises(InvalidArgument, match='floating dtype'):
        gradient_check.check_backward(F.exp, x, gy, dtype='int32')
    with pytest.raises(InvalidArgument, match='floating inputs'):
        gradient_check.numerical_grad(lambda: (x,), (np.arange(3),), (gy,))


def test_numerical_grad_of_a_known_function():
    x, y = arrays(2, 2)
    gy = np.array([[1., 2.], [3., 4.]])
    before = x.copy()
    gx, = gradient_check.numerical_grad(lambda: (x ** 3, y), (x,), (gy, None))
    np.testing.assert_allclose(gx, 3 * x ** 2 * gy, rtol=1e-5)
    np.testing.assert_array_equal(x, before)
    single = x.astype('f')
    assert gradient_check.numerical_grad(lambda: (single,), (single,), (gy,))[0].dtype == 'f'


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_kinks_are_found_and_smooth_points_are_not(dtype):
    def difference(function, values):
        x = np.array(values, dtype)
        return gradient_check.numerical_grad(lambda: (function(x),), (x,), (np.ones_like(x),),
                                             detect_nondifferentiable=True)
    for function in (np.abs, np.sign, lambda x: np.maximum(x, 0), lambda x: 1 / np.maximum(x, 0)):
        with np.errstate(divide='ignore', invalid='ignore'), pytest.raises(
                NondifferentiableError, match='element'):
            difference(function, [1., 0.])
        if function is not np.sign:
            difference(function, [1., 2.])
    difference(np.exp, [-3., 0., 5.])
    difference(lambda x: x * 0 + 7, [1., 2.])
    x = np.array([0., 1.])
    with pytest.raises(NondifferentiableError):
        gradient_check.check_backward(F.relu, x, x + 1, detect_nondifferentiable=True)
    gradient_check.check_backward(F.relu, x + 1, x + 1, detect_nondifferentiable=True)


def test_checks_work_where_nothing_is_recorded():
    x, gy = arrays(3)
    with minichain.no_backprop_mode():
        gradient_check.check_double_backward(F.exp, x, gy, gy)


@pytest.mark.parametrize('function', [F.tanh, F.sigmoid, F.softmax, lambda x: F.sum(x, axis=1),
                                      lambda x: x.transpose() @ x, lambda x: x / (x * x + 1)])
def test_functions_of_the_library_pass(function):
    x, ggx = arrays(3, 2)
    gy = np.random.RandomState(1).uniform(-1, 1, function(minichain.Variable(x)).shape)
    gradient_check.check_backward(function, x, gy, atol=1e-4, rtol=1e-4)
    gradient_check.check_double_backward(function, x, gy, ggx)


def test_checks_run_on_the_gpu():
    with strict_cupy.installed() as cupy:
        x, gy, ggx = (cupy.asarray(array) for array in arrays(2, 3, count=3))
        gradient_check.check_backward(F.tanh, x, gy, detect_nondifferentiable=True)
        gradient_check.check_double_backward(F.tanh, x, gy, ggx)
        with pytest.raises(AssertionError):
            gradient_check.check_backward(lambda x: Square(first=3.).apply((x,))[0], x, gy)

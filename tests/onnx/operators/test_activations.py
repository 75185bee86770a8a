"""Activations of ONNX beyond the cases of the onnx package."""
import math

import numpy as np
import pytest

from minichain.errors import DataError
from tests.onnx.building import check_gradients, load, run


def draw(*shape, seed=0, dtype=np.float64):
    return np.random.RandomState(seed).uniform(-3, 3, shape).astype(dtype)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normal_part(x):
    return np.vectorize(lambda v: .5 * (1 + math.erf(v / math.sqrt(2))))(x)


FORMULAS = {
    'Relu': lambda x: np.maximum(x, 0),
    'LeakyRelu': lambda x: np.where(x < 0, .01 * x, x),
    'Elu': lambda x: np.where(x < 0, np.exp(x) - 1, x),
    'Celu': lambda x: np.where(x < 0, np.exp(x) - 1, x),
    'Selu': lambda x: 1.05070102214813232421875 * np.where(
        x < 0, 1.67326319217681884765625 * (np.exp(x) - 1), x),
    'Sigmoid': sigmoid,
    'HardSigmoid': lambda x: np.clip(.2 * x + .5, 0, 1),
    'HardSwish': lambda x: x * np.clip(x / 6 + .5, 0, 1),
    'Softplus': lambda x: np.log(1 + np.exp(x)),
    'Softsign': lambda x: x / (1 + abs(x)),
    'Tanh': np.tanh,
    'Gelu': lambda x: x * normal_part(x),
    'Mish': lambda x: x * np.tanh(np.log(1 + np.exp(x))),
    'ThresholdedRelu': lambda x: np.where(x > 1, x, 0),
    'Shrink': lambda x: np.where(abs(x) > .5, x, 0),
}


@pytest.mark.parametrize('name', FORMULAS)
@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64'])
def test_defaults_are_those_of_the_specification(name, dtype):
    x = draw(3, 4, 5)
    y = run(name, x.astype(dtype))
    assert y.dtype == dtype and y.shape == x.shape
    tolerance = {'float16': 1e-2, 'float32': 1e-6, 'float64': 1e-9}[dtype]
    np.testing.assert_allclose(y, FORMULAS[name](x), tolerance, tolerance)


@pytest.mark.parametrize('name', FORMULAS)
def test_gradients_flow_and_empty_inputs_are_fine(name):
    x = draw(2, 3)
    check_gradients(load(name, [x]), x)
    assert run(name, draw(0, 3)).shape == (0, 3)


def test_infinity_is_cut_off_and_not_multiplied_by_zero():
    x = np.array([-np.inf, 0, np.inf])
    np.testing.assert_array_equal(run('ThresholdedRelu', x), [0, 0, np.inf])
    np.testing.assert_array_equal(run('Shrink', x), [-np.inf, 0, np.inf])
    np.testing.assert_array_equal(run('Relu', x), [0, 0, np.inf])


def test_integers_can_be_rectified():
    x = np.array([-3, 0, 4], np.int32)
    assert run('Relu', x, opset=14).dtype == np.int32
    np.testing.assert_array_equal(run('Relu', x, opset=14), [0, 0, 4])
    np.testing.assert_array_equal(run('PRelu', x, np.array([2], np.int32)), [-6, 0, 4])
    np.testing.assert_array_equal(run('Shrink', x, lambd=1.5, bias=1.), [-2, 0, 3])


@pytest.mark.parametrize('opset, shape, place', [
    (6, (3,), (3, 1, 1)), (6, (1,), (1, 1, 1)), (7, (3, 1, 1), (3, 1, 1)), (9, (5,), (1, 1, 5)),
    (16, (1,), (1,)), (9, (3,), (3, 1, 1)), (16, (), ())])
def test_slopes_are_those_of_channels_before_operator_set_7(opset, shape, place):
    x, slope = draw(2, 3, 4, 5), abs(draw(*shape, seed=1))
    net = load('PRelu', [x, slope], opset=opset, initializers=[1])
    np.testing.assert_allclose(net(x)[0].array, np.where(x < 0, x * slope.reshape(place), x))
    x = draw(1, 3, 2, 5)
    check_gradients(net, x)


def test_slopes_that_would_enlarge_the_input_are_refused():
    with pytest.raises(DataError, match='slopes'):
        run('PRelu', draw(1, 3), draw(2, 3))


def test_gelu_by_tanh():
    x = draw(4, 5)
    y = x * .5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + .044715 * x ** 3)))
    np.testing.assert_allclose(run('Gelu', x, approximate='tanh'), y, 1e-12)
    check_gradients(load('Gelu', [x], approximate='tanh'), x)


def test_swish_scales_before_the_sigmoid():
    x, gate = draw(4, 5), draw(4, 5, seed=1)
    np.testing.assert_allclose(run('Swish', x, opset=24, alpha=2.), x * sigmoid(2 * x), 1e-12)
    np.testing.assert_allclose(run('SwiGLU', gate, x, opset=28), gate * sigmoid(gate) * x, 1e-12)
    check_gradients(load('SwiGLU', [gate, x], opset=28), gate, x)


def softmax_of_rows(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize('opset', [6, 11, 12])
@pytest.mark.parametrize('axis', [0, 1, 2, None])
def test_softmax_takes_all_axes_behind_as_one_before_operator_set_13(opset, axis):
    x = draw(2, 3, 4)
    attributes = {} if axis is None else {'axis': axis}
    axis = 1 if axis is None else axis
    flat = x.reshape(int(np.prod(x.shape[:axis])), -1)
    expected = softmax_of_rows(flat).reshape(x.shape)
    np.testing.assert_allclose(run('Softmax', x, opset=opset, **attributes), expected, 1e-12)
    np.testing.assert_allclose(run('LogSoftmax', x, opset=opset, **attributes), np.log(expected),
                               1e-9)
    hard = (np.arange(flat.shape[1]) == flat.argmax(1)[:, None]).reshape(x.shape)
    np.testing.assert_array_equal(run('Hardmax', x, opset=opset, **attributes), hard)


@pytest.mark.parametrize('axis', [0, 1, -1, None])
def test_softmax_takes_one_axis_since_operator_set_13(axis):
    x = draw(2, 3, 4)
    attributes = {} if axis is None else {'axis': axis}
    axis = -1 if axis is None else axis
    expected = np.exp(x) / np.exp(x).sum(axis, keepdims=True)
    np.testing.assert_allclose(run('Softmax', x, opset=13, **attributes), expected, 1e-12)
    check_gradients(load('LogSoftmax', [x], opset=13, **attributes), x)


def test_hardmax_marks_the_first_of_equal_elements():
    x = np.float32([[1, 3, 3], [2, 2, 2]])
    np.testing.assert_array_equal(run('Hardmax', x, axis=1), [[0, 1, 0], [1, 0, 0]])
    assert run('Hardmax', np.zeros((0, 3), np.float32), axis=1).shape == (0, 3)


@pytest.mark.parametrize('opset, dtype', [(6, 'float64'), (7, 'float64'), (10, 'bool'),
                                          (13, 'bool')])
def test_dropout_without_training_hands_on(opset, dtype):
    x = draw(3, 4)
    y, mask = run('Dropout', x, n_outputs=2, opset=opset)
    np.testing.assert_array_equal(y, x)
    assert mask.dtype == dtype and mask.all()


def test_dropout_in_training_scales_what_it_keeps():
    x = np.ones((50, 60))
    given = [x, np.float32(.25), np.array(True)]
    y, mask = run('Dropout', *given, n_outputs=2, opset=13, seed=5)
    np.testing.assert_allclose(y, mask / .75, 1e-6)
    assert .22 < (~mask).mean() < .28
    np.testing.assert_array_equal(run('Dropout', *given, opset=13, seed=5), y)
    assert (run('Dropout', *given, opset=13, seed=6) != y).any()
    few = draw(2, 3)
    check_gradients(load('Dropout', [few, *given[1:]], opset=13, seed=1), few, *given[1:])
    with pytest.raises(DataError, match='ratio'):
        run('Dropout', x, np.float32(1.5), np.array(True), opset=13)


def test_identity_hands_on_every_type():
    for x in (draw(2), np.array([True]), np.array(['a', 'b'], object), np.int8([1])):
        np.testing.assert_array_equal(run('Identity', x), x)

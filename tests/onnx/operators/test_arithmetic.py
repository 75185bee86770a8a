"""Arithmetic of ONNX beyond the cases of the onnx package."""
import numpy as np
import pytest

from minichain.errors import DataError
from minichain.onnx.operators import elementary
from tests.onnx.building import check_gradients, load, run

INTEGERS = ['int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64']


def draw(*shape, seed=0, dtype=np.float32):
    return np.random.RandomState(seed).uniform(-2, 2, shape).astype(dtype)


@pytest.mark.parametrize('dtype', INTEGERS)
def test_integers_keep_their_type_and_wrap_around(dtype):
    largest = np.iinfo(dtype).max
    x, y = np.array([largest, 7], dtype), np.array([1, 2], dtype)
    assert run('Add', x, y).dtype == dtype
    np.testing.assert_array_equal(run('Add', x, y), [np.iinfo(dtype).min, 9])
    np.testing.assert_array_equal(run('Mul', y, y), [1, 4])


@pytest.mark.parametrize('dtype', ['int8', 'int32', 'int64'])
def test_quotients_of_integers_are_cut_towards_zero(dtype):
    x, y = np.array([7, -7, 7, -7, 6], dtype), np.array([2, 2, -2, -2, 3], dtype)
    np.testing.assert_array_equal(run('Div', x, y), [3, -3, -3, 3, 2])


def test_an_integer_divided_by_zero_does_not_end_the_program():
    assert run('Div', np.array([5]), np.array([0])).shape == (1,)
    assert run('Mod', np.array([5]), np.array([0])).shape == (1,)


def test_mod_takes_the_sign_of_the_divisor_and_fmod_that_of_the_dividend():
    x, y = np.array([-7, 7, -7]), np.array([3, -3, -3])
    np.testing.assert_array_equal(run('Mod', x, y), [2, -2, -1])
    np.testing.assert_array_equal(run('Mod', x, y, fmod=1), [-1, 1, -1])


def test_old_operands_are_placed_by_axis():
    x, y = draw(2, 3, 4, 5), draw(3, 4, seed=1)
    np.testing.assert_array_equal(run('Add', x, y, opset=6, broadcast=1, axis=1),
                                  x + y[None, :, :, None])
    np.testing.assert_array_equal(run('Mul', x, draw(3), opset=6, broadcast=1, axis=-3),
                                  x * draw(3)[:, None, None])
    np.testing.assert_array_equal(run('Sub', x, draw(5), opset=6, broadcast=1), x - draw(5))
    np.testing.assert_array_equal(run('Pow', abs(x), draw(3), opset=6, broadcast=1, axis=1),
                                  abs(x) ** draw(3)[:, None, None])


def test_operands_of_two_types_are_refused():
    with pytest.raises(DataError, match='one type'):
        run('Add', draw(2), np.zeros(2, np.int64))


def test_a_result_far_larger_than_its_operands_is_refused():
    with pytest.raises(DataError, match='asked for'):
        run('Add', draw(60000, 1), draw(1, 60000))


@pytest.mark.parametrize('opset', [6, 11, 13])
@pytest.mark.parametrize('low, high', [(-1., 1.), (None, .5), (.5, None), (None, None), (1., -1.)])
def test_clip_takes_limits_as_attributes_or_inputs(opset, low, high):
    x = draw(3, 4)
    limits = {name: value for name, value in (('min', low), ('max', high)) if value is not None}
    expected = np.minimum(np.maximum(x, -np.inf if low is None else low),
                          np.inf if high is None else high)
    if opset == 6:
        y = run('Clip', x, opset=6, **limits)
    else:
        y = run('Clip', x, *(None if value is None else np.float32(value)
                             for value in (low, high)), opset=opset)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, expected.astype(np.float32))


@pytest.mark.parametrize('dtype', ['int8', 'int64', 'uint8', 'uint64'])
def test_clip_of_integers_keeps_every_digit(dtype):
    limits = np.iinfo(dtype)
    x = np.array([limits.min, 3, limits.max - 1, limits.max], dtype)
    np.testing.assert_array_equal(run('Clip', x, np.array(2, dtype)), [2, *x[1:].tolist()])
    np.testing.assert_array_equal(run('Clip', x, None, np.array(5, dtype)), [limits.min, 3, 5, 5])
    np.testing.assert_array_equal(run('Clip', x), x)


@pytest.mark.parametrize('base, exponent', [('float32', 'int64'), ('float32', 'float64'),
                                            ('int32', 'float32'), ('int64', 'int32'),
                                            ('float64', 'uint8')])
def test_a_power_has_the_type_of_its_base(base, exponent):
    x, y = np.array([1, 2, 3]).astype(base), np.array([2, 3, 2]).astype(exponent)
    result = run('Pow', x, y)
    assert result.dtype == base
    np.testing.assert_array_equal(result, [1, 8, 9])


def test_powers_of_integers_are_exact():
    np.testing.assert_array_equal(run('Pow', np.array([3, -3, 2]), np.array([39, 39, 62])),
                                  [3 ** 39, -3 ** 39, 2 ** 62])
    np.testing.assert_array_equal(run('Pow', np.array([2, -1, -1, 1]), np.array([-1, -3, -2, -5])),
                                  [0, -1, 1, 1])


def test_an_exponent_that_the_model_keeps_is_no_weight():
    net = load('Pow', [draw(3), np.float32(2)], initializers=[1])
    assert not list(net.params())
    x = np.array([-1.5, 0, 2])
    check_gradients(load('Pow', [x, np.float64(2)], initializers=[1]), x)


@pytest.mark.parametrize('dtype', INTEGERS)
def test_bits_are_shifted_with_the_sign(dtype):
    bits = np.iinfo(dtype).bits
    x, y = np.array([40, 3, 1], dtype), np.array([2, bits, bits - 1], dtype)
    np.testing.assert_array_equal(run('BitShift', x, y, direction='RIGHT'), [10, 0, 0])
    np.testing.assert_array_equal(run('BitShift', x, y, direction='LEFT')[:2],
                                  [np.array(160).astype(dtype), 0])


@pytest.mark.parametrize('name, function', [
    ('Acos', np.arccos), ('Asin', np.arcsin), ('Atan', np.arctan), ('Acosh', np.arccosh),
    ('Asinh', np.arcsinh), ('Atanh', np.arctanh), ('Sin', np.sin), ('Cos', np.cos),
    ('Tan', np.tan), ('Sinh', np.sinh), ('Cosh', np.cosh), ('Exp', np.exp), ('Log', np.log),
    ('Sqrt', np.sqrt), ('Reciprocal', np.reciprocal), ('Neg', np.negative), ('Abs', np.abs)])
@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64'])
def test_functions_of_one_number_and_their_gradients(name, function, dtype):
    x = np.array([[.1, .3], [.6, .9]]) + (name == 'Acosh')
    y = run(name, x.astype(dtype), opset=13)
    assert y.dtype == dtype
    tolerance = {'float16': 5e-3, 'float32': 1e-5, 'float64': 1e-12}[dtype]
    np.testing.assert_allclose(y, function(x), tolerance)
    if dtype == 'float64':
        check_gradients(load(name, [x], opset=13), x)


def test_the_error_function_with_and_without_scipy(monkeypatch):
    import math
    x = np.concatenate([np.linspace(-7, 7, 999), [0, 1e-300, -1e-9, 1, -1, np.inf, -np.inf]])
    expected = [math.erf(value) for value in x]
    for available in (elementary.HAS_SCIPY, False):
        monkeypatch.setattr(elementary, 'HAS_SCIPY', available)
        np.testing.assert_allclose(run('Erf', x), expected, 1e-14, 1e-300)
        assert run('Erf', x.astype(np.float32)).dtype == np.float32
        assert np.isnan(run('Erf', np.array(np.nan)))
        few = np.array([-5., -.4, .2, 1.5])
        check_gradients(load('Erf', [few]), few)


def test_halves_are_rounded_to_even_numbers():
    np.testing.assert_array_equal(run('Round', np.float32([.5, 1.5, -2.5, 2.4])), [0, 2, -2, 2])


def test_signs_nan_and_infinity():
    x = np.float32([-np.inf, -1, 0, np.nan, np.inf])
    np.testing.assert_array_equal(run('Sign', x[[0, 1, 2, 4]]), [-1, -1, 0, 1])
    np.testing.assert_array_equal(run('Sign', np.array([0, 5], np.uint8)), [0, 1])
    np.testing.assert_array_equal(run('IsNaN', x), [0, 0, 0, 1, 0])
    np.testing.assert_array_equal(run('IsInf', x), [1, 0, 0, 0, 1])
    np.testing.assert_array_equal(run('IsInf', x, detect_negative=0), [0, 0, 0, 0, 1])
    np.testing.assert_array_equal(run('IsInf', x, detect_positive=0), [1, 0, 0, 0, 0])


def test_any_number_of_operands_broadcast_together():
    x, y, z = draw(2, 1, 3), draw(4, 1, seed=1), draw(3, seed=2)
    np.testing.assert_allclose(run('Sum', x, y, z), x + y + z, 1e-6)
    np.testing.assert_allclose(run('Mean', x, y, z), (x + y + z) / 3, 1e-6)
    np.testing.assert_array_equal(run('Max', x, y, z), np.maximum(np.maximum(x, y), z))
    np.testing.assert_array_equal(run('Min', x), x)
    wide = [value.astype(np.float64) for value in (x, y, z)]
    check_gradients(load('Max', wide), *wide)


def test_numbers_without_axes_stay_arrays():
    y = run('Add', np.int64(2), np.int64(3))
    assert isinstance(y, np.ndarray) and y.shape == () and y == 5
    assert run('Exp', np.float32(0)).shape == ()


def test_empty_operands_give_empty_results():
    assert run('Add', draw(0, 3), draw(1, 3)).shape == (0, 3)
    assert run('Clip', draw(0, 3), np.float32(0)).shape == (0, 3)
    assert run('Div', np.zeros((2, 0), np.int32), np.zeros((2, 1), np.int32)).shape == (2, 0)

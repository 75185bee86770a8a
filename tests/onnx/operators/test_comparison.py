"""Comparison, logic and bits of ONNX beyond the cases of the onnx package."""
import numpy as np
import pytest

from minichain.errors import DataError
from tests.onnx.building import check_gradients, load, run

COMPARISONS = {'Equal': np.equal, 'Greater': np.greater, 'GreaterOrEqual': np.greater_equal,
               'Less': np.less, 'LessOrEqual': np.less_equal}


def draw(*shape, seed=0, dtype='float32'):
    return np.random.RandomState(seed).randint(0, 3, shape).astype(dtype)


@pytest.mark.parametrize('name', COMPARISONS)
@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64', 'int8', 'int32', 'int64',
                                   'uint8', 'uint64'])
def test_operands_broadcast_and_the_result_is_bool(name, dtype):
    x, y = draw(2, 1, 4, dtype=dtype), draw(3, 1, seed=1, dtype=dtype)
    result = run(name, x, y, opset=16)
    assert result.dtype == bool
    np.testing.assert_array_equal(result, COMPARISONS[name](x, y))


def test_old_operands_are_placed_by_axis():
    x, y = draw(2, 3, 4), draw(3, seed=1)
    np.testing.assert_array_equal(run('Greater', x, y, opset=6, broadcast=1, axis=1),
                                  x > y[:, None])
    x, y = x > 0, y > 0
    np.testing.assert_array_equal(run('And', x, y, opset=6, broadcast=1, axis=1),
                                  x & y[:, None])


def test_texts_and_truths_can_be_equal():
    x, y = np.array(['a', 'b'], object), np.array(['a', 'c'], object)
    np.testing.assert_array_equal(run('Equal', x, y, opset=19), [True, False])
    truths = np.array([True, False])
    np.testing.assert_array_equal(run('Equal', truths, np.array(True)), truths)


def test_comparing_numbers_without_axes_gives_an_array():
    y = run('Less', np.float32(1), np.float32(2))
    assert isinstance(y, np.ndarray) and y.shape == () and y.dtype == bool and y


def test_nan_is_equal_to_nothing():
    x = np.float32([np.nan])
    assert not run('Equal', x, x) and not run('LessOrEqual', x, x, opset=16)


@pytest.mark.parametrize('name, function', [('And', np.logical_and), ('Or', np.logical_or),
                                            ('Xor', np.logical_xor)])
def test_logic(name, function):
    x, y = np.array([[True], [False]]), np.array([True, False])
    np.testing.assert_array_equal(run(name, x, y), function(x, y))
    with pytest.raises(DataError, match='bool'):
        run(name, np.array([1]), np.array([1]))


@pytest.mark.parametrize('dtype', ['int8', 'int64', 'uint16', 'uint64'])
def test_bits(dtype):
    x, y = np.array([12, 10], dtype), np.array([10], dtype)
    functions = {'And': np.bitwise_and, 'Or': np.bitwise_or, 'Xor': np.bitwise_xor}
    for name, function in functions.items():
        result = run(f'Bitwise{name}', x, y)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, function(x, y))
    np.testing.assert_array_equal(run('BitwiseNot', x), np.invert(x))
    with pytest.raises(DataError, match='integers'):
        run('BitwiseNot', np.float32([1]))


@pytest.mark.parametrize('dtype', ['float16', 'float64', 'int8', 'int64', 'uint8', 'bool'])
def test_where_broadcasts_all_three(dtype):
    condition = draw(2, 1, 1) > 0
    x, y = draw(3, 1, seed=1, dtype=dtype), draw(4, seed=2, dtype=dtype)
    result = run('Where', condition, x, y)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, np.where(condition, x, y))


def test_where_hands_gradients_to_both_sides():
    condition = np.array([[True], [False]])
    x, y = draw(3, dtype='float64'), draw(2, 1, seed=1, dtype='float64')
    check_gradients(load('Where', [condition, x, y], initializers=[2]), condition, x)


def test_where_chooses_texts():
    x, y = np.array(['a', 'b'], object), np.array(['c', 'd'], object)
    result = run('Where', np.array([True, False]), x, y)
    assert result.tolist() == ['a', 'd']


def test_a_condition_of_numbers_is_refused():
    with pytest.raises(DataError, match='bool'):
        run('Where', np.array([1, 0]), np.float32([1, 2]), np.float32([3, 4]))


def test_what_is_only_compared_with_is_no_weight():
    net = load('Greater', [np.float32([1, 3]), np.float32([2])], initializers=(1,))
    assert not list(net.params())
    np.testing.assert_array_equal(net(np.float32([1, 3]))[0].array, [False, True])

"""Reductions, running sums and orders of ONNX beyond the cases of the onnx package."""
import numpy as np
import pytest

from minichain.errors import DataError
from tests.onnx.building import check_gradients, load, run

FORMULAS = {
    'ReduceSum': np.sum, 'ReduceMean': np.mean, 'ReduceMax': np.max, 'ReduceMin': np.min,
    'ReduceProd': np.prod,
    'ReduceL1': lambda x, **axes: np.sum(abs(x), **axes),
    'ReduceL2': lambda x, **axes: np.sqrt(np.sum(x * x, **axes)),
    'ReduceSumSquare': lambda x, **axes: np.sum(x * x, **axes),
    'ReduceLogSum': lambda x, **axes: np.log(np.sum(x, **axes)),
    'ReduceLogSumExp': lambda x, **axes: np.log(np.sum(np.exp(x), **axes)),
}


def draw(*shape, seed=0, dtype=np.float64):
    return np.random.RandomState(seed).uniform(.2, 3, shape).astype(dtype)


@pytest.mark.parametrize('name', FORMULAS)
@pytest.mark.parametrize('axes', [None, (1,), (0, -1)])
@pytest.mark.parametrize('keepdims', [0, 1])
def test_axes_come_as_attribute_or_as_input(name, axes, keepdims):
    x = draw(2, 3, 4)
    expected = FORMULAS[name](x, axis=axes, keepdims=bool(keepdims))
    old = {} if axes is None else {'axes': axes}
    for opset in (6, 12):
        y = run(name, x, opset=opset, keepdims=keepdims, **old)
        assert y.shape == expected.shape
        np.testing.assert_allclose(y, expected, 1e-12)
    y = run(name, x, None if axes is None else np.array(axes), opset=18, keepdims=keepdims)
    np.testing.assert_allclose(y, expected, 1e-12)


@pytest.mark.parametrize('name', FORMULAS)
def test_gradients_flow(name):
    x = draw(2, 3, 4)
    check_gradients(load(name, [x], opset=11, axes=[0, 2]), x)


@pytest.mark.parametrize('name', FORMULAS)
def test_no_axes_mean_all_or_none(name):
    x, none = draw(2, 3), np.zeros(0, np.int64)
    np.testing.assert_allclose(run(name, x, none, opset=18), FORMULAS[name](x, keepdims=True),
                               1e-12)
    y = run(name, x, none, opset=18, noop_with_empty_axes=1)
    np.testing.assert_allclose(y, FORMULAS[name](x, axis=()), 1e-12)
    np.testing.assert_array_equal(run(name, x, opset=18, noop_with_empty_axes=1), y)


@pytest.mark.parametrize('name', FORMULAS)
@pytest.mark.parametrize('dtype', ['int32', 'int64'])
def test_integers_keep_their_type(name, dtype):
    x = np.array([[1, 2, 4], [3, 5, 7]], dtype)
    y = run(name, x, np.array([1]), opset=18, keepdims=0)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.trunc(FORMULAS[name](x, axis=1)))


def test_the_mean_of_integers_is_cut_towards_zero():
    np.testing.assert_array_equal(run('ReduceMean', np.array([-3, -4]), opset=13), [-3])


@pytest.mark.parametrize('name, value', [
    ('ReduceSum', 0), ('ReduceProd', 1), ('ReduceMax', -np.inf), ('ReduceMin', np.inf),
    ('ReduceL1', 0), ('ReduceL2', 0), ('ReduceSumSquare', 0), ('ReduceLogSum', -np.inf),
    ('ReduceLogSumExp', -np.inf), ('ReduceMean', np.nan)])
def test_results_over_no_elements(name, value):
    y = run(name, draw(2, 0, 3), np.array([1]), opset=18)
    assert y.shape == (2, 1, 3)
    np.testing.assert_array_equal(y, np.full((2, 1, 3), value))
    assert run(name, draw(2, 0, 3), np.array([2]), opset=18, keepdims=0).shape == (2, 0)


def test_the_largest_of_no_integers_is_the_smallest_number():
    x, axis = np.zeros((0, 2), np.int8), np.array([0])
    np.testing.assert_array_equal(run('ReduceMax', x, axis, opset=18), [[-128, -128]])
    np.testing.assert_array_equal(run('ReduceMin', x, axis, opset=18), [[127, 127]])


def test_truths_can_be_reduced():
    x, axis = np.array([[True, False], [True, True]]), np.array([1])
    np.testing.assert_array_equal(run('ReduceMax', x, axis, opset=20, keepdims=0), [True, True])
    np.testing.assert_array_equal(run('ReduceMin', x, axis, opset=20, keepdims=0), [False, True])


def test_log_sum_exp_stands_large_and_infinite_numbers():
    x = np.float32([[1000, 1000], [-np.inf, -np.inf], [0, np.inf], [-1000, -1000]])
    y = run('ReduceLogSumExp', x, opset=11, axes=[1], keepdims=0)
    np.testing.assert_allclose(y, [1000 + np.log(2), -np.inf, np.inf, -1000 + np.log(2)], 1e-6)


def test_axes_that_do_not_exist_are_refused():
    for axes in ([2], [0, 0], [-3]):
        with pytest.raises(DataError, match='axes'):
            run('ReduceSum', draw(2, 3), opset=11, axes=axes)


@pytest.mark.parametrize('name, function', [('ArgMax', np.argmax), ('ArgMin', np.argmin)])
@pytest.mark.parametrize('dtype', ['float32', 'int8', 'uint8', 'int64'])
@pytest.mark.parametrize('axis', [0, 1, -1])
def test_the_first_or_the_last_of_equal_elements(name, function, dtype, axis):
    x = np.random.RandomState(0).randint(0, 3, (3, 5, 4)).astype(dtype)
    y = run(name, x, opset=13, axis=axis, keepdims=0)
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, function(x, axis))
    last = x.shape[axis] - 1 - function(np.flip(x, axis), axis)
    np.testing.assert_array_equal(run(name, x, opset=13, axis=axis, select_last_index=1),
                                  np.expand_dims(last, axis))


def sorted_places(x, largest):
    rows = [sorted(range(len(row)), key=lambda i: (-row[i] if largest else row[i], i))
            for row in x.tolist()]
    return np.array(rows)


@pytest.mark.parametrize('largest', [0, 1])
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'int8', 'int64', 'uint8', 'uint64'])
def test_top_k_gives_equal_elements_by_their_place(largest, dtype):
    x = np.random.RandomState(0).randint(0, 4, (3, 9)).astype(dtype)
    expected = sorted_places(x, largest)[:, :5]
    values, places = run('TopK', x, np.array([5]), n_outputs=2, opset=11, largest=largest)
    np.testing.assert_array_equal(places, expected)
    np.testing.assert_array_equal(values, np.take_along_axis(x, expected, 1))
    values, places = run('TopK', np.ascontiguousarray(x.T), np.array([5]), n_outputs=2, opset=11,
                         largest=largest, axis=0)
    np.testing.assert_array_equal(places, expected.T)


def test_top_k_of_all_operator_sets():
    x = draw(2, 3, 6)
    expected = -np.sort(-x, -1)[..., :2]
    np.testing.assert_array_equal(run('TopK', x, n_outputs=2, opset=6, k=2)[0], expected)
    np.testing.assert_array_equal(run('TopK', x, np.array([2]), n_outputs=2, opset=10)[0],
                                  expected)
    assert run('TopK', x, np.array([0]), n_outputs=2, opset=11)[1].shape == (2, 3, 0)
    check_gradients(load('TopK', [x, np.array([2])], 2, opset=11), x, np.array([2]))
    with pytest.raises(DataError, match='k from 0 to 6'):
        run('TopK', x, np.array([7]), n_outputs=2, opset=11)


@pytest.mark.parametrize('exclusive', [0, 1])
@pytest.mark.parametrize('reverse', [0, 1])
@pytest.mark.parametrize('dtype', ['float64', 'float32', 'int32', 'int64'])
def test_running_sums_and_products(exclusive, reverse, dtype):
    x = np.array([[2, 3, 4], [5, 1, 2]], dtype)
    for name, function, neutral, opset in (('CumSum', np.cumsum, 0, 14),
                                           ('CumProd', np.cumprod, 1, 26)):
        expected = x[:, ::-1] if reverse else x
        if exclusive:
            expected = np.concatenate([np.full((2, 1), neutral), expected[:, :-1]], 1)
        expected = function(expected, 1)
        expected = expected[:, ::-1] if reverse else expected
        y = run(name, x, np.array(-1), opset=opset, exclusive=exclusive, reverse=reverse)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, expected)
        if dtype == 'float64':
            net = load(name, [x, np.array(1)], opset=opset, exclusive=exclusive, reverse=reverse)
            check_gradients(net, x, np.array(1))
    assert run('CumSum', x[:0], np.array(0), exclusive=exclusive).shape == (0, 3)


@pytest.mark.parametrize('in_order', [0, 1])
def test_different_elements_with_their_places_and_counts(in_order):
    x = np.float32([[2, 1, 1], [3, 4, 3]])
    y, first, inverse, counts = run('Unique', x, n_outputs=4, opset=11, sorted=in_order)
    expected = [1, 2, 3, 4] if in_order else [2, 1, 3, 4]
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(x.ravel()[first], y)
    np.testing.assert_array_equal(y[inverse], x.ravel())
    np.testing.assert_array_equal(counts, [2, 1, 2, 1] if in_order else [1, 2, 2, 1])
    y, first, inverse, counts = run('Unique', x[[1, 0, 1]], n_outputs=4, opset=11, axis=0,
                                    sorted=in_order)
    np.testing.assert_array_equal(y, x if in_order else x[::-1])
    np.testing.assert_array_equal(y[inverse], x[[1, 0, 1]])
    assert first.dtype == inverse.dtype == counts.dtype == np.int64


def test_where_all_elements_are_zero_the_norm_has_no_slope_but_a_gradient_of_zero():
    x = np.array([[3., 4.], [0., 0.]])
    net = load('ReduceL2', [x, np.array([1])], initializers=(0, 1), keepdims=0)
    y, = net()
    np.testing.assert_array_equal(y.array, [5, 0])
    y.grad = np.array([10., 10.])
    y.backward()
    np.testing.assert_allclose(net.x0.grad, [[6, 8], [0, 0]])


def test_the_norm_of_half_floats_squares_them_in_more_room():
    x = np.full((2, 4), 1000, np.float16)
    y = run('ReduceL2', x, np.array([1]), keepdims=0)
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y, [2000, 2000])

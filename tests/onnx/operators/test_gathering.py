"""Picking and putting beyond what the onnx package generates cases for."""
import numpy as np
import pytest

import minichain as mc
from minichain.errors import DataError, MinichainError
from tests.onnx.building import load, run

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4) + 1


def one_by_one(x, indices, updates, axis, combine):
    """ScatterElements as its definition reads, one element at a time."""
    y = x.copy()
    for place in np.ndindex(indices.shape):
        target = list(place)
        target[axis] = indices[place]
        y[tuple(target)] = combine(y[tuple(target)], updates[place])
    return y


COMBINE = {'none': lambda x, y: y, 'add': lambda x, y: x + y, 'mul': lambda x, y: x * y,
           'max': max, 'min': min}


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'int32', 'uint8', 'bool'])
@pytest.mark.parametrize('shape', [(), (2,), (2, 0), (1, 2, 2)])
def test_gather_picks_along_an_axis_with_indices_of_any_shape(dtype, shape):
    x, indices = X.astype(dtype), np.resize([0, -1, 2, -3], shape)
    y = run('Gather', x, indices, axis=-2)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.take(x, indices, 1))


def test_gather_refuses_what_is_not_there():
    with pytest.raises(MinichainError, match='index'):
        run('Gather', X, np.array([3]), axis=1)
    with pytest.raises(DataError):
        run('Gather', X.astype('int32'), np.array([-4]), axis=1)
    with pytest.raises(DataError, match='integers'):
        run('Gather', X, np.array([1.], np.float32))


def test_gather_of_a_vector_with_one_index_is_a_tensor_without_axes():
    y = run('Gather', np.arange(5), np.int64(3))
    assert y.shape == () and y == 3 and isinstance(y, np.ndarray)


def test_the_gradient_of_gather_adds_up_where_rows_are_picked_twice():
    net, x = load('Gather', (X[0], np.array([0, 2, 2]))), mc.Variable(X[0])
    y, = net(x, np.array([0, 2, 2]))
    mc.functions.sum(y * np.array([[1.], [2.], [3.]], np.float32)).backward()
    np.testing.assert_array_equal(x.grad, np.repeat([[1], [0], [5]], 4, 1))


def test_elements_are_picked_by_smaller_indices_too():
    indices = np.array([[[2, -1]]])
    y = run('GatherElements', X, indices, axis=2)
    np.testing.assert_array_equal(y, X[:1, :1, 2:])


@pytest.mark.parametrize('batch_dims', [0, 1, 2])
def test_gather_nd_with_batch_axes(batch_dims):
    x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    lengths = x.shape[batch_dims:][:2]
    rng = np.random.default_rng(0)
    indices = np.stack([rng.integers(-n, n, (*x.shape[:batch_dims], 3)) for n in lengths], -1)
    y = run('GatherND', x, indices, batch_dims=batch_dims)
    expected = np.empty(indices.shape[:-1] + x.shape[batch_dims + 2:], int)
    for place in np.ndindex(indices.shape[:-1]):
        expected[place] = x[place[:batch_dims] + tuple(indices[place])]
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize('reduction', COMBINE)
@pytest.mark.parametrize('dtype', ['float32', 'int64'])
def test_elements_are_scattered_and_combined_in_their_order(reduction, dtype):
    x, rng = X.astype(dtype), np.random.default_rng(1)
    indices = rng.integers(-4, 4, (2, 2, 7))
    updates = rng.integers(-3, 5, (2, 2, 7)).astype(dtype)
    y = run('ScatterElements', x, indices, updates, axis=2, reduction=reduction, opset=18)
    np.testing.assert_array_equal(y, one_by_one(x, indices, updates, 2, COMBINE[reduction]))


@pytest.mark.parametrize('op_type, opset', [('Scatter', 9), ('ScatterElements', 11)])
def test_old_scatters_put_along_the_first_axis(op_type, opset):
    indices = np.array([[1, 0, 0]])
    x, updates = X[0, :, :3], np.array([[7., 8., 9.]], np.float32)
    np.testing.assert_array_equal(run(op_type, x, indices, updates, opset=opset),
                                  one_by_one(x, indices, updates, 0, COMBINE['none']))


@pytest.mark.parametrize('reduction', COMBINE)
@pytest.mark.parametrize('depth', [1, 2, 3])
def test_slices_are_scattered_and_combined(reduction, depth):
    rng = np.random.default_rng(2)
    indices = np.stack([rng.integers(-n, n, (2, 3)) for n in X.shape[:depth]], -1)
    updates = rng.integers(-3, 5, (2, 3, *X.shape[depth:])).astype(np.float32)
    expected = X.copy()
    for place in np.ndindex(2, 3):
        index = tuple(indices[place])
        expected[index] = np.vectorize(COMBINE[reduction], otypes=['f'])(expected[index],
                                                                         updates[place])
    y = run('ScatterND', X, indices, updates, reduction=reduction, opset=18)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize('reduction', COMBINE)
def test_gradients_of_scatters_are_those_of_finite_differences(reduction):
    rng = np.random.default_rng(3)
    x, updates = rng.normal(size=6), rng.normal(size=4)
    # Twice the same cell has a gradient of its own where values are combined.
    indices = np.array([0, 4, 1 if reduction == 'none' else 4, 2])
    weights = rng.normal(size=6)
    net = load('ScatterElements', (x, indices, updates), reduction=reduction, opset=18)

    def loss(x, updates):
        return mc.functions.sum(net(x, indices, updates)[0] * weights)
    variables = mc.Variable(x), mc.Variable(updates)
    loss(*variables).backward()
    for place, variable in enumerate(variables):
        for i in range(variable.size):
            both = [[x.copy(), updates.copy()] for _ in range(2)]
            both[0][place][i] -= 1e-6
            both[1][place][i] += 1e-6
            slope = (loss(*both[1]).array - loss(*both[0]).array) / 2e-6
            np.testing.assert_allclose(variable.grad[i], slope, atol=1e-6)


def test_scatters_refuse_cells_that_are_not_there():
    for index in (6, -7):
        with pytest.raises(DataError):
            run('ScatterElements', X[0, 0], np.array([index]), X[0, 0, :1], opset=18)
    with pytest.raises(DataError, match='as many updates'):
        run('ScatterElements', X, np.zeros((1, 1, 1), int), X, opset=18)
    with pytest.raises(DataError, match='updates of the shape'):
        run('ScatterND', X, np.zeros((1, 4), int), X[0, 0, :1], opset=18)


def test_scatters_of_nothing_leave_everything():
    y = run('ScatterND', X, np.zeros((0, 1), int), X[:0], opset=18)
    np.testing.assert_array_equal(y, X)
    y = run('ScatterElements', X[:0], np.zeros((0, 3, 4), int), X[:0], opset=18)
    assert y.shape == (0, 3, 4)


def test_a_cache_is_written_at_the_position_of_each_sample():
    cache, update = np.zeros((2, 1, 5, 2), np.float32), np.ones((2, 1, 2, 2), np.float32)
    y = run('TensorScatter', cache, update, np.array([1, 4]), mode='circular', opset=24)
    assert y[0, 0, :, 0].tolist() == [0, 1, 1, 0, 0] and y[1, 0, :, 0].tolist() == [1, 0, 0, 0, 1]
    with pytest.raises(DataError, match='positions'):
        run('TensorScatter', cache, update, np.array([1, 4]), opset=24)


@pytest.mark.parametrize('dtype', ['float32', 'int64', 'bool', 'uint8'])
def test_indices_of_what_is_not_zero(dtype):
    x = np.array([[0, 1, 0], [1, 0, 1]], dtype)
    y = run('NonZero', x)
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, [[0, 1, 1], [1, 0, 2]])
    assert run('NonZero', np.zeros((2, 0), dtype)).shape == (2, 0)


def test_unique_values_in_their_order_or_sorted():
    x = np.array([5, 1, 5, 3, 1], np.int64)
    values, first, inverse, counts = run('Unique', x, n_outputs=4, sorted=0)
    assert values.tolist() == [5, 1, 3] and first.tolist() == [0, 1, 3]
    assert inverse.tolist() == [0, 1, 0, 2, 1] and counts.tolist() == [2, 2, 1]
    rows = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    values, first, inverse, counts = run('Unique', rows, n_outputs=4, axis=0)
    assert values.tolist() == [[0, 1], [1, 0]] and inverse.tolist() == [1, 0, 1]
    assert first.tolist() == [1, 0] and counts.tolist() == [1, 2]

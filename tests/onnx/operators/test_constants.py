"""Constants, shapes, ranges, marks and random numbers in ONNX."""
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from minichain.errors import DataError
from tests.onnx.building import check_gradients, load, run


@pytest.mark.parametrize('attribute, value, dtype', [
    ('value_float', 1.5, 'float32'), ('value_floats', [1.5, 2.], 'float32'),
    ('value_int', 2 ** 40, 'int64'), ('value_ints', [1, -2], 'int64'),
    ('value_string', 'ä', 'object'), ('value_strings', ['a', 'b'], 'object')])
def test_constants_of_all_attributes(attribute, value, dtype):
    y = run('Constant', **{attribute: value})
    assert y.dtype == dtype and y.shape == np.shape(value)
    assert y.tolist() == value


@pytest.mark.parametrize('dtype', ['float16', 'float64', 'int8', 'uint64', 'bool'])
def test_constants_keep_their_type(dtype):
    x = np.array([[0, 1], [1, 1]]).astype(dtype)
    y = run('Constant', value=numpy_helper.from_array(x))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, x)


def test_a_constant_without_a_value_is_refused():
    with pytest.raises(DataError, match='a value expected'):
        run('Constant')


@pytest.mark.parametrize('shape', [(2, 3), (0, 4), ()])
def test_tensors_of_one_number(shape):
    given = np.array(shape, np.int64)
    y = run('ConstantOfShape', given)
    assert y.shape == shape and y.dtype == np.float32 and not y.any()
    y = run('ConstantOfShape', given, value=helper.make_tensor('', TensorProto.INT32, [1], [7]))
    assert y.shape == shape and y.dtype == np.int32 and (y == 7).all()


@pytest.mark.parametrize('shape', [[2 ** 40], [-1], [10 ** 5, 10 ** 5]])
def test_absurd_shapes_are_refused(shape):
    with pytest.raises(DataError, match='asked for'):
        run('ConstantOfShape', np.array(shape))


@pytest.mark.parametrize('start, end', [(None, None), (1, None), (None, -1), (-2, 9), (3, 1),
                                        (-9, 2)])
def test_shapes_from_start_to_end(start, end):
    limits = {name: value for name, value in (('start', start), ('end', end)) if value is not None}
    y = run('Shape', np.zeros((2, 3, 4)), opset=15, **limits)
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y, np.array((2, 3, 4)[start:end], np.int64))
    assert run('Size', np.zeros((2, 0, 4))) == 0


@pytest.mark.parametrize('values', [(0, 5, 1), (5, 0, -2), (3, 3, 1), (0, 7, 3), (2, 0, 1)])
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'int16', 'int32', 'int64'])
def test_ranges(values, dtype):
    y = run('Range', *np.array(values, dtype), opset=11)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.arange(*values))


def test_ranges_without_end_are_refused():
    for values in ((0., 1., 0.), (0., np.inf, 1.), (0., 1., 1e-30)):
        with pytest.raises(DataError):
            run('Range', *np.array(values), opset=11)


@pytest.mark.parametrize('k', [-9, -1, 0, 1, 9])
def test_ones_on_a_diagonal(k):
    x = np.zeros((3, 4), np.int32)
    y = run('EyeLike', x, k=k)
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, np.eye(3, 4, k))
    assert run('EyeLike', x, dtype=TensorProto.DOUBLE).dtype == np.float64


@pytest.mark.parametrize('axis', [-1, 0, 1, 2])
@pytest.mark.parametrize('dtype', ['float32', 'float64', 'int64', 'bool'])
def test_marks_at_indices(axis, dtype):
    indices = np.array([[1, -1, 5], [0, -4, -5]])
    off_on = np.array([2, 3]).astype(dtype) if dtype != 'bool' else np.array([True, False])
    y = run('OneHot', indices, np.array(4), off_on, opset=11, axis=axis)
    expected = np.full((2, 3, 4), off_on[0])
    for place, index in np.ndenumerate(indices):
        if -4 <= index < 4:
            expected[place][index] = off_on[1]
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, np.moveaxis(expected, -1, axis))


def test_marks_take_floats_as_indices_and_lists_as_depth():
    y = run('OneHot', np.float32([1]), np.float32([3]), np.float32([0, 1]), opset=9)
    np.testing.assert_array_equal(y, [[0, 1, 0]])
    values = np.float64([0, 1])
    check_gradients(load('OneHot', [np.array([1, 0]), np.array(3), values]), np.array([1, 0]),
                    np.array(3), values)
    with pytest.raises(DataError, match='asked for'):
        run('OneHot', np.zeros(9, np.int64), np.array(2 ** 40), values)


def test_random_numbers_have_the_moments_asked_for():
    y = run('RandomUniform', shape=[100, 100], low=2., high=4., seed=1.)
    assert y.dtype == np.float32 and 2 <= y.min() < 2.01 and 3.99 < y.max() <= 4
    y = run('RandomNormal', shape=[100, 100], mean=5., scale=2., seed=1.,
            dtype=TensorProto.DOUBLE)
    assert y.dtype == np.float64 and abs(y.mean() - 5) < .1 and abs(y.std() - 2) < .1
    x = np.zeros((30, 40), np.float16)
    assert run('RandomNormalLike', x).dtype == np.float16
    assert run('RandomUniformLike', x, dtype=TensorProto.DOUBLE).shape == x.shape


@pytest.mark.parametrize('name', ['RandomNormal', 'RandomUniform'])
def test_a_seed_makes_draws_repeatable(name):
    first, again, other = (run(name, shape=[20], seed=seed) for seed in (1.5, 1.5, 2.))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.random.seed(3)
    common = run(name, shape=[20])
    assert (run(name, shape=[20]) != common).any()
    np.random.seed(3)
    np.testing.assert_array_equal(run(name, shape=[20]), common)


def test_draws_with_probabilities():
    x = np.full((100, 100), .3)
    y = run('Bernoulli', x, opset=15, seed=1., dtype=TensorProto.INT32)
    assert y.dtype == np.int32 and set(np.unique(y)) == {0, 1} and abs(y.mean() - .3) < .02
    assert run('Bernoulli', x, opset=15).dtype == np.float64
    x = np.log(np.array([[.2, .3, .5], [.7, 1e-9, .3]])) + 4
    y = run('Multinomial', x, sample_size=20000, seed=1.)
    assert y.dtype == np.int32 and y.shape == (2, 20000)
    for row, expected in zip(y, [[.2, .3, .5], [.7, 0, .3]]):
        np.testing.assert_allclose(np.bincount(row, minlength=3) / 20000, expected, 0, .02)
    with pytest.raises(DataError, match='asked for'):
        run('RandomNormal', shape=[2 ** 40])

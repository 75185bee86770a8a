"""Types of elements in ONNX beyond the cases of the onnx package."""
import numpy as np
import pytest
from onnx import TensorProto, helper

from minichain.errors import DataError
from tests.onnx.building import check_gradients, load, run

NUMBERS = ['float16', 'float32', 'float64', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16',
           'uint32', 'uint64', 'bool']


def number_of(dtype):
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


@pytest.mark.parametrize('source', NUMBERS)
@pytest.mark.parametrize('target', NUMBERS)
def test_every_number_becomes_every_other(source, target):
    x = np.array([[0, 1], [7, 100]]).astype(source)
    y = run('Cast', x, to=number_of(target), opset=13)
    assert y.dtype == target
    np.testing.assert_array_equal(y, [[0, 1], [1, 1]] if 'bool' in (source, target) else x)
    np.testing.assert_array_equal(run('CastLike', x, np.zeros(1, target), opset=15), y)


def test_floats_are_cut_towards_zero_and_integers_wrap_around():
    x = np.float32([-2.7, -.5, 2.7])
    np.testing.assert_array_equal(run('Cast', x, to=TensorProto.INT32), [-2, 0, 2])
    np.testing.assert_array_equal(run('Cast', np.array([200, -1], np.int16), to=TensorProto.INT8),
                                  [-56, -1])


def test_what_is_not_zero_is_true():
    x = np.float32([0, -0., .1, np.nan, np.inf])
    np.testing.assert_array_equal(run('Cast', x, to=TensorProto.BOOL), [0, 0, 1, 1, 1])


def test_too_large_floats_become_infinite():
    np.testing.assert_array_equal(run('Cast', np.float32([1e6, -1e6]), to=TensorProto.FLOAT16),
                                  [np.inf, -np.inf])


def test_gradients_come_back_in_their_own_type():
    x = np.float64([1, 2, 3])
    check_gradients(load('Cast', [x], to=TensorProto.DOUBLE), x)
    from minichain import Variable
    x = Variable(x)
    y, = load('Cast', [x.array], to=TensorProto.FLOAT)(x)
    y.grad = np.ones(3, np.float32)
    y.backward()
    assert x.grad.dtype == np.float64


def test_texts_become_numbers_and_numbers_texts():
    texts = np.array(['3.14', '1e-5', '1E8', '-INF', '+inf', 'NaN'], object)
    np.testing.assert_array_equal(run('Cast', texts, to=TensorProto.DOUBLE),
                                  [3.14, 1e-5, 1e8, -np.inf, np.inf, np.nan])
    texts = np.array(['9007199254740993', '-7'], object)
    np.testing.assert_array_equal(run('Cast', texts, to=TensorProto.INT64),
                                  [9007199254740993, -7])
    assert run('Cast', np.float32([.5, 314.15926]), to=TensorProto.STRING).tolist() == [
        '0.5', '314.15927']
    assert run('Cast', np.array([3, -4]), to=TensorProto.STRING).tolist() == ['3', '-4']
    with pytest.raises(DataError, match='numbers expected'):
        run('Cast', np.array(['five'], object), to=TensorProto.FLOAT)


@pytest.mark.parametrize('number', [TensorProto.FLOAT8E5M2, TensorProto.INT4, 99])
def test_types_that_numpy_lacks_are_refused(number):
    with pytest.raises(DataError, match='not supported'):
        run('Cast', np.float32([1]), to=number)


def test_bits_are_kept():
    x = np.float32([1, -2])
    np.testing.assert_array_equal(run('BitCast', x, to=TensorProto.INT32, opset=26),
                                  [0x3f800000, -0x40000000])
    with pytest.raises(DataError, match='bits'):
        run('BitCast', x, to=TensorProto.INT8, opset=26)

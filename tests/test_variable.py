"""Parameters, and what moves and copies of variables keep."""
import copy
import pickle

import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain import Parameter, Variable
from minichain.errors import InvalidArgument, InvalidType
from tests import strict_cupy


@pytest.mark.parametrize('initializer, expected', [
    (3, 3), (2.5, 2.5), (np.float32(4), 4), (np.array([1., 2.]), [1, 2]),
    (minichain.initializers.One(), 1), (lambda array: array.fill(6), 6)])
def test_a_parameter_is_filled_by_numbers_arrays_and_initializers(initializer, expected):
    parameter = Parameter(initializer, (2,))
    assert (parameter.array == expected).all()
    assert parameter.shape == (2,) and parameter.dtype == np.float32 and parameter.is_initialized
    assert parameter.grad is None and parameter.requires_grad and parameter.creator is None


def test_a_parameter_without_initializer_is_nan_so_that_it_shows():
    assert np.isnan(Parameter(shape=(2,)).array).all()
    assert np.isnan(Parameter(shape=()).array) and Parameter(1., 3).shape == (3,)


def test_an_array_alone_is_the_value_itself():
    array = np.arange(3.)
    parameter = Parameter(array, name='W')
    assert parameter.array is array and parameter.dtype == np.float64 and parameter.name == 'W'
    assert Parameter(array, (3,)).array is not array


def test_what_fills_nothing_is_refused():
    with pytest.raises(InvalidArgument, match='Initializer, number or array expected, got str'):
        Parameter('zeros', (2,))


def test_a_lazy_parameter_waits_for_its_shape():
    parameter = Parameter(minichain.initializers.One(dtype='float16'))
    assert parameter.array is None and not parameter.is_initialized
    assert parameter.shape is None and parameter.size == 0 and parameter.dtype == np.float16
    parameter.cleargrad()
    with pytest.raises(InvalidType, match='no array yet'):
        parameter + 1
    parameter.initialize((2, 2))
    assert parameter.array.tolist() == [[1, 1], [1, 1]] and parameter.dtype == np.float16
    assert Parameter().dtype == np.float32
    with minichain.using_config('dtype', np.float64):
        assert Parameter().dtype == np.float64


def test_a_lazy_parameter_is_made_where_it_was_moved_to():
    with strict_cupy.installed() as cupy:
        parameter = Parameter(2.)
        parameter.to_device('cuda')
        assert parameter.array is None and parameter.xp is cupy
        parameter.initialize((3,))
        assert type(parameter.array) is cupy.ndarray and parameter.array.tolist() == [2, 2, 2]
        assert Parameter(cupy.zeros(2)).device.name == '@cupy:0'


def test_to_device_moves_value_and_gradient_in_place_and_cuts_the_history():
    with strict_cupy.installed() as cupy:
        x = Parameter(1., (2,))
        y = x * 2
        y.grad = np.ones(2, 'f')
        y.to_gpu()
        assert type(y.array) is type(y.grad) is cupy.ndarray and y.creator is None
        assert type(x.array) is np.ndarray
        y.to_cpu()
        assert type(y.array) is type(y.grad) is np.ndarray and y.array.tolist() == [2, 2]
        z = Variable(np.zeros(2), name='z')
        z.to_device('@cupy:0')
        assert z.device.name == '@cupy:0' and z.xp is cupy and z.name == 'z' and z.grad is None


class Rule:
    def update(self, updated):
        updated.array[:] = 7


def test_an_update_rule_is_asked_to_update():
    parameter = Parameter(1., (1,))
    parameter.update()   # without a rule nothing happens
    parameter.update_rule = Rule()
    parameter.update()
    assert parameter.array == [7]


def test_copydata_copies_into_the_same_array_across_devices():
    mine, other = Parameter(1., (2,)), Parameter(np.array([3., 4.]))
    array = mine.array
    mine.copydata(other)
    assert mine.array is array and array.tolist() == [3, 4] and array.dtype == np.float32
    with strict_cupy.installed() as cupy:
        there = Variable(cupy.zeros(2, 'f'))
        there.copydata(mine)
        assert type(there.array) is cupy.ndarray and there.array.tolist() == [3, 4]
    with pytest.raises(InvalidType, match=r'copydata to .*\(2,\) expected, got \(3,\)'):
        mine.copydata(Variable(np.zeros(3)))


def test_copydata_initializes_the_side_that_has_no_array():
    mine, other = Parameter(), Parameter(2., (3,))
    mine.copydata(other)
    assert mine.array.tolist() == [2, 2, 2]
    mine, other = Parameter(2., (3,)), Parameter(5.)
    mine.copydata(other)
    assert mine.array.tolist() == other.array.tolist() == [5, 5, 5]
    mine, other = Parameter(), Parameter()
    mine.copydata(other)
    assert mine.array is None and other.array is None


def test_addgrad_adds_copies_and_crosses_devices():
    mine, other = Variable(np.zeros(2)), Variable(np.zeros(2))
    mine.addgrad(other)
    assert mine.grad is None
    other.grad = np.ones(2)
    mine.addgrad(other)
    assert mine.grad.tolist() == [1, 1] and mine.grad is not other.grad
    mine.addgrad(other)
    assert mine.grad.tolist() == [2, 2] and other.grad.tolist() == [1, 1]
    with strict_cupy.installed() as cupy:
        there = Variable(cupy.zeros(2))
        there.addgrad(other)
        assert type(there.grad) is cupy.ndarray
    lazy = Parameter(1.)
    lazy.addgrad(Parameter(np.zeros(2, 'f'), name='W') + 0)
    assert lazy.array is None
    given = Parameter(np.zeros(2, 'f'))
    given.grad = np.ones(2, 'f')
    lazy.addgrad(given)
    assert lazy.array.tolist() == [1, 1] and lazy.grad.tolist() == [1, 1]
    with pytest.raises(InvalidType, match='grad of '):
        Variable(np.zeros(3)).addgrad(other)


def test_zerograd_and_cleargrad():
    x = Variable(np.ones(2, 'e'))
    x.zerograd()
    assert x.grad.tolist() == [0, 0] and x.grad.dtype == np.float16
    x.cleargrad()
    assert x.grad is None and x.grad_var is None


def test_copies_are_leaves_and_keep_names_rules_and_devices():
    x = Parameter(1., (2,), name='W')
    x.update_rule = object()
    x.grad = np.ones(2, 'f')
    y = x * 2
    shallow = copy.copy(x)
    assert type(shallow) is Parameter and shallow.array is x.array and shallow.grad is x.grad
    assert shallow.update_rule is x.update_rule and shallow.name == 'W'
    assert shallow.node is not x.node and shallow.device == x.device
    deep = copy.deepcopy([x, x])
    assert deep[0] is deep[1] and deep[0].array is not x.array and deep[0].grad is not x.grad
    leaf = copy.copy(y)
    assert leaf.creator is None and leaf.array is y.array
    assert copy.deepcopy(Parameter(3.)).array is None


def test_a_parameter_in_a_formula_is_a_leaf():
    W = Parameter(np.array([2., 3.]))
    F.sum(W * W).backward()
    assert W.grad.tolist() == [4, 6] and W.rank == 0


@pytest.mark.parametrize('shape', [(3.5, 2), (-3, 2), 'ab', (None, 2)])
def test_a_shape_that_is_none_is_refused_with_advice(shape):
    with pytest.raises(InvalidArgument, match='sizes given to its link'):
        Parameter(0, shape)


@pytest.mark.parametrize('protocol', [0, 2, 4])
def test_variables_are_pickled_as_leaves(protocol):
    x = Parameter(np.array([2., 3.]), name='W')
    x.grad, x.update_rule = np.ones(2), Rule()
    y = x * 2
    again, leaf, lazy = pickle.loads(pickle.dumps((x, y, Parameter(3.)), protocol))
    assert type(again) is Parameter and again.name == 'W' and again.device == x.device
    assert again.array.tolist() == [2, 3] and again.grad.tolist() == [1, 1]
    assert type(again.update_rule) is Rule
    assert leaf.creator is None and leaf.array.tolist() == [4, 6] and leaf.requires_grad
    lazy.initialize((2,))
    assert lazy.array.tolist() == [3, 3]

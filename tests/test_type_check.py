"""Checks at the door: each names what was expected, what came, and where."""
import re

import numpy as np
import pytest

import minichain
import minichain.functions as F
import minichain.links as L
from minichain import type_check
from minichain.errors import (
    DeviceError,
    InvalidArgument,
    InvalidType,
    MinichainError,
    NotFinite,
)
from tests import strict_cupy

X, Y = np.zeros((2, 3), 'f'), np.zeros((4,), 'd')
I32 = np.zeros((2,), 'i')


def test_invalid_types_are_caught_as_type_and_as_value_errors():
    for family in (InvalidType, MinichainError, TypeError, ValueError):
        with pytest.raises(family):
            type_check.expect_array('f', [1.])


@pytest.mark.parametrize('check, parts', [
    (lambda: type_check.expect_array('f', [1.]), ['f: ', 'got list', 'numpy.asarray']),
    (lambda: type_check.expect_array('f', np.float32(1)), ['got float32']),
    (lambda: type_check.expect_same_module('f', (X, None)), ['f: ', 'no array yet']),
    (lambda: type_check.expect_gradient('W', X, Y), ['grad of W', '(2, 3), float32', '(4,)']),
    (lambda: type_check.expect_gradient(None, X, X.astype('d')), ['a variable', 'float64']),
    (lambda: type_check.expect_gradient('W', X, 3.), ['grad of W: ', 'got float']),
    (lambda: type_check.expect_count('f', (X, Y, X), 2), ['f: 2 operands expected, got 3']),
    (lambda: type_check.expect_float('f', x=X, t=I32), ['f: t of a floating', 'int32', 'astype']),
    (lambda: type_check.expect_integer('f', t=X), ['f: t of an integer dtype', 'float32']),
    (lambda: type_check.expect_integer('f', t=np.zeros(2, bool)), ['t', 'bool']),
    (lambda: type_check.expect_ndim('f', 4, x=X), ['f: x with 4 axes expected', '(2, 3)']),
    (lambda: type_check.expect_shape('f', (None, 4), x=X), ['x.shape (any, 4)', '(2, 3)']),
    (lambda: type_check.expect_shape('f', (2,), x=X), ['x.shape (2)', '(2, 3)']),
    (lambda: type_check.expect_same_dtype('f', x=X, y=Y), ['x float32, y float64']),
    (lambda: type_check.expect_broadcast('f', X, Y), ['(2, 3), (4,)', 'aligned from the right']),
])
def test_what_does_not_fit_is_refused_with_both_sides(check, parts):
    with pytest.raises(InvalidType) as caught:
        check()
    assert all(part in str(caught.value) for part in parts), str(caught.value)


def test_what_fits_passes():
    type_check.expect_array('f', X)
    type_check.expect_same_module('f', (X, Y))
    type_check.expect_gradient('W', X, np.ones_like(X))
    type_check.expect_count('f', (X,), 1)
    type_check.expect_float('f', x=X, y=Y, z=X.astype('e'))
    type_check.expect_integer('f', t=I32, u=I32.astype('u1'))
    type_check.expect_ndim('f', 2, x=X, y=X)
    type_check.expect_shape('f', (None, 3), x=X)
    type_check.expect_same_dtype('f', x=X, y=X)
    type_check.expect_one_element('f', np.zeros((1, 1)))
    type_check.expect_same_length('f', a=[1], b='x')
    type_check.expect_no_nan('f', [X, None, I32, np.array([np.inf])])
    assert type_check.expect_broadcast('f', X, np.zeros((5, 1, 1))) == (5, 2, 3)
    assert type_check.same_types(X, Y)


def test_a_start_of_backward_needs_one_element():
    with pytest.raises(InvalidArgument, match=r'backward.*\(2, 3\)'):
        type_check.expect_one_element('backward', X)
    with pytest.raises(InvalidArgument, match=r'\(0,\)'):
        type_check.expect_one_element('backward', np.zeros((0,)))


def test_sequences_of_different_lengths_are_named():
    with pytest.raises(InvalidArgument, match='f: sequences of one length .* 2 xs, 3 ys'):
        type_check.expect_same_length('f', xs=[1, 2], ys=[1, 2, 3])


def test_nan_is_found_in_floats_only():
    with pytest.raises(NotFinite, match=r'log: forward gave NaN in an array of shape \(2,\)'):
        type_check.expect_no_nan('log: forward', [I32, np.array([1., np.nan])])
    with pytest.raises(FloatingPointError):
        type_check.expect_no_nan('f', [np.array(np.nan)])


def test_arrays_of_two_libraries_are_refused_with_their_places():
    with strict_cupy.installed() as cupy:
        with pytest.raises(DeviceError, match='f: .*got NumPy, CuPy.*to_device'):
            type_check.expect_same_module('f', (X, cupy.zeros(2)))
        type_check.expect_same_module('f', (cupy.zeros(2), cupy.zeros(3)))
        assert not type_check.same_types(X, cupy.zeros(2))


class Typed(minichain.FunctionNode):
    """A function with a check in Chainer's words."""

    def __init__(self, check):
        self.check = check

    def check_type_forward(self, in_types):
        self.check(in_types)

    def forward(self, inputs):
        return inputs[0] * 1,


def message(check, *arrays):
    with pytest.raises(InvalidType) as caught:
        Typed(check).apply(arrays)
    return str(caught.value)


def test_chainers_expressions_show_their_text_and_both_values():
    expect = type_check.expect
    assert message(lambda t: expect(t.size() == 2), X) == (
        'in_types.size == 2 expected, got 1 and 2')
    assert message(lambda t: expect(t[0].ndim == 2, t[0].shape[1] == t[1].shape[0]), X, Y) == (
        'in_types[0].shape[1] == in_types[1].shape[0] expected, got 3 and 4')
    assert message(lambda t: expect(t[0].dtype == np.float64), X).startswith(
        'in_types[0].dtype == ')
    assert 'kind == ' in message(lambda t: expect(t[0].dtype.kind == 'i'), X)
    assert message(lambda t: expect(t[0].shape == (2, 4)), X) == (
        'in_types[0].shape == (2, 4) expected, got (2, 3) and (2, 4)')
    assert message(lambda t: expect(t[0].shape[:1] == t[1].shape), X, Y).endswith(
        'got (2,) and (4,)')


@pytest.mark.parametrize('build, text, value', [
    (lambda n: n + 1, 'in_types[0].ndim + 1', 3), (lambda n: 1 + n, '1 + in_types[0].ndim', 3),
    (lambda n: n - 1, 'in_types[0].ndim - 1', 1), (lambda n: 5 - n, '5 - in_types[0].ndim', 3),
    (lambda n: n * 4, 'in_types[0].ndim * 4', 8), (lambda n: 4 * n, '4 * in_types[0].ndim', 8),
    (lambda n: n // 2, 'in_types[0].ndim // 2', 1), (lambda n: n % 2, 'in_types[0].ndim % 2', 0),
    (lambda n: 7 // n, '7 // in_types[0].ndim', 3), (lambda n: 7 % n, '7 % in_types[0].ndim', 1),
    (lambda n: n ** 3, 'in_types[0].ndim ** 3', 8), (lambda n: 3 ** n, '3 ** in_types[0].ndim', 9),
])
def test_expressions_do_arithmetic_and_remember_their_text(build, text, value):
    expression = build(type_check.get_types((X,))[0].ndim)
    assert type_check.eval(expression) == value and repr(expression) == text


@pytest.mark.parametrize('condition, holds', [
    (lambda n: n == 2, True), (lambda n: n != 2, False), (lambda n: n < 3, True),
    (lambda n: n <= 1, False), (lambda n: n > 1, True), (lambda n: n >= 3, False)])
def test_comparisons_hold_or_are_refused(condition, holds):
    result = condition(type_check.get_types((X,))[0].ndim)
    assert bool(result) is holds
    if holds:
        type_check.expect(result)
    else:
        with pytest.raises(InvalidType, match=re.escape(repr(result))):
            type_check.expect(result)


def test_types_know_size_kind_and_length_and_products():
    x, = type_check.get_types((X,), 'xs')
    assert type_check.eval(x.size) == 6 and repr(x.size) == 'xs[0].size'
    assert len(x.shape) == 2 and type_check.eval(x.dtype.itemsize) == 4
    assert type_check.eval(x.dtype.char) == 'f'
    product = type_check.prod(x.shape)
    assert type_check.eval(product) == 6 and repr(product) == 'prod(xs[0].shape)'
    assert type_check.eval(type_check.prod((2, 5))) == 10
    assert range(4)[x.ndim] == 2


def test_a_plain_condition_is_refused_too():
    with pytest.raises(InvalidType, match='a condition expected'):
        type_check.expect(False)
    type_check.expect(True, 1)


def test_checks_are_off_when_the_switch_is():
    def refuse(types):
        raise InvalidType('refused')

    with minichain.using_config('type_check', False):
        assert (Typed(refuse).apply((X,))[0].array == 0).all()
    assert message(refuse, X) == 'refused'


@pytest.mark.parametrize('call, advice', [
    (lambda: minichain.Variable(X, volatile='on'), 'Variable: volatile .* no_backprop_mode'),
    (lambda: F.dropout(X, train=False), r"dropout: train .* using_config\('train'"),
    (lambda: F.zoneout(X, X, train=False), 'zoneout: train'),
    (lambda: F.rrelu(X, train=False), 'rrelu: train'),
    (lambda: F.batch_normalization(X, X[0], X[0], train=True), 'batch_normalization: train'),
    (lambda: F.convolution_2d(X, X, deterministic=True), 'convolution_2d: deterministic .*cudnn'),
    (lambda: F.deconvolution_2d(X, X, deterministic=True), 'deconvolution_2d: deterministic'),
    (lambda: F.n_step_lstm(1, 0, X, X, X, X, X, train=True), 'n_step_lstm: train'),
    (lambda: F.n_step_gru(1, 0, X, X, X, X, use_cudnn=True), 'n_step_gru: use_cudnn'),
    (lambda: F.n_step_birnn(1, 0, X, X, X, X, train=True), 'n_step_birnn: train'),
    (lambda: L.NStepLSTM(1, 3, 3, 0, use_cudnn=True), 'NStepLSTM: use_cudnn'),
    (lambda: L.NStepGRU(1, 3, 3, 0)(None, [X], train=True), 'NStepGRU: train'),
    (lambda: L.BatchNormalization(3)(X, test=True), 'BatchNormalization: test'),
])
def test_arguments_of_chainer_1_are_refused_with_what_to_write(call, advice):
    with pytest.raises(InvalidArgument, match=advice):
        call()


def test_an_argument_that_never_was_is_a_type_error():
    with pytest.raises(TypeError, match=r"dropout\(\) got an unexpected keyword argument 'tain'"):
        F.dropout(X, tain=False)


def test_operands_are_called_by_their_names():
    in_types = type_check.get_types((X, Y))
    type_check.argname(in_types, ('x', 'W'))
    with pytest.raises(InvalidType, match=r'x.shape\[1\] == W.shape\[0\] expected, got 3 and 4'):
        type_check.expect(in_types[0].shape[1] == in_types[1].shape[0])
    with pytest.raises(InvalidType, match='W.dtype.kind'):
        type_check.expect(in_types[1].dtype.kind == 'i')
    with pytest.raises(InvalidType, match='in_types.size == 1'):
        type_check._argname(in_types, ('x',))
    with pytest.raises(InvalidType, match='x.ndim > axis expected, got 2 and 2'):
        type_check.expect(in_types[0].ndim > type_check.make_variable(2, 'axis'))


def test_shapes_that_do_not_broadcast_are_refused():
    x, y = type_check.get_types((X, Y))
    type_check.expect_broadcast_shapes(x.shape, (3,), (1, 1))
    with pytest.raises(InvalidType, match=r'\(2, 3\), \(4,\)'):
        type_check.expect_broadcast_shapes(x.shape, y.shape)

import numpy as np
import pytest

import minichain
from minichain import Variable
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


def positive(*shape):
    return RANDOM.uniform(.5, 2, shape)


@pytest.mark.parametrize('apply', [
    lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / y,
    lambda x, y: x ** y], ids=['add', 'subtract', 'multiply', 'divide', 'power'])
@pytest.mark.parametrize('shapes', [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (1, 3)),
                                    ((), (2,))])
def test_binary_operators_broadcast_and_have_two_orders_of_gradients(apply, shapes):
    check_function(apply, [positive(*shapes[0]), positive(*shapes[1])], apply)


@pytest.mark.parametrize('apply', [
    lambda x: x + 2, lambda x: 2 - x, lambda x: x * 3, lambda x: x / 4, lambda x: 2 / x,
    lambda x: x ** 3, lambda x: 2 ** x, lambda x: -x, abs, lambda x: x - 1.5],
    ids=['plus', 'from', 'times', 'over', 'inverse', 'power', 'exponential', 'negative',
         'absolute', 'minus'])
def test_operators_with_a_number(apply):
    check_function(apply, [positive(2, 3)], apply)


def test_a_number_does_not_change_the_dtype():
    x = Variable(np.ones(2, 'float32'))
    for y in (x + np.float64(1), np.float64(2) * x, x / 3, 1 - x, x ** np.float64(2)):
        assert y.dtype == np.float32


def test_an_array_beside_a_variable_takes_its_dtype_on_both_sides():
    x = Variable(np.ones(2, 'float32'))
    for y in (np.arange(2.) + x, x + np.arange(2.), np.arange(2.) * x):
        assert isinstance(y, Variable) and y.dtype == np.float32
    np.testing.assert_array_equal((np.arange(2.) - x).array, [-1, 0])


def test_two_variables_of_different_dtypes_are_refused_by_name():
    with pytest.raises(minichain.errors.InvalidType, match='float32.*float64'):
        Variable(np.ones(2, 'float32')) + Variable(np.ones(2))


def test_shapes_that_do_not_broadcast_are_refused_with_both_shapes():
    with pytest.raises(minichain.errors.InvalidType, match=r'\(2,\), \(3,\)'):
        Variable(np.ones(2)) * Variable(np.ones(3))


def test_comparison_and_truth_of_a_variable_are_refused():
    x = Variable(np.ones(2))
    for ask in (lambda: x == x, lambda: x < 1, lambda: bool(x)):
        with pytest.raises(TypeError):
            ask()


@pytest.mark.parametrize('shapes', [((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)),
                                    ((5, 2, 3), (3, 4)), ((5, 2, 3), (5, 3, 4)),
                                    ((3,), (5, 3, 4))])
def test_matrix_products_of_all_ranks(shapes):
    a, b = RANDOM.randn(*shapes[0]), RANDOM.randn(*shapes[1])
    check_function(lambda a, b: a @ b, [a, b], lambda a, b: a @ b)


@pytest.mark.parametrize('transa', [False, True])
@pytest.mark.parametrize('transb', [False, True])
def test_matrix_products_of_transposed_operands(transa, transb):
    a = RANDOM.randn(*((3, 2) if transa else (2, 3)))
    b = RANDOM.randn(*((4, 3) if transb else (3, 4)))
    check_function(lambda a, b: minichain.functions.matmul(a, b, transa, transb), [a, b],
                   lambda a, b: (a.T if transa else a) @ (b.T if transb else b))


@pytest.mark.parametrize('index', [
    0, -1, slice(1, None), (0, slice(None, None, 2)), (Ellipsis, 1), None, (slice(None), None),
    [0, 0, 1], (np.array([0, 1, 1]), np.array([2, 0, 0])), np.array([[True, False, True]] * 2)],
    ids=str)
def test_indexing_as_numpy_does(index):
    x = RANDOM.randn(2, 3)
    check_function(lambda x: x[index], [x], lambda x: x[index])


def test_an_index_out_of_range_is_refused_with_the_shape():
    for kind in (minichain.errors.InvalidType, IndexError):   # Chainer raises IndexError
        with pytest.raises(kind, match=r'\(2, 3\)'):
            Variable(np.ones((2, 3)))[5]


def test_reshape_and_transpose_take_tuples_and_separate_numbers():
    x = RANDOM.randn(2, 3)
    check_function(lambda x: x.reshape(3, 2), [x], lambda x: x.reshape(3, 2))
    check_function(lambda x: x.reshape((-1,)), [x], lambda x: x.reshape(-1))
    check_function(lambda x: x.transpose(1, 0), [x], lambda x: x.T)
    check_function(lambda x: x.transpose(), [x], lambda x: x.T)
    check_function(lambda x: x.T, [x], lambda x: x.T)
    check_function(lambda x: x.reshape(1, 2, 3).transpose(2, 0, -2), [x],
                   lambda x: x.reshape(1, 2, 3).transpose(2, 0, 1))


def test_repr_shows_name_and_values():
    assert repr(Variable(np.array([1., 2.]), name='x')) == 'variable x([1., 2.])'
    assert str(Variable(np.array([1., 2.]), name='x')) == 'variable x([1. 2.])'


def test_labels_show_the_number_and_the_type():
    x = Variable(np.ones((2, 3), 'f'))
    for y, label in ((x * 2, '_ * 2'), (x - 2, '_ + -2'), (2 - x, '2 - _'), (x / 2, '_ * 0.5'),
                     (2 / x, '2 / _'), (x ** 2, '_ ** 2'), (2.5 ** x, '2.5 ** _')):
        assert y.creator.label == label and y.label == '(2, 3), float32'
    assert Variable(np.ones((), 'f')).label == 'float32'
    assert Variable(np.ones((), 'f'), name='loss').label == 'loss, float32'


def test_lists_are_refused_by_every_operator():
    x = Variable(np.ones(3, 'f'))
    for operator in (lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x // y,
                     lambda x, y: y // x):
        with pytest.raises(InvalidType, match='list'):
            operator(x, [1, 2, 3])


@pytest.mark.parametrize('compute', [lambda x: 1 / x, lambda x: x ** -1, lambda x: .5 ** x])
def test_quotients_and_powers_of_integers_are_refused_as_in_chainer(compute):
    with pytest.raises(InvalidType, match='of a floating dtype expected, got int32'):
        compute(Variable(np.array([3, 4], 'int32')))

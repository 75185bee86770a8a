"""Max pooling against a loop over its windows."""
import math
from itertools import product

import numpy as np
import pytest

import minichain.functions as F
from minichain import Variable
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(2)


def spread(*shape):
    """Distinct values, far enough apart for differences."""
    return RANDOM.permutation(math.prod(shape)).reshape(shape) / 10 - 1


def by_definition(x, ksize, stride, pad, cover_all):
    """Return maxima and numbers of the winning taps, window after window."""
    wide = np.full((*x.shape[:2], *[n + 2 * p + s + k for n, p, s, k in zip(
        x.shape[2:], pad, stride, ksize)]), -np.inf)
    wide[(..., *[slice(p, p + n) for n, p in zip(x.shape[2:], pad)])] = x
    rounding = math.ceil if cover_all else math.floor
    out = [rounding((n + 2 * p - k) / s) + 1 for n, k, s, p in zip(
        x.shape[2:], ksize, stride, pad)]
    y, winners = np.empty((*x.shape[:2], *out)), np.empty((*x.shape[:2], *out), int)
    for place in product(*map(range, out)):
        window = wide[(..., *[slice(o * s, o * s + k) for o, s, k in zip(place, stride, ksize)])]
        window = window.reshape(*x.shape[:2], -1)
        y[(..., *place)], winners[(..., *place)] = window.max(axis=2), window.argmax(axis=2)
    return y, winners


GEOMETRIES = [
    ((2, 2, 4, 5), (2, 2), (2, 2), (0, 0), True),
    ((1, 2, 5, 5), (2, 2), (2, 2), (0, 0), False),
    ((1, 1, 6, 5), (3, 2), (2, 1), (1, 0), True),
    ((1, 2, 4, 4), (3, 3), (2, 2), (1, 1), False),
    ((1, 1, 5, 5), (2, 2), (3, 3), (0, 0), True),
    ((2, 1, 3, 4), (3, 4), (1, 1), (0, 0), True),
]


@pytest.mark.parametrize('shape, ksize, stride, pad, cover_all', GEOMETRIES, ids=str)
def test_max_pooling_2d_is_its_definition_with_two_orders_of_gradients(shape, ksize, stride, pad,
                                                                        cover_all):
    check_function(lambda x: F.max_pooling_2d(x, ksize, stride, pad, cover_all), [spread(*shape)],
                   lambda x: by_definition(x, ksize, stride, pad, cover_all)[0])


@pytest.mark.parametrize('shape, ksize, stride, pad, cover_all', GEOMETRIES, ids=str)
def test_winners_are_numbered_within_their_window(shape, ksize, stride, pad, cover_all):
    x = spread(*shape)
    y, winners = F.max_pooling_2d(x, ksize, stride, pad, cover_all, return_indices=True)
    assert isinstance(winners, np.ndarray) and winners.dtype == int
    np.testing.assert_array_equal(winners, by_definition(x, ksize, stride, pad, cover_all)[1])


@pytest.mark.parametrize('pool, shape', [
    (F.max_pooling_1d, (2, 2, 7)), (F.max_pooling_nd, (1, 2, 5)),
    (F.max_pooling_3d, (1, 1, 3, 4, 3))], ids=['1d', 'nd', '3d'])
def test_any_number_of_axes(pool, shape):
    ones = (1,) * (len(shape) - 2)
    pad, two = tuple(0 * n for n in ones), tuple(2 * n for n in ones)
    check_function(lambda x: pool(x, 2), [spread(*shape)],
                   lambda x: by_definition(x, two, two, pad, True)[0])


def test_of_equal_values_the_first_gets_the_gradient():
    x = Variable(np.ones((1, 1, 2, 4)))
    F.sum(F.max_pooling_2d(x, 2)).backward()
    np.testing.assert_array_equal(x.grad[0, 0], [[1, 0, 1, 0], [0, 0, 0, 0]])


def test_overlapping_windows_add_their_gradients():
    x = Variable(np.array([[[0., 5., 1., 2.]]]))
    F.sum(F.max_pooling_1d(x, 2, stride=1)).backward()
    np.testing.assert_array_equal(x.grad, [[[0, 2, 0, 1]]])


def test_padding_never_wins():
    x = -spread(1, 1, 3, 3) - 20
    assert (F.max_pooling_2d(x, 3, 1, 1).array < -15).all()


def test_nan_is_passed_on():
    x = np.zeros((1, 1, 2, 2))
    x[0, 0, 1, 1] = np.nan
    assert np.isnan(F.max_pooling_2d(x, 2).item())


def test_an_empty_batch():
    assert F.max_pooling_2d(np.zeros((0, 2, 4, 4)), 2).shape == (0, 2, 2, 2)


def test_a_window_larger_than_the_padded_input_is_refused():
    with pytest.raises(InvalidType, match=r'max_pooling_2d: the window is larger.*\(2, 2\)'):
        F.max_pooling_2d(np.zeros((1, 1, 2, 2)), 5, cover_all=False)


def test_other_operands_are_refused():
    with pytest.raises(InvalidType, match='4 axes'):
        F.max_pooling_2d(np.zeros((1, 2, 2)), 2)
    with pytest.raises(InvalidType, match='floating'):
        F.max_pooling_2d(np.zeros((1, 1, 2, 2), int), 2)
    with pytest.raises(InvalidArgument, match='ksize'):
        F.max_pooling_2d(np.zeros((1, 1, 2, 2)), 0)

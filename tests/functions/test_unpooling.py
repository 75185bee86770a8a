"""Unpooling and upsampling undo what pooling does."""
import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(4)


def real(*shape):
    return RANDOM.uniform(-1, 1, shape)


def test_unpooling_repeats_every_value():
    check_function(lambda x: F.unpooling_2d(x, 2, cover_all=False), [real(2, 2, 2, 3)],
                   lambda x: x.repeat(2, axis=2).repeat(2, axis=3))


def test_overlapping_windows_add_up():
    y = F.unpooling_1d(np.array([[[1., 10.]]]), 3, stride=2, cover_all=False)
    np.testing.assert_array_equal(y.array, [[[1, 1, 11, 10, 10]]])


@pytest.mark.parametrize('unpool, pool, size', [
    (F.unpooling_1d, F.average_pooling_1d, (6,)), (F.unpooling_nd, F.average_pooling_nd, (6, 5)),
    (F.unpooling_2d, F.average_pooling_2d, (5, 7)),
    (F.unpooling_3d, F.average_pooling_3d, (4, 4, 5))], ids=['1d', 'nd', '2d', '3d'])
def test_unpooling_is_the_adjoint_of_summing_windows(unpool, pool, size):
    x = real(2, 2, *size)
    y = pool(x, 3, 2, 1).array * 3 ** len(size)
    gy = real(*y.shape)
    back = unpool(gy, 3, 2, 1, outsize=size)
    np.testing.assert_allclose((y * gy).sum(), (x * back.array).sum())
    check_function(lambda y: unpool(y, 3, 2, 1, outsize=size), [gy[:1, :1]], dtypes=())


def test_cover_all_gives_the_smallest_image():
    assert F.unpooling_2d(np.ones((1, 1, 2, 2)), 3, 2).shape == (1, 1, 4, 4)
    assert F.unpooling_2d(np.ones((1, 1, 2, 2)), 3, 2, cover_all=False).shape == (1, 1, 5, 5)


@pytest.mark.parametrize('options', [{'ksize': 2}, {'ksize': 3, 'stride': 2, 'pad': 1}], ids=str)
def test_upsampling_puts_maxima_where_they_were(options):
    x = RANDOM.permutation(60).reshape(1, 2, 6, 5) / 1.
    y, indexes = F.max_pooling_2d(x, **options, return_indices=True)
    back = F.upsampling_2d(y, indexes, **options, outsize=(6, 5))
    for value in np.unique(y.array):
        places = x == value
        count = (y.array == value).sum()   # windows that share a maximum add it
        np.testing.assert_array_equal(back.array[places], count * value)
    assert np.isin(x[back.array != 0], y.array).all()
    check_function(lambda y, indexes: F.upsampling_nd(y, indexes, **options, outsize=(6, 5)),
                   [y.array / 60, indexes])


def test_operands_that_do_not_fit_are_refused():
    with pytest.raises(InvalidType, match=r'shape of x, \(1, 1, 2, 2\).*\(1, 1, 2, 3\)'):
        F.upsampling_2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 3), int), 2)
    with pytest.raises(InvalidType, match='indexes from 0 to 3 expected'):
        F.upsampling_2d(np.ones((1, 1, 2, 2)), np.full((1, 1, 2, 2), 4), 2)
    with pytest.raises(InvalidType, match='integer'):
        F.upsampling_2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), 2)
    with pytest.raises(InvalidType, match='4 axes'):
        F.unpooling_2d(np.ones((1, 1, 2)), 2)
    with pytest.raises(InvalidType, match='would be empty'):
        F.unpooling_2d(np.ones((1, 1, 1, 1)), 1, 1, 1)

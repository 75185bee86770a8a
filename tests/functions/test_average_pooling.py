"""Average pooling against a loop over its windows."""
from itertools import product

import numpy as np
import pytest

import minichain.functions as F
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions.average_pooling import average_windows, count_inside
from minichain.functions.windows import slide
from tests.functions.check import check_function

RANDOM = np.random.RandomState(3)


def real(*shape):
    return RANDOM.uniform(-1, 1, shape)


def by_definition(x, ksize, stride, pad, ignore_padding=False):
    out = [(n + 2 * p - k) // s + 1 for n, k, s, p in zip(x.shape[2:], ksize, stride, pad)]
    y = np.empty((*x.shape[:2], *out))
    for place in product(*map(range, out)):
        values = [x[(..., *at)] for at in product(*[
            range(o * s - p, o * s - p + k) for o, s, p, k in zip(place, stride, pad, ksize)])
            if all(0 <= a < n for a, n in zip(at, x.shape[2:]))]
        count = len(values) if ignore_padding else np.prod(ksize)
        y[(..., *place)] = sum(values) / count
    return y


GEOMETRIES = [((2, 2, 4, 5), (2, 2), (2, 2), (0, 0)), ((1, 2, 6, 5), (3, 2), (2, 1), (1, 0)),
              ((1, 1, 4, 4), (3, 3), (2, 2), (1, 1)), ((2, 3, 3, 4), (3, 4), (1, 1), (0, 0))]


@pytest.mark.parametrize('shape, ksize, stride, pad', GEOMETRIES, ids=str)
def test_average_pooling_2d_is_its_definition_with_two_orders_of_gradients(shape, ksize, stride,
                                                                            pad):
    check_function(lambda x: F.average_pooling_2d(x, ksize, stride, pad), [real(*shape)],
                   lambda x: by_definition(x, ksize, stride, pad))


@pytest.mark.parametrize('shape, ksize, stride, pad', GEOMETRIES, ids=str)
def test_without_pad_value_the_padding_does_not_count(shape, ksize, stride, pad):
    check_function(lambda x: F.average_pooling_nd(x, ksize, stride, pad, pad_value=None),
                   [real(*shape)], lambda x: by_definition(x, ksize, stride, pad, True))


@pytest.mark.parametrize('pool, shape', [
    (F.average_pooling_1d, (2, 2, 7)), (F.average_pooling_3d, (1, 1, 3, 4, 3))], ids=['1d', '3d'])
def test_any_number_of_axes(pool, shape):
    ndim = len(shape) - 2
    check_function(lambda x: pool(x, 2, 1, 1), [real(*shape)],
                   lambda x: by_definition(x, (2,) * ndim, (1,) * ndim, (1,) * ndim))


def test_windows_that_caffe_clips_at_the_end():
    # 6 pixels, window 3, stride 2, padding 1, sizes rounded up: the windows start at -1, 1, 3, 5.
    # Caffe divides by what lies within the padded image, -1 .. 6: of the last window two.
    windows = slide('test', (6,), 3, 2, 1, cover_all=True)
    divisor = count_inside(windows, windows.pad)
    np.testing.assert_array_equal(divisor, [3, 3, 3, 2])
    check_function(lambda x: average_windows(x, windows, divisor),
                   [np.array([[[1., 2., 3., 4., 5., 6.]]])],
                   lambda x: np.array([[[1., 3., 5., 3.]]]))


def test_a_mean_of_float16_does_not_overflow():
    x = np.full((1, 1, 4, 4), 30000, 'float16')
    assert F.average_pooling_2d(x, 4).item() == 30000


def test_operands_and_options_that_do_not_fit_are_refused():
    with pytest.raises(InvalidType, match='window is larger'):
        F.average_pooling_2d(np.zeros((1, 1, 2, 2)), 3)
    with pytest.raises(InvalidType, match='5 axes'):
        F.average_pooling_3d(np.zeros((1, 1, 2, 2)), 2)
    with pytest.raises(InvalidArgument, match='pad_value'):
        F.average_pooling_nd(np.zeros((1, 1, 2, 2)), 2, pad_value=1)

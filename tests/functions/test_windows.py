"""The geometry of windows, by enumeration."""
from itertools import product

import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions.windows import (
    fill,
    fold,
    get_conv_outsize,
    get_deconv_outsize,
    padded,
    reduce_windows,
    slide,
    spread_windows,
    taps,
    unfold,
)


@pytest.mark.parametrize('cover_all', [False, True])
def test_the_number_of_windows_is_what_fits(cover_all):
    for size, k, s, p, d in product(range(1, 9), range(1, 4), range(1, 4), range(3), (1, 2)):
        reach = d * (k - 1) + 1
        if size + 2 * p < reach:
            continue
        starts = [start for start in range(0, size + 2 * p, s) if start + reach <= size + 2 * p]
        covered = starts[-1] + reach >= size + 2 * p
        expected = len(starts) + (cover_all and not covered)
        assert get_conv_outsize(size, k, s, p, cover_all, d) == expected


def test_the_size_of_an_inverse_has_the_number_of_windows_it_was_made_from():
    for out, k, s, p, d in product(range(1, 6), range(1, 4), range(1, 4), range(2), (1, 2)):
        for cover_all in (False, True):
            size = get_deconv_outsize(out, k, s, p, cover_all, d)
            if size > 0 and size + 2 * p >= d * (k - 1) + 1:
                assert get_conv_outsize(size, k, s, p, cover_all, d) == out


GEOMETRIES = [slide('test', (5, 6), (3, 2), (2, 3), (1, 0)),
              slide('test', (4, 4), 2, 3, 2, cover_all=True),
              slide('test', (7, 5), (2, 3), 1, 1, dilate=2),
              slide('test', (3, 3), 3, 1, 5),
              slide('test', (6, 5), (6, 5))]


@pytest.mark.parametrize('windows', GEOMETRIES, ids=str)
def test_every_way_to_reach_a_window_sees_the_same(windows):
    random = np.random.RandomState(0)
    x = random.uniform(-1, 1, (2, 3, *windows.size))
    seen = np.zeros((2, 3, *windows.ksize, *windows.out))
    for tap, place in product(product(*map(range, windows.ksize)),
                              product(*map(range, windows.out))):
        at = [o * s - p + t * d for o, s, p, t, d in zip(
            place, windows.stride, windows.pad, tap, windows.dilate)]
        if all(0 <= a < n for a, n in zip(at, windows.size)):
            seen[(..., *tap, *place)] = x[(..., *at)]
    np.testing.assert_array_equal(unfold(x, windows), seen)
    for tap, image, out in taps(windows):
        np.testing.assert_array_equal(x[image], seen[(slice(None), slice(None), *tap)][out])
    np.testing.assert_allclose(reduce_windows(np.add, x, windows, 0), seen.sum(axis=(2, 3)))
    y, columns = random.uniform(-1, 1, (2, 3, *windows.out)), random.uniform(-1, 1, seen.shape)
    np.testing.assert_allclose((spread_windows(y, windows) * x).sum(),
                               (y * seen.sum(axis=(2, 3))).sum())
    back = np.zeros_like(x)
    fold(columns, windows, back)
    np.testing.assert_allclose((back * x).sum(), (columns * seen).sum())


def test_a_padded_buffer_is_used_again():
    windows = GEOMETRIES[0]
    first = padded(np.ones((1, 1, 5, 6)), windows)
    again = padded(np.full((1, 1, 5, 6), 2.), windows, first)
    assert again is first
    np.testing.assert_array_equal(again, padded(np.full((1, 1, 5, 6), 2.), windows))


def test_numbers_that_are_not_allowed_are_refused_by_name():
    for name, value in (('ksize', 0), ('stride', (1, 0)), ('pad', -1), ('dilate', 1.5),
                        ('ksize', (1, 2, 3)), ('ksize', None)):
        options = {'ksize': 2, name: value}
        with pytest.raises(InvalidArgument, match=f'{name} expected as an int'):
            slide('test', (5, 5), **options)
    with pytest.raises(InvalidArgument, match='outsize'):
        fill('test', (2, 2), 2, outsize=(3,))


def test_a_window_larger_than_the_image_is_refused_and_so_is_an_empty_image():
    with pytest.raises(InvalidType, match='larger than the padded input'):
        slide('test', (5, 2), 3)
    with pytest.raises(InvalidType, match='larger than the padded input'):
        slide('test', (0, 2), 1, pad=1)
    with pytest.raises(InvalidType, match='would be empty'):
        fill('test', (1,), 2, pad=1)


@pytest.mark.parametrize('pad', [0, 1])
def test_one_window_that_sees_all_where_ufuncs_do_not_reduce(pad):
    """As CuPy's; of float64 no kernel takes over."""
    x = np.random.RandomState(3).standard_normal((2, 3, 4, 5))
    there = minichain.get_device('sim').send(x)
    size = 4 + 2 * pad, 5 + 2 * pad
    y = F.max_pooling_2d(there, size, pad=pad)
    np.testing.assert_array_equal(y.array.get(), x.max(axis=(2, 3), keepdims=True))
    y = F.average_pooling_2d(there, size, pad=pad)
    np.testing.assert_allclose(
        y.array.get(), x.sum(axis=(2, 3), keepdims=True) / np.prod(size), rtol=1e-12)

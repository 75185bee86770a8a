"""The gradient of max pooling on the CPU against a loop over windows."""
from itertools import product

import numpy as np
import pytest

import minichain.functions as F
from minichain import Variable
from minichain.cpu import threads
from minichain.functions import max_pooling_arrays
from minichain.functions.max_pooling import max_of_windows
from minichain.functions.windows import slide

NAN, INF = np.nan, np.inf


def by_windows(gy, x, windows):
    """Give every gradient to the first largest place of its window, or to the first of a NaN."""
    gx = np.zeros_like(x)
    for n, c, *place in product(*map(range, gy.shape)):
        seen = []
        for tap in product(*map(range, windows.ksize)):
            at = tuple(o * s - p + t * d for o, s, p, t, d in zip(
                place, windows.stride, windows.pad, tap, windows.dilate))
            inside = all(0 <= a < size for a, size in zip(at, windows.size))
            seen.append(((n, c, *at), x[(n, c, *at)]) if inside else None)
        values = [value for _, value in filter(None, seen)]
        if np.isnan(values).any():
            winner = seen[0]
        else:
            winner = next((pair for pair in filter(None, seen) if pair[1] == max(values)), None)
        if winner is not None:
            gx[winner[0]] += gy[(n, c, *place)]
    return gx


def operands(shape, windows, dtype='float32', seed=0):
    """Small whole numbers: many are equal, and sums of their gradients are exact."""
    random = np.random.RandomState(seed)
    x = random.randint(-2, 3, shape).astype(dtype)
    y = max_of_windows(x, windows)
    return random.randint(-9, 10, y.shape).astype(dtype), x, y


GEOMETRIES = {
    'overlap': ((7, 9), 3, 2),
    'apart': ((6, 8), 2, 2),
    'cut off': ((7, 5), 2, 2, 0, True),
    'padded': ((6, 7), 3, 2, 1, True),
    'much padded': ((2, 3), 2, 1, 3),
    'left over': ((8, 9), 3, 3),
    'between windows': ((9, 8), 2, 3, 1),
    'every place': ((5, 6), 3, 1, 1),
    'one place': ((4, 5), 1, 1),
    'uneven': ((8, 9), (3, 2), (1, 4), (0, 1), True),
    'dilated': ((11, 10), 3, 2, (2, 0), True, (2, 3)),
    'dilated as strided': ((9, 9), 2, 3, 1, True, 3),
    'the whole image': ((5, 7), (5, 7), 1),
    'one axis': ((11,), 3, 2, 1),
    'three axes': ((4, 5, 3), (3, 2, 2), (2, 1, 2), (1, 0, 1), True),
}


@pytest.fixture(params=GEOMETRIES)
def windows(request):
    size, *geometry = GEOMETRIES[request.param]
    return slide('test', size, *geometry)


@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64'])
def test_gradients_go_to_the_first_largest_place(windows, dtype):
    gy, x, y = operands((2, 3, *windows.size), windows, dtype)
    gx = max_pooling_arrays.max_gradient(gy, x, y, windows)
    assert gx.dtype == dtype
    np.testing.assert_array_equal(gx, by_windows(gy, x, windows))


def test_nan_and_minus_infinity_and_gradients_that_are_not_finite(windows):
    random = np.random.RandomState(1)
    for special, gradient in ((NAN, 1), (-INF, 1), (NAN, INF), (-INF, NAN)):
        gy, x, _ = operands((2, 3, *windows.size), windows)
        x[random.uniform(size=x.shape) < .4] = special
        gy[random.uniform(size=gy.shape) < .2] = gradient
        gx = max_pooling_arrays.max_gradient(gy, x, max_of_windows(x, windows), windows)
        np.testing.assert_array_equal(gx, by_windows(gy, x, windows))


@pytest.mark.parametrize('bytes_', [1, 3000])
def test_blocks_of_images_and_threads_do_not_matter(windows, bytes_, monkeypatch):
    monkeypatch.setattr(max_pooling_arrays, '_BYTES', bytes_)
    monkeypatch.setattr(max_pooling_arrays, '_COST', threads.LEAST)
    monkeypatch.setattr(threads, 'count', lambda: 2)
    gy, x, y = operands((3, 5, *windows.size), windows)
    for _ in range(2):   # the second time in memory that was used
        gx = max_pooling_arrays.max_gradient(gy, x, y, windows)
        np.testing.assert_array_equal(gx, by_windows(gy, x, windows))


def test_operands_in_any_order_in_memory():
    windows = slide('test', (7, 6), 3, 2)
    x = np.random.RandomState(0).randint(-2, 3, (2, 7, 6, 4)).astype('float32')
    x = x.transpose(0, 3, 1, 2)[:, ::-1]
    y = max_of_windows(x, windows)
    gy = np.broadcast_to(np.float32([[[[3]], [[5]], [[7]], [[9]]]]), y.shape)
    assert not x.flags.c_contiguous and not gy.flags.c_contiguous
    gx = max_pooling_arrays.max_gradient(gy, x, y, windows)
    np.testing.assert_array_equal(gx, by_windows(gy, x, windows))


def test_where_it_is_no_way_gradients_are_the_same():
    windows = slide('test', (8, 8), 7, 1)
    gy, x, y = operands((1, 2, 8, 8), windows, 'float64')   # that oneDNN does not serve
    assert max_pooling_arrays.max_gradient(gy, x, y, windows) is None
    variable = Variable(x)
    pooled = F.max_pooling_2d(variable, 7, 1)
    pooled.grad = gy
    pooled.backward()
    np.testing.assert_array_equal(variable.grad, by_windows(gy, x, windows))


def test_no_images_and_wide_floats_are_left_to_others():
    windows = slide('test', (4, 4), 2, 2)
    assert max_pooling_arrays.max_gradient(*operands((0, 2, 4, 4), windows), windows) is None
    if np.dtype('longdouble').itemsize > 8:
        wide = operands((1, 2, 4, 4), windows, 'longdouble')
        assert max_pooling_arrays.max_gradient(*wide, windows) is None
    empty = Variable(np.zeros((0, 2, 4, 4), np.float32))
    F.sum(F.max_pooling_2d(empty, 2)).backward()
    assert empty.grad.shape == empty.shape


def test_a_recorded_backward_pass_finds_the_same():
    gy, x, _ = operands((2, 2, 7, 7), slide('test', (7, 7), 3, 2), 'float64')
    found = []
    for record in (False, True):
        variable = Variable(x)
        pooled = F.max_pooling_2d(variable, 3, 2)
        pooled.grad = gy
        pooled.backward(enable_double_backprop=record)
        found.append(variable.grad)
    np.testing.assert_array_equal(*found)

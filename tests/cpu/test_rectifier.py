"""The rectifier on large arrays, beside formulas of NumPy."""
import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain.cpu import rectifier


@pytest.fixture(params=[1, 2])
def threads(request, monkeypatch):
    if request.param == 2:
        monkeypatch.setattr(rectifier, 'share', lambda work, items, cost: [
            work(items[::2]), work(items[1::2])])


@pytest.mark.parametrize('size', [
    rectifier._PART, rectifier._PART + 1, 3 * rectifier._PART + 5000])
@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_values_and_gradients(threads, size, dtype):
    source = np.random.default_rng(size)
    x, gy = (source.standard_normal(size).astype(dtype) for _ in range(2))
    x[:4] = 0, -0., np.inf, -np.inf
    assert rectifier.serves(x, gy)
    y = rectifier.rectify(x)
    expected = np.where(x > 0, x, 0)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(rectifier.gradient(gy, y), np.where(x > 0, gy, 0))
    assert rectifier.rectify(x, x) is x
    np.testing.assert_array_equal(x, expected)
    assert y.dtype == rectifier.gradient(gy, y).dtype == dtype


def test_axes_may_lie_in_any_order():
    x = np.random.default_rng(0).standard_normal((4, 50, 60, 32), dtype='float32')
    images = np.moveaxis(x, -1, 1)
    assert rectifier.serves(images)
    y = rectifier.rectify(images)
    np.testing.assert_array_equal(y, np.moveaxis(np.maximum(x, 0), -1, 1))
    assert y.strides == images.strides
    assert not rectifier.serves(images, np.zeros(images.shape, 'float32'))


def test_nan_stays_and_has_no_gradient():
    x = np.ones(2 * rectifier._PART, 'float32')
    x[[1, -1]] = np.nan
    y = rectifier.rectify(x)
    assert list(np.flatnonzero(np.isnan(y))) == [1, x.size - 1]
    assert list(np.flatnonzero(rectifier.gradient(np.ones_like(x), y) == 0)) == [1, x.size - 1]


@pytest.mark.parametrize('arrays', [
    (np.ones(10, 'float32'),), (np.ones(1 << 17, 'float16'),),
    (np.ones((600, 600), 'float32')[:, ::2],),
    (np.ones(1 << 17, 'float32'), np.ones(1 << 17, 'float64')), (np.ones(1 << 17, 'int32'),)])
def test_other_arrays_are_left_to_numpy(arrays):
    assert not rectifier.serves(*arrays)


def test_the_function_takes_it_and_is_the_same_without_it(monkeypatch):
    source, results = np.random.default_rng(0), []
    array = source.standard_normal((3, 50_000), dtype='float32')
    taken = []
    for serves in (rectifier.serves, lambda *arrays: False):
        monkeypatch.setattr(rectifier, 'serves', lambda *arrays, serves=serves: (
            taken.append(serves(*arrays)) or taken[-1]))
        x = minichain.Variable(array)
        y = F.relu(x)
        F.sum(y * y).backward()
        results.append((y.array, x.grad))
    assert taken == [True, True, False, False]
    for a, b in zip(*results):
        np.testing.assert_array_equal(a, b)

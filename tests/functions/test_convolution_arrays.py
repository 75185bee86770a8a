"""The fast ways of convolution against that of columns, which is their specification."""
import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain import Variable, using_config
from minichain.cpu import threads, winograd
from minichain.functions import convolution_arrays as ways
from minichain.functions import depthwise_arrays
from minichain.functions.windows import slide

RANDOM = np.random.RandomState(0)


def real(*shape, dtype='float32'):
    return RANDOM.uniform(-1, 1, shape).astype(dtype)


DEPTHWISE = [   # x, M, ksize, options of slide
    ((2, 5, 7, 6), 1, (3, 3), {'pad': 1}),
    ((2, 3, 8, 9), 1, (3, 3), {'pad': 1, 'stride': 2}),
    ((1, 4, 9, 8), 1, (5, 3), {'pad': (2, 0), 'stride': (1, 2)}),
    ((2, 3, 9, 9), 2, (3, 2), {'pad': (0, 2), 'dilate': (2, 3)}),
    ((1, 3, 9, 9), 1, (2, 2), {'pad': 1, 'stride': 3, 'dilate': 2}),
    ((2, 2, 4, 4), 3, (3, 3), {'pad': 4, 'cover_all': True, 'stride': 2}),
    ((0, 3, 5, 5), 1, (3, 3), {'pad': 1}),
]


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('planes', [1 << 19, 1], ids=['one block', 'a channel each'])
@pytest.mark.parametrize('shape, m, ksize, options', DEPTHWISE)
def test_depthwise_is_that_of_columns(shape, m, ksize, options, planes, dtype, monkeypatch):
    monkeypatch.setattr(depthwise_arrays, '_BYTES', planes)
    n, c = shape[:2]
    x, W, b = real(*shape, dtype=dtype), real(c * m, 1, *ksize, dtype=dtype), real(c * m)
    windows = slide('test', shape[2:], ksize, **options)
    assert depthwise_arrays.fits(x, W.shape, c)
    y = ways.convolve_by_columns(x, W, b.astype(dtype), windows, c)
    tolerance = {'float32': 1e-5, 'float64': 1e-13}[dtype]
    np.testing.assert_allclose(
        ways.convolve(x, W, b.astype(dtype), windows, c), y, atol=tolerance)
    gy = real(*y.shape, dtype=dtype)
    np.testing.assert_allclose(ways.convolve_weight(x, gy, windows, c),
                               ways.convolve_weight_by_columns(x, gy, windows, c),
                               atol=10 * tolerance)
    gx = ways.deconvolve(gy, W, None, windows, c)
    np.testing.assert_allclose(gx, ways.deconvolve_by_columns(gy, W, None, windows, c),
                               atol=tolerance)
    assert gx.dtype == x.dtype == y.dtype


def test_depthwise_takes_operands_that_are_not_contiguous():
    x, W = real(6, 5, 2, 3).transpose(2, 3, 1, 0), real(3, 3, 1, 3).transpose(3, 2, 1, 0)
    windows = slide('test', x.shape[2:], (3, 3), 1, 1)
    np.testing.assert_allclose(ways.convolve(x, W, None, windows, 3),
                               ways.convolve_by_columns(x, W, None, windows, 3), atol=1e-5)


@pytest.mark.parametrize('options', [{'stride': 1, 'pad': 1}, {'stride': 2, 'pad': 0}])
def test_the_transpose_by_columns_adds_the_bias(options):
    windows = slide('test', (5, 5), (3, 3), **options)
    y, W, b = real(2, 4, *windows.out), real(4, 1, 3, 3), real(4)
    bare = ways.deconvolve(y, W, None, windows, 4)
    np.testing.assert_allclose(ways.deconvolve(y, W, b, windows, 4), bare + b[:, None, None],
                               atol=1e-6)


ROWS = [   # x, filters, groups, ksize, options of slide
    ((2, 4, 13, 17), 5, 1, (3, 3), {'pad': 1}),
    ((1, 6, 12, 23), 4, 2, (3, 5), {'pad': (0, 3), 'stride': (1, 2), 'dilate': (2, 1)}),
    ((3, 3, 16, 16), 3, 3, (2, 1), {'pad': (3, 0)}),
    ((1, 2, 40, 6), 4, 1, (5, 2), {'pad': (4, 2), 'dilate': (1, 3)}),
    ((0, 3, 16, 16), 3, 1, (3, 3), {'pad': 1}),
]


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('band', [1 << 23, 1 << 12, 1], ids=['one band', 'some', 'a row each'])
@pytest.mark.parametrize('shape, out_channels, groups, ksize, options', ROWS)
def test_rows_are_multiplied_as_columns_are(shape, out_channels, groups, ksize, options, band,
                                            dtype, monkeypatch):
    monkeypatch.setattr(ways, '_BAND', band)
    x = real(shape[0], *shape[:0:-1], dtype=dtype).swapaxes(1, 3)   # not contiguous
    W = real(out_channels, shape[1] // groups, *ksize, dtype=dtype)
    b, windows = real(out_channels, dtype=dtype), slide('test', shape[2:], ksize, **options)
    tolerance = {'float32': 1e-5, 'float64': 1e-13}[dtype]
    for bias in (b, None):
        y = ways.convolve_by_rows(x, W, bias, windows, groups)
        assert y.dtype == x.dtype
        np.testing.assert_allclose(
            y, ways.convolve_by_columns(x, W, bias, windows, groups), atol=tolerance)
    gy = real(*y.shape[::-1], dtype=dtype).T
    gW = ways.convolve_weight_by_rows(x, gy, windows, groups)
    assert gW.dtype == x.dtype and gW.flags.c_contiguous
    np.testing.assert_allclose(
        gW, ways.convolve_weight_by_columns(x, gy, windows, groups), atol=10 * tolerance)


@pytest.mark.parametrize('pad', [0, 1, 4])
def test_few_channels_go_by_rows_in_both_directions(pad, monkeypatch):
    windows = slide('test', (15, 14), (3, 3), 1, pad)
    x, W, b = real(2, 4, 15, 14), real(3, 4, 3, 3), real(4)
    gy = real(2, 3, *windows.out)
    y = ways.convolve_by_columns(x, W, None, windows, 1)
    gx = ways.deconvolve_by_columns(gy, W, b, windows, 1)
    gW = ways.convolve_weight_by_columns(x, gy, windows, 1)
    for name in ('convolve', 'deconvolve', 'convolve_weight'):
        monkeypatch.setattr(ways, f'{name}_by_columns', forbid)
    np.testing.assert_allclose(ways.convolve_weight(x, gy, windows, 1), gW, atol=1e-4)
    np.testing.assert_allclose(ways.convolve(x, W, None, windows, 1), y, atol=1e-5)
    np.testing.assert_allclose(ways.deconvolve(gy, W, b, windows, 1), gx, atol=1e-5)


def test_half_precision_does_not_go_by_rows(monkeypatch):
    windows = slide('test', (15, 14), (3, 3), 1, 1)
    x, W = real(2, 4, 15, 14, dtype='float16'), real(3, 4, 3, 3, dtype='float16')
    y = ways.convolve_by_columns(x, W, None, windows, 1)
    monkeypatch.setattr(ways, 'convolve_by_rows', forbid)
    np.testing.assert_array_equal(ways.convolve(x, W, None, windows, 1), y)


def forbid(*_):
    raise AssertionError('this way was not to be taken')


@pytest.fixture
def always(monkeypatch):
    """Winograd's way is taken for the smallest of operands."""
    monkeypatch.setattr(winograd, 'pays', lambda *_: True)


def gradients(function, operands):
    """The result, all gradients, and all gradients of their sum of squares."""
    variables = [Variable(x) for x in operands]
    y = function(*variables)
    first = minichain.grad([F.sum(y * y * y)], variables, enable_double_backprop=True)
    second = minichain.grad([sum(F.sum(g * g) for g in first)], variables)
    return [each.array for each in (y, *first, *second)]


@pytest.mark.parametrize('x, W, options', [
    ((2, 4, 6, 7), (3, 4, 3, 3), {'pad': 1}),
    ((1, 4, 8, 7), (6, 2, 5, 5), {'pad': (2, 0), 'groups': 2}),
    ((2, 2, 5, 5), (2, 2, 3, 3), {}),
], ids=str)
def test_winograds_gradients_to_second_order_are_those_of_columns(x, W, options, always):
    operands = real(*x), real(*W), real(W[0])

    def function(x, W, b):
        return F.convolution_2d(x, W, b, **options)

    fast = gradients(function, operands)
    with using_config('winograd', False):
        plain = gradients(function, operands)
    assert any((a != b).any() for a, b in zip(fast, plain)), 'the way was not taken'
    for a, b in zip(fast, plain):
        np.testing.assert_allclose(a, b, atol=1e-4 * abs(b).max())


@pytest.mark.parametrize('x, W, options', [
    ((2, 3, 27, 24), (4, 3, 11, 11), {'stride': 4}),
    ((1, 2, 19, 23), (3, 2, 11, 11), {'stride': 4, 'pad': (2, 5)}),
    ((2, 1, 14, 13), (2, 1, 6, 6), {'stride': 2, 'pad': 1}),
    ((1, 2, 9, 9), (2, 2, 9, 9), {'stride': 2, 'pad': 7, 'cover_all': True}),
], ids=str)
def test_strides_go_by_phases(x, W, options, always, monkeypatch):
    operands = real(*x), real(*W), real(W[0])

    def function(x, W, b):
        return F.convolution_2d(x, W, b, **options)

    with using_config('winograd', False):
        plain = gradients(function, operands)
    fast = gradients(function, operands)
    for a, b in zip(fast, plain):
        np.testing.assert_allclose(a, b, atol=1e-4 * abs(b).max())
    monkeypatch.setattr(winograd, 'convolve', forbid)
    with pytest.raises(AssertionError):
        function(*operands)


@pytest.mark.parametrize('dtype, ksize, options', [
    ('float64', 3, {}), ('float32', 3, {'stride': 2}), ('float32', 3, {'dilate': 2}),
    ('float32', 4, {}), ('float32', (3, 5), {}), ('float32', 1, {})])
def test_other_operands_go_by_columns(dtype, ksize, options, always, monkeypatch):
    monkeypatch.setattr(winograd, 'convolve', forbid)
    kh, kw = ksize if isinstance(ksize, tuple) else (ksize, ksize)
    assert F.convolution_2d(real(2, 4, 9, 9, dtype=dtype), real(4, 4, kh, kw, dtype=dtype),
                            **options).dtype == dtype


def test_the_switch_turns_winograd_off(always, monkeypatch):
    monkeypatch.setattr(winograd, 'convolve', forbid)
    with using_config('winograd', False):
        F.convolution_2d(real(2, 4, 9, 9), real(4, 4, 3, 3))
    with pytest.raises(AssertionError):
        F.convolution_2d(real(2, 4, 9, 9), real(4, 4, 3, 3))


def test_float16_stays_float16(always):
    x, W = real(2, 4, 9, 9, dtype='float16'), real(4, 4, 3, 3, dtype='float16')
    y = F.convolution_2d(x, W).array
    assert y.dtype == np.float16
    np.testing.assert_allclose(y, F.convolution_2d(x.astype(float), W.astype(float)).array,
                               atol=1e-2)


@pytest.mark.parametrize('x, W, options', [
    ((2, 3, 11, 9), (4, 3, 3, 3), {'pad': 1}),
    ((1, 3, 13, 8), (4, 3, 5, 2), {'pad': (2, 1), 'stride': (2, 1)}),
    ((2, 4, 12, 5), (4, 2, 3, 2), {'pad': (4, 0), 'dilate': (3, 1), 'groups': 2}),
    ((1, 2, 9, 4, 3), (3, 2, 2, 2, 2), {'pad': 1}),
    ((2, 2, 9), (3, 2, 3), {'pad': 1}),
    ((2, 3, 9, 7), (4, 3, 1, 1), {'stride': 2}),
    ((2, 3, 9, 7), (4, 3, 1, 1), {}),
], ids=str)
def test_bands_of_an_image_give_what_the_whole_gives(x, W, options, monkeypatch):
    arrays = real(*x, dtype=float), real(*W, dtype=float)

    def function(x, W):
        return F.convolution_nd(x, W, **options)

    whole = gradients(function, arrays)
    for wide, rows, many in ((12, 1, 0), (30, 20, 1 << 30)):
        monkeypatch.setattr(ways, '_WIDE', wide)
        monkeypatch.setattr(ways, '_ROWS', rows)
        monkeypatch.setattr(ways, '_MANY', many)
        monkeypatch.setattr(ways, '_NARROW', 1)
        for a, b in zip(gradients(function, arrays), whole):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize('groups', [1, 2, 4])
@pytest.mark.parametrize('images', [1, 5])
def test_two_threads_give_what_one_gives(groups, images, monkeypatch, always):
    class Library:
        number, internal_api = 2, 'none'

        def get_num_threads(self):
            return self.number

        def set_num_threads(self, number):
            self.number = number

    arrays = real(images, 4, 17, 16), real(4, 4 // groups, 3, 3)

    def function(x, W):
        return F.convolution_2d(F.convolution_2d(x, W, pad=1, groups=groups), W, stride=(1, 2),
                                groups=groups)

    alone = gradients(function, arrays)
    parts, share = [], threads.share
    library = Library()
    monkeypatch.setattr(threads, '_blas', lambda: (library,))
    monkeypatch.setattr(threads, 'processors', lambda: 2)
    monkeypatch.setattr(threads, 'LEAST', 0)
    monkeypatch.setattr(winograd, '_TILES', 4)
    monkeypatch.setattr(depthwise_arrays, '_BYTES', 1)
    for module in (threads, winograd, depthwise_arrays):
        monkeypatch.setattr(module, 'share', lambda *args: parts.append(share(*args)) or parts[-1])
    for a, b in zip(gradients(function, arrays), alone):
        np.testing.assert_allclose(a, b, atol=1e-4 * abs(b).max())
    assert 2 in map(len, parts) and library.number == 2

"""Every function by oneDNN against the plain path: values, gradients, odd geometries."""
import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain import Variable, using_config
from minichain.cpu import onednn, onednn_functions
from minichain.cpu.onednn import Refused
from minichain.functions.windows import slide

pytestmark = pytest.mark.skipif(
    not onednn.installed(), reason="oneDNN is not installed: pip install 'minichain[onednn]'")


def random_array(*shape, seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, shape).astype(np.float32)


def outcome(function, arrays, use):
    """Return the result of a function and the gradients by its operands."""
    with using_config('use_onednn', use):
        variables = [Variable(x) for x in arrays]
        y = function(*variables)
        y.grad = np.empty_like(y.array)   # in the same order
        y.grad[...] = random_array(*y.shape, seed=9)
        y.backward()
    return [y.array, *[x.grad for x in variables]]


def channels_are_last(x):
    return np.moveaxis(x, 1, -1).flags.c_contiguous


def random_images(*shape, seed=0):
    """Images (N, C, *size) whose channels lie side by side."""
    return np.moveaxis(random_array(shape[0], *shape[2:], shape[1], seed=seed), -1, 1)


def compare(function, *arrays, taken=True):
    """Check values and gradients against the plain path, and whether that was left (or None).
    """
    got = outcome(function, arrays, 'auto')
    for one, other in zip(got, outcome(function, arrays, 'never')):
        assert one.shape == other.shape and one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-5 * abs(other).max(initial=1))
    assert taken is None or channels_are_last(got[0]) == taken


GEOMETRIES = {   # shape of x, shape of W, arguments
    '3 x 3': ((2, 16, 9, 11), (24, 16, 3, 3), {'pad': 1}),
    'odd channels': ((3, 5, 7, 6), (7, 5, 3, 2), {'pad': (1, 0)}),
    'one by one': ((2, 32, 6, 5), (16, 32, 1, 1), {}),
    'one by one with steps': ((2, 32, 7, 5), (16, 32, 1, 1), {'stride': 2}),
    'positions left over': ((2, 16, 10, 12), (16, 16, 3, 3), {'stride': (4, 3)}),
    'covering all': ((2, 16, 10, 12), (16, 16, 3, 3), {'stride': (4, 3), 'cover_all': True}),
    'first layer': ((2, 3, 30, 31), (16, 3, 7, 7), {'stride': 2, 'pad': 3}),
    'groups': ((2, 32, 8, 8), (48, 16, 5, 5), {'pad': 2, 'groups': 2}),
    'odd groups': ((2, 9, 8, 8), (6, 3, 3, 3), {'pad': 1, 'groups': 3}),
    'depthwise': ((2, 20, 9, 9), (20, 1, 3, 3), {'pad': 1, 'groups': 20}),
    'depthwise, two each': ((2, 8, 9, 9), (16, 1, 3, 3), {'pad': 1, 'groups': 8}),
    'dilated': ((2, 16, 12, 13), (16, 16, 3, 3), {'pad': 2, 'dilate': (2, 3)}),
    'wide padding': ((1, 16, 5, 5), (16, 16, 3, 3), {'pad': 4}),
}


@pytest.mark.parametrize('name', GEOMETRIES)
def test_convolution_and_its_gradients_are_those_of_the_plain_path(name):
    shape, filters, arguments = GEOMETRIES[name]
    compare(lambda x, W, b: F.convolution_2d(x, W, b, **arguments), random_images(*shape),
            random_array(*filters, seed=1), random_array(filters[0], seed=2))
    compare(lambda x, W: F.convolution_2d(x, W, **arguments), random_images(*shape),
            random_array(*filters, seed=1))


@pytest.mark.parametrize('k, pad', [(1, 0), (3, 1)])
def test_images_in_the_usual_order_take_the_plain_path_where_it_is_faster(k, pad):
    compare(lambda x, W: F.convolution_2d(x, W, pad=pad), random_array(2, 16, 8, 8),
            random_array(16, 16, k, k, seed=1), taken=False)


@pytest.mark.parametrize('ndim', [1, 3])
def test_convolution_over_one_and_three_axes(ndim):
    compare(lambda x, W, b: F.convolution_nd(x, W, b, pad=1),
            random_images(2, 16, *[7, 6, 5][:ndim]), random_array(16, 16, *[3] * ndim, seed=1),
            random_array(16, seed=2))


@pytest.mark.parametrize('arguments', [
    {}, {'stride': 2, 'pad': 1}, {'stride': 2, 'pad': 1, 'outsize': (12, 14)}, {'groups': 2}],
    ids=str)
def test_transposed_convolution_and_its_gradients_are_those_of_the_plain_path(arguments):
    groups = arguments.get('groups', 1)
    compare(lambda x, W, b: F.deconvolution_2d(x, W, b, **arguments), random_images(2, 16, 6, 7),
            random_array(16, 24 // groups, 3, 3, seed=1), random_array(24, seed=2))


@pytest.mark.parametrize('ksize, arguments', [
    (3, {'stride': 2}), (3, {'stride': 2, 'pad': 1}), (2, {}), ((3, 2), {'stride': (1, 2)}),
    (3, {'stride': 2, 'cover_all': False}), (3, {'stride': 1, 'pad': 1})], ids=str)
def test_max_pooling_and_its_gradient_are_those_of_the_plain_path(ksize, arguments):
    compare(lambda x: F.max_pooling_2d(x, ksize, **arguments), random_array(2, 19, 10, 12))


def test_ties_of_max_pooling_go_to_the_first():
    compare(lambda x: F.max_pooling_2d(x, 3, 2, pad=1), np.zeros((2, 16, 8, 8), np.float32))


@pytest.mark.parametrize('value', [np.nan, -np.inf])
def test_maxima_of_nan_and_of_minus_infinity_are_left_to_the_plain_path(value):
    x = random_array(1, 16, 8, 8)
    x[0, 0, :4] = value
    with using_config('use_onednn', 'auto'):
        y = F.max_pooling_2d(x, 2).array
    np.testing.assert_array_equal(y[0, 0, :2], np.full((2, 4), value))


@pytest.mark.parametrize('ksize, stride, pad', [(3, 2, 0), (3, 2, 1), (2, 2, 0), (7, 1, 0)])
def test_average_pooling_and_its_gradient_are_those_of_the_plain_path(ksize, stride, pad):
    compare(lambda x: F.average_pooling_2d(x, ksize, stride, pad), random_array(2, 19, 9, 8))


def test_a_mean_that_leaves_padding_out_is_left_to_the_plain_path():
    compare(lambda x: F.average_pooling_nd(x, 3, 2, 1, pad_value=None),
            random_array(2, 19, 9, 8), taken=False)


@pytest.mark.parametrize('n, k, alpha, beta, taken', [
    (5, 2, .1, .75, True), (5, 1, .02, .75, True), (4, 1, .1, .75, True), (3, 2, .1, .5, False)])
def test_local_response_normalization_is_that_of_the_plain_path(n, k, alpha, beta, taken):
    compare(lambda x: F.local_response_normalization(x, n, k, alpha, beta),
            random_array(2, 32, 7, 6), taken=taken)


def test_gradients_of_second_order_are_those_of_the_plain_path():
    def function(x, W):
        y = F.max_pooling_2d(F.convolution_2d(x, W, pad=1), 2)
        y = F.average_pooling_2d(F.local_response_normalization(y, alpha=.1), 2)
        gx, = minichain.grad([F.sum(y * y)], [x], enable_double_backprop=True)
        return gx * gx
    compare(function, random_images(2, 16, 8, 8), random_array(16, 16, 3, 3, seed=1), taken=None)


@pytest.mark.parametrize('change', [
    lambda x: x.transpose(0, 1, 3, 2), lambda x: x[:, ::2], lambda x: x[:, :, ::-1],
    lambda x: np.broadcast_to(x[:1], x.shape), lambda x: np.moveaxis(
        np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)],
    ids=['transposed', 'every other channel', 'upside down', 'repeated', 'channels last'])
def test_operands_in_any_order_are_taken(change):
    x = change(random_array(2, 32, 8, 8))
    W = random_array(3, 3, x.shape[1], 16, seed=1).transpose(3, 2, 0, 1)
    compare(lambda x, W: F.convolution_2d(x, W, pad=1), x, W)
    compare(lambda x: F.max_pooling_2d(x, 3, 2), x)
    compare(lambda x: F.local_response_normalization(x), x)


@pytest.mark.parametrize('dtype', ['float16', 'float64'])
def test_results_keep_other_dtypes(dtype):
    x, W = random_array(2, 16, 8, 8).astype(dtype), random_array(16, 16, 3, 3).astype(dtype)
    for function, arrays in ((lambda x, W: F.convolution_2d(x, W, pad=1), (x, W)),
                             (lambda x: F.max_pooling_2d(x, 3, 2), (x,)),
                             (lambda x: F.average_pooling_2d(x, 3, 2), (x,)),
                             (F.local_response_normalization, (x,))):
        for one, other in zip(outcome(function, arrays, 'auto'),
                              outcome(function, arrays, 'never')):
            assert one.dtype == other.dtype == dtype
            np.testing.assert_allclose(one.astype(float), other.astype(float), rtol=1e-2,
                                       atol=1e-2)


def test_no_images_give_none():
    y, gx, gW = outcome(F.convolution_2d, (random_array(0, 16, 8, 8), random_array(4, 16, 3, 3)),
                        'auto')
    assert y.shape == (0, 4, 6, 6) and gx.shape == (0, 16, 8, 8) and not gW.any()


def test_the_next_layer_is_given_channels_that_lie_side_by_side():
    x, W = random_images(2, 16, 12, 12), random_array(16, 16, 3, 3, seed=1)
    with using_config('use_onednn', 'auto'):
        h = F.relu(F.convolution_2d(x, W))
        for y in (h, F.max_pooling_2d(h, 2), F.local_response_normalization(h),
                  F.concat([h, h]), F.average_pooling_2d(h, 2)):
            assert channels_are_last(y.array)


def test_windows_that_leave_rows_out_are_refused():
    windows = slide('test', (9, 9), (3, 3))._replace(out=(3, 7))
    with pytest.raises(Refused):
        onednn_functions.convolve(random_images(1, 16, 9, 9), random_array(16, 16, 3, 3), None,
                                  windows, 1)

"""Convolution against loops over its definition, and all its gradients."""
from itertools import product

import numpy as np
import pytest

import minichain
import minichain.functions as F
from minichain import Variable
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


def real(*shape):
    return RANDOM.uniform(-1, 1, shape)


def by_definition(x, W, b=None, stride=1, pad=0, cover_all=False, dilate=1, groups=1):
    """Convolution one product at a time."""
    ndim = x.ndim - 2
    stride, pad, dilate = (v if isinstance(v, tuple) else (v,) * ndim
                           for v in (stride, pad, dilate))
    out = []
    for axis in range(ndim):
        reach = (x.shape[2 + axis] + 2 * pad[axis] - dilate[axis] * (W.shape[2 + axis] - 1) - 1)
        steps = reach / stride[axis]
        out.append(int(np.ceil(steps) if cover_all else np.floor(steps)) + 1)
    y = np.zeros((len(x), len(W), *out), x.dtype)
    wide, tall = W.shape[1], len(W) // groups
    for n, o in product(range(len(x)), range(len(W))):
        for place in product(*map(range, out)):
            for tap in product(*map(range, W.shape[2:])):
                at = [p * s - q + t * d
                      for p, s, q, t, d in zip(place, stride, pad, tap, dilate)]
                if all(0 <= a < size for a, size in zip(at, x.shape[2:])):
                    seen = x[(n, slice(o // tall * wide, (o // tall + 1) * wide), *at)]
                    y[(n, o, *place)] += seen @ W[(o, slice(None), *tap)]
    return y if b is None else y + b.reshape(-1, *[1] * ndim)


@pytest.mark.parametrize('x, W, options', [
    ((2, 2, 4, 3), (2, 2, 3, 2), {}),
    ((1, 2, 5, 4), (2, 2, 3, 2), {'stride': (2, 1), 'pad': (1, 0)}),
    ((2, 2, 3, 2), (3, 2, 1, 1), {}),
    ((1, 2, 3, 4), (2, 2, 1, 1), {'stride': 2, 'pad': 1}),
    ((1, 1, 5, 4), (2, 1, 2, 2), {'dilate': (2, 1)}),
    ((1, 1, 4, 4), (1, 1, 2, 3), {'stride': 3, 'cover_all': True}),
    ((1, 4, 3, 3), (2, 2, 2, 2), {'groups': 2, 'pad': 1}),
    ((2, 2, 3, 3), (4, 1, 2, 2), {'groups': 2}),
    ((1, 1, 2, 2), (1, 1, 2, 2), {'pad': 3}),
    ((2, 2, 4, 4), (0, 2, 3, 3), {'pad': 1}),
    ((2, 0, 4, 4), (2, 0, 3, 3), {'stride': 2}),
    ((0, 2, 4, 4), (2, 2, 3, 3), {}),
    ((1, 2, 4, 4), (0, 1, 3, 3), {'groups': 2}),
    ((1, 0, 3, 3), (2, 0, 2, 2), {'groups': 2}),
], ids=str)
def test_convolution_2d_is_its_definition_with_two_orders_of_gradients(x, W, options):
    b = real(W[0])
    check_function(lambda x, W, b: F.convolution_2d(x, W, b, **options),
                   [real(*x), real(*W), b], lambda *xs: by_definition(*xs, **options))


@pytest.mark.parametrize('convolve, x, W, options', [
    (F.convolution_1d, (2, 2, 6), (2, 2, 3), {'stride': 2, 'pad': 1}),
    (F.convolution_nd, (1, 2, 5), (2, 1, 2), {'groups': 2, 'dilate': 2}),
    (F.convolution_3d, (1, 1, 3, 2, 3), (2, 1, 2, 2, 2), {'pad': (1, 0, 0), 'stride': (2, 1, 1)}),
], ids=['1d', 'nd', '3d'])
def test_any_number_of_axes(convolve, x, W, options):
    check_function(lambda x, W: convolve(x, W, **options), [real(*x), real(*W)],
                   lambda x, W: by_definition(x, W, **options))


def test_third_order_gradients_agree_with_torch():
    torch = pytest.importorskip('torch', reason='torch is the reference here')
    arrays = real(2, 2, 4, 4), real(2, 2, 3, 3)

    def third(square_sum, grad, x, W, convolve):
        g1, = grad(square_sum(convolve(x, W)), x)
        g2, = grad(square_sum(g1), W)
        g3, = grad(square_sum(g2), x)
        return g3

    expected = third(
        lambda y: (y ** 3).sum(), lambda y, x: torch.autograd.grad(y, x, create_graph=True),
        *[torch.tensor(a, requires_grad=True) for a in arrays],
        lambda x, W: torch.conv2d(x, W, stride=2, padding=1))
    actual = third(
        lambda y: F.sum(y ** 3),
        lambda y, x: minichain.grad([y], [x], enable_double_backprop=True),
        *map(Variable, arrays), lambda x, W: F.convolution_2d(x, W, stride=2, pad=1))
    np.testing.assert_allclose(actual.array, expected.detach().numpy(), rtol=1e-9)


@pytest.mark.parametrize('shape, W, options', [
    ((5, 16, 17, 18), (8, 16, 3, 3), {'pad': 1}),             # one image a product
    ((9, 8, 7, 6), (4, 4, 3, 3), {'pad': 1, 'groups': 2}),    # images joined
    ((40, 64, 8, 8), (32, 64, 3, 3), {'stride': 2}),          # joined in several batches
    ((6, 16, 20, 20), (16, 1, 3, 3), {'groups': 16, 'stride': 2, 'pad': 1}),
    ((7, 32, 9, 9), (16, 32, 1, 1), {}),
    ((3, 32, 9, 9), (16, 32, 5, 5), {'pad': 2, 'dilate': 2}),
    ((3, 3, 40, 41), (8, 3, 7, 7), {'pad': 3, 'stride': 2}),
], ids=str)
def test_sizes_of_real_networks_agree_with_torch(shape, W, options):
    torch = pytest.importorskip('torch', reason='torch is the reference here')
    arrays = [real(*shape).astype('float32'), real(*W).astype('float32'),
              real(W[0]).astype('float32')]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected = torch.conv2d(*theirs, options.get('stride', 1), options.get('pad', 0),
                            options.get('dilate', 1), options.get('groups', 1))
    ours = [Variable(a) for a in arrays]
    y = F.convolution_2d(*ours, **options)
    np.testing.assert_allclose(y.array, expected.detach().numpy(), rtol=1e-4, atol=1e-4)
    y.grad = real(*y.shape).astype('float32')
    expected.backward(torch.tensor(y.grad))
    y.backward()
    for mine, wanted in zip(ours, theirs):
        wanted = wanted.grad.numpy()
        np.testing.assert_allclose(mine.grad, wanted, rtol=1e-4,
                                   atol=2e-5 * abs(wanted).max())


def test_float16_is_accumulated_in_float32():
    x, W = np.full((1, 4096, 1, 1), 1, 'float16'), np.full((1, 4096, 1, 1), .25, 'float16')
    x[:, 0] = 2048   # in float16, 2048 + 0.25 is 2048
    assert F.convolution_2d(x, W).item() == 1536   # the nearest to 512 + 4095 / 4 in float16


def test_an_empty_batch_gives_an_empty_result_and_zero_gradients():
    x, W = Variable(np.zeros((0, 2, 4, 4))), Variable(np.ones((3, 2, 3, 3)))
    y = F.convolution_2d(x, W, np.ones(3))
    assert y.shape == (0, 3, 2, 2)
    F.sum(y).backward()
    assert x.grad.shape == x.shape and not W.grad.any()


def test_the_result_has_the_dtype_of_x():
    assert F.convolution_2d(np.ones((1, 1, 2, 2), 'float32'), np.ones((1, 1, 1, 1))).dtype == 'f'


def test_a_window_larger_than_the_padded_input_is_refused_with_the_formula():
    with pytest.raises(InvalidType, match=r'convolution_2d: the window is larger than the padded '
                       r'input.*\(2, 2\).*ksize \(5, 3\).*pad \(1, 0\).*out.*// stride \+ 1'):
        F.convolution_2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 5, 3)), pad=(1, 0))


@pytest.mark.parametrize('x, W, b, options, text', [
    ((1, 2, 4, 4), (2, 3, 2, 2), None, {}, r'W.shape\[1\] \* groups == x.shape\[1\].*\(2, 3, 2'),
    ((1, 3, 4, 4), (2, 1, 2, 2), None, {'groups': 2}, 'groups=2'),
    ((1, 4, 4, 4), (3, 2, 2, 2), None, {'groups': 2}, r'W.shape\[0\] divisible by groups'),
    ((1, 2, 4, 4), (2, 2, 2, 2), (3,), {}, r'b.shape \(2\) expected, got \(3,\)'),
    ((2, 4, 4), (2, 2, 2, 2), None, {}, 'x with 4 axes'),
    ((1, 2, 4, 4), (2, 2, 2), None, {}, 'W with 4 axes'),
])
def test_shapes_that_do_not_fit_are_refused(x, W, b, options, text):
    with pytest.raises(InvalidType, match=text):
        F.convolution_2d(np.ones(x), np.ones(W), b and np.ones(b), **options)


@pytest.mark.parametrize('options', [
    {'stride': 0}, {'pad': -1}, {'dilate': 0}, {'groups': 0}, {'stride': (1, 2, 3)}, {'pad': .5},
    {'groups': 1.}], ids=str)
def test_numbers_that_are_not_allowed_are_refused_by_name(options):
    with pytest.raises(InvalidArgument, match=next(iter(options))):
        F.convolution_2d(np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2)), **options)


def test_integers_are_refused():
    with pytest.raises(InvalidType, match='x of a floating dtype'):
        F.convolution_2d(np.ones((1, 1, 4, 4), int), np.ones((1, 1, 2, 2)))


def test_dilated_convolution_has_its_arguments_in_another_order():
    x, W = real(1, 1, 6, 6), real(1, 1, 2, 2)
    y = F.dilated_convolution_2d(x, W, None, 2, 1, 3, True)
    np.testing.assert_allclose(y.array, by_definition(x, W, None, 2, 1, True, 3))

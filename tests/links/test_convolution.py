import numpy as np
import pytest

import minichain.links as L
from minichain.errors import InvalidArgument
from tests.links.check import check_link

RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.randn(2, 4, 5, 6)


def sliding_sum(x, W, b, stride=(1, 1), pad=(0, 0), dilate=(1, 1), groups=1):
    """The definition of a convolution, by loops."""
    (n, c), (o, _, *ksize) = x.shape[:2], W.shape
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in pad)])
    out = [(x.shape[2 + i] - d * (k - 1) - 1) // s + 1
           for i, (k, s, d) in enumerate(zip(ksize, stride, dilate))]
    y = np.zeros((n, o, *out))
    for row in range(n):
        for channel in range(o):
            group = channel * groups // o
            part = x[row, group * c // groups:(group + 1) * c // groups]
            for position in np.ndindex(*out):
                seen = part[(slice(None), *(slice(p * s, p * s + d * (k - 1) + 1, d)
                                            for p, s, d, k in zip(position, stride, dilate,
                                                                  ksize)))]
                y[(row, channel, *position)] = (seen * W[channel]).sum()
    return y + b.reshape(-1, *[1] * len(out))


def reference(link, x):
    b = np.zeros(link.W.shape[0]) if link.b is None else link.b.array
    return sliding_sum(x, link.W.array, b, link.stride, link.pad, link.dilate, link.groups)


@pytest.mark.parametrize('options', [
    {}, {'stride': 2, 'pad': 1}, {'stride': (2, 1), 'pad': (0, 2)}, {'nobias': True},
    {'dilate': 2}, {'groups': 2}])
def test_images_are_convolved(options):
    link = check_link(lambda: L.Convolution2D(4, 6, 3, **options), [IMAGES], reference)
    lazy = check_link(lambda: L.Convolution2D(None, 6, 3, **options), [IMAGES], reference)
    assert link.W.shape == lazy.W.shape == (6, 4 // link.groups, 3, 3)


def test_channels_may_be_left_out():
    link = check_link(lambda: L.Convolution2D(6, (3, 2)), [IMAGES], reference)
    assert link.W.shape == (6, 4, 3, 2)
    assert repr(link) == ('Convolution2D(in_channels=None, out_channels=6, ksize=(3, 2), '
                          'stride=(1, 1), pad=(0, 0), nobias=False, dilate=(1, 1), groups=1)')


def test_other_numbers_of_axes_are_convolved():
    for link, x in ((lambda: L.Convolution1D(4, 2, 3, pad=1, dilate=2), RANDOM.randn(2, 4, 6)),
                    (lambda: L.ConvolutionND(1, None, 2, 3, 2), RANDOM.randn(2, 4, 6)),
                    (lambda: L.Convolution3D(4, 2, 2, groups=2), RANDOM.randn(1, 4, 3, 2, 4))):
        check_link(link, [x], reference)


def test_the_dilated_convolution_has_its_own_order_of_arguments():
    link = check_link(lambda: L.DilatedConvolution2D(4, 2, 2, 1, 1, 2), [IMAGES], reference)
    assert (link.pad, link.dilate) == ((1, 1), (2, 2))


@pytest.mark.parametrize('kind, axes', [(L.Convolution2D, 2), (L.ConvolutionND, 3)])
def test_a_layer_is_made_of_given_filters(kind, axes):
    W, b = RANDOM.randn(3, 4, *[2] * axes).astype('f'), RANDOM.randn(3).astype('f')
    link = kind.from_params(W, b, stride=2, groups=3)
    np.testing.assert_array_equal(link.W.array, W)
    np.testing.assert_array_equal(link.b.array, b)
    assert link.stride == (2,) * axes and link.W.array is not W
    assert not kind.from_params(W).b.array.any() and kind.from_params(W, nobias=True).b is None


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(InvalidArgument, match=r'groups .* 2 for 4 -> 5'):
        L.Convolution2D(4, 5, 3, groups=2)
    with pytest.raises(InvalidArgument, match=r'groups .* 3 for 4 -> 6'):
        L.Convolution2D(None, 6, 3, groups=3)(IMAGES.astype('f'))
    with pytest.raises(InvalidArgument, match='ksize'):
        L.Convolution2D(4, 5, 2.5)


def test_the_transpose_is_the_adjoint():
    """<conv(x), y> = <x, deconv(y)> with the same filters, of every number of axes."""
    for ndim, build, options in (
            (1, L.Deconvolution1D, {'stride': 2}), (2, L.Deconvolution2D, {'groups': 2}),
            (2, L.Deconvolution2D, {'stride': 2, 'pad': 1, 'dilate': 2}),
            (3, L.Deconvolution3D, {'pad': 1})):
        y = RANDOM.randn(2, 4, *[4] * ndim)

        def adjoint(link, y, ndim=ndim, options=options):
            shape = link(y).shape
            x, W = np.zeros(shape), link.W.array
            geometry = {key: (value,) * ndim if key != 'groups' else value
                        for key, value in {'stride': 1, 'pad': 0, 'dilate': 1, **options}.items()}
            for index in np.ndindex(*shape[1:]):
                unit = np.zeros((1, *shape[1:]))
                unit[(0, *index)] = 1
                seen = sliding_sum(unit, W, np.zeros(4), **geometry)
                x[(slice(None), *index)] = (seen * y).reshape(len(y), -1).sum(axis=1)
            return x + link.b.array.reshape(-1, *[1] * ndim)
        check_link(lambda build=build, options=options: build(4, 2, 2, **options), [y], adjoint)
        check_link(lambda build=build, options=options: build(None, 2, 2, **options), [y],
                   adjoint)


def test_the_size_of_the_result_can_be_given():
    x = np.ones((1, 2, 3, 3), 'f')
    assert L.Deconvolution2D(2, 2, 3, stride=2, outsize=(8, 8))(x).shape == (1, 2, 8, 8)
    assert L.DeconvolutionND(2, 3, 2, stride=2)(x).shape == (1, 3, 6, 6)

"""Links of one formula: Linear, EmbedID, Bias, Scale, PReLU, Swish, Highway, Maxout, ..."""
import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from minichain.errors import InvalidArgument, InvalidType
from tests.links.check import check_link

RANDOM = np.random.RandomState(0)
X = RANDOM.randn(4, 3)
IMAGES = RANDOM.randn(2, 3, 4, 4)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def affine(link, x):
    return x @ link.W.array.T + (0 if link.b is None else link.b.array)


def test_linear():
    for build in (lambda: L.Linear(3, 2), lambda: L.Linear(2), lambda: L.Linear(3, 2, True)):
        check_link(build, [X], affine)
    check_link(lambda: L.Linear(None, 2), [IMAGES],
               lambda link, x: affine(link, x.reshape(2, 48)))
    assert L.Linear(3, 2)(IMAGES.astype('f')[..., :3], n_batch_axes=3).shape == (2, 3, 4, 2)
    link = L.Linear(2, 2, initialW=[[1, 2], [3, 4]] * np.ones(1, 'f'), initial_bias=5)
    assert link.W.array.tolist() == [[1, 2], [3, 4]] and link.b.array.tolist() == [5, 5]


def test_links_are_made_of_given_values():
    W, b = RANDOM.randn(2, 3).astype('f'), RANDOM.randn(2).astype('f')
    link = L.Linear.from_params(W, b)
    np.testing.assert_array_equal(link.W.array, W)
    np.testing.assert_array_equal(link.b.array, b)
    assert not L.Linear.from_params(W).b.array.any()
    assert L.Linear.from_params(W, nobias=True).b is None
    link = L.EmbedID.from_params(W, ignore_label=-1)
    np.testing.assert_array_equal(link(np.array([1, -1])).array, [W[1], [0, 0, 0]])


def test_embed_id():
    check_link(lambda: L.EmbedID(5, 3), [np.array([[1, 4], [0, 1]], 'i')],
               lambda link, x: link.W.array[x])
    check_link(lambda: L.EmbedID(5, 3, ignore_label=-1), [np.array([1, -1], 'i')],
               lambda link, x: np.stack([link.W.array[1], np.zeros(3)]))


def test_bias_and_scale():
    check_link(lambda: L.Bias(1, (3,)), [IMAGES],
               lambda link, x: x + link.b.array[:, None, None])
    check_link(lambda: L.Scale(1, (3, 4)), [IMAGES],
               lambda link, x: x * link.W.array[:, :, None])
    check_link(lambda: L.Scale(0, (2,), bias_term=True), [IMAGES], lambda link, x:
               x * link.W.array.reshape(2, 1, 1, 1) + link.bias.b.array.reshape(2, 1, 1, 1))
    factors = RANDOM.randn(3)
    check_link(L.Bias, [X, factors], lambda link, x, b: x + b)
    check_link(L.Scale, [X, factors], lambda link, x, W: x * W)
    check_link(lambda: L.Scale(bias_term=True, bias_shape=(3,)), [X, factors],
               lambda link, x, W: x * W + link.bias.b.array)


def test_bias_and_scale_refuse_missing_and_superfluous_operands():
    with pytest.raises(InvalidArgument, match='bias_shape'):
        L.Scale(bias_term=True)
    for link, xs in ((L.Bias(), [X]), (L.Bias(1, (3,)), [X, X]), (L.Scale(), [X])):
        with pytest.raises(InvalidType, match='arguments expected'):
            link(*xs)


def test_activations_with_parameters():
    for shape in ((), (3,)):
        check_link(lambda shape=shape: L.PReLU(shape), [X],
                   lambda link, x: np.maximum(x, 0) + link.W.array * np.minimum(x, 0))
    for shape in ((3,), None):
        check_link(lambda shape=shape: L.Swish(shape), [X],
                   lambda link, x: x * sigmoid(link.beta.array * x))
    assert L.PReLU().W.array == .25 and L.Swish((2,)).beta.array.tolist() == [1, 1]


def test_parameter():
    check_link(lambda: L.Parameter(np.zeros((2, 3))), [], lambda link: link.W.array)


@pytest.mark.parametrize('nobias', [False, True])
def test_bilinear(nobias):
    def reference(link, e1, e2):
        y = np.einsum('nj,nk,jkl->nl', e1, e2, link.W.array)
        return y if nobias else y + e1 @ link.V1.array + e2 @ link.V2.array + link.b.array
    check_link(lambda: L.Bilinear(3, 2, 5, nobias), [X, RANDOM.randn(4, 2)], reference)


def test_bilinear_biases_start_from_their_initializers():
    link = L.Bilinear(3, 2, 5, initialW=4, initial_bias=(1, 2, 3))
    for parameter, value in ((link.W, 4), (link.V1, 1), (link.V2, 2), (link.b, 3)):
        assert (parameter.array == value).all()
    with pytest.raises(InvalidArgument, match='initial_bias'):
        L.Bilinear(3, 2, 5, initial_bias=1)


def test_highway():
    def reference(link, x):
        t = sigmoid(affine(link.transform, x))
        return np.tanh(affine(link.plain, x)) * t + x * (1 - t)
    check_link(lambda: L.Highway(3, activate=F.tanh), [X], reference)
    check_link(lambda: L.Highway(3, True, F.tanh), [X], reference)
    assert (L.Highway(3).transform.b.array == -1).all()


def test_maxout():
    def reference(link, x):
        return affine(link.linear, x).reshape(4, 2, 5).max(axis=2)
    for build in (lambda: L.Maxout(3, 2, 5), lambda: L.Maxout(None, 2, 5),
                  lambda: L.Maxout(3, 2, 5, initial_bias=None)):
        check_link(build, [X], reference)
    W = RANDOM.randn(2, 5, 3).astype('f')
    np.testing.assert_array_equal(L.Maxout(3, 2, 5, W).linear.W.array[6], W[1, 1])
    with pytest.raises(InvalidArgument, match='initialW with 3 axes'):
        L.Maxout(3, 2, 5, W[0])


def convolve(link, x, pad=0):
    """Sum over taps of shifted images."""
    W, (kh, kw) = link.W.array, link.W.shape[2:]
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    h, w = x.shape[2] - kh + 1, x.shape[3] - kw + 1
    y = sum(np.einsum('nchw,oc->nohw', x[:, :, i:i + h, j:j + w], W[:, :, i, j])
            for i in range(kh) for j in range(kw))
    return y + (0 if link.b is None else link.b.array[:, None, None])


def pool(x, reduce):
    padded = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)],
                    constant_values=-np.inf if reduce is np.max else 0)
    h, w = x.shape[2:]
    return reduce([padded[:, :, i:i + h, j:j + w] for i in range(3) for j in range(3)], axis=0)


def relu(x):
    return np.maximum(x, 0)


def test_depthwise_convolution():
    def reference(link, x):
        M, C, kh, kw = link.W.shape
        y = np.zeros((2, C, M, 5 - kh, 5 - kw))
        for i in range(kh):
            for j in range(kw):
                seen = x[:, :, None, i:i + 5 - kh, j:j + 5 - kw]
                y += seen * link.W.array[:, :, i, j].T[:, :, None, None]
        bias = 0 if link.b is None else link.b.array[:, None, None]
        return y.reshape(2, C * M, 5 - kh, 5 - kw) + bias
    for build in (lambda: L.DepthwiseConvolution2D(3, 2, 3),
                  lambda: L.DepthwiseConvolution2D(None, 2, (2, 3)),
                  lambda: L.DepthwiseConvolution2D(3, 1, 2, nobias=True)):
        check_link(build, [IMAGES], reference)


def test_mlp_convolution():
    def reference(link, x):
        return convolve(link[2], np.tanh(convolve(link[1], np.tanh(convolve(link[0], x)))))
    for build in (lambda: L.MLPConvolution2D(3, (2, 4, 5), 3, activation=F.tanh),
                  lambda: L.MLPConvolution2D((2, 4, 5), 3, activation=F.tanh)):
        link = check_link(build, [IMAGES], reference)
        assert [each.W.shape for each in link] == [(2, 3, 3, 3), (4, 2, 1, 1), (5, 4, 1, 1)]


def test_inception():
    def reference(link, x):
        return relu(np.concatenate((
            convolve(link.conv1, x), convolve(link.conv3, relu(convolve(link.proj3, x)), 1),
            convolve(link.conv5, relu(convolve(link.proj5, x)), 2),
            convolve(link.projp, pool(x, np.max))), axis=1))
    check_link(lambda: L.Inception(3, 1, 2, 3, 2, 1, 2), [IMAGES], reference)
    check_link(lambda: L.Inception(None, 1, 2, 3, 2, 1, 2), [IMAGES], reference)


def normalize(link, x):
    mean, var = x.mean(axis=(0, 2, 3), keepdims=True), x.var(axis=(0, 2, 3), keepdims=True)
    y = (x - mean) / np.sqrt(var + 2e-5)
    return y * link.gamma.array[:, None, None] + link.beta.array[:, None, None]


@pytest.mark.parametrize('pooltype, reduce', [('avg', np.mean), ('max', np.max)])
def test_inception_with_batch_normalization(pooltype, reduce):
    def reference(link, x):
        def layers(x, *names):
            for name in names:
                y = convolve(link[name], x, link[name].W.shape[2] // 2)
                x = relu(normalize(link[name + 'n'], y))
            return x
        return np.concatenate((
            layers(x, 'conv1'), layers(x, 'proj3', 'conv3'),
            layers(x, 'proj33', 'conv33a', 'conv33b'), layers(pool(x, reduce), 'poolp')), axis=1)
    check_link(lambda: L.InceptionBN(3, 2, 2, 1, 2, 1, pooltype, 2), [IMAGES], reference)


def test_inception_that_shrinks_has_no_convolution_of_single_pixels():
    link = L.InceptionBN(3, 0, 2, 1, 2, 1, 'max', stride=2)
    assert link(IMAGES.astype('f')).shape == (2, 1 + 1 + 3, 2, 2)
    for arguments in ((3, 2, 2, 1, 2, 1, 'max', 2, 2), (3, 2, 2, 1, 2, 1, 'max'),
                      (3, 0, 2, 1, 2, 1, 'median')):
        with pytest.raises(InvalidArgument):
            L.InceptionBN(*arguments)

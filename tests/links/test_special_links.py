"""Local and deformable convolution, dropped weights, whitening, and sampled losses."""
import numpy as np
import pytest

import minichain
import minichain.links as L
from minichain.errors import InvalidArgument
from tests.links.check import check_link

RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.randn(2, 2, 4, 5)


def local(link, x):
    O, OH, OW, C, kh, kw = link.W.shape
    sy, sx = link.stride
    y = np.zeros((len(x), O, OH, OW))
    for i in range(OH):
        for j in range(OW):
            seen = x[:, :, i * sy:i * sy + kh, j * sx:j * sx + kw]
            y[:, :, i, j] = np.einsum('nchw,ochw->no', seen, link.W.array[:, i, j])
    return y + (0 if link.b is None else link.b.array)


def test_positions_have_filters_of_their_own():
    for build in (lambda: L.LocalConvolution2D(2, 3, (4, 5), 2),
                  lambda: L.LocalConvolution2D(None, 3, ksize=(2, 3), stride=(2, 1)),
                  lambda: L.LocalConvolution2D(2, 3, None, 3, nobias=True)):
        check_link(build, [IMAGES], local)
    with pytest.raises(InvalidArgument, match='ksize'):
        L.LocalConvolution2D(2, 3, (4, 4))


def test_taps_are_moved_by_what_the_image_shows():
    """Offsets of whole pixels, from biases alone, are a shift of the image."""
    with minichain.using_config('dtype', np.float64):
        link = L.DeformableConvolution2D(2, 3, 1, offset_initialW=0, deform_initialW=.5,
                                         offset_initial_bias=np.array([1., 2.]))
    y = link(IMAGES)
    expected = np.zeros((2, 3, 4, 5))
    expected[:, :, :2, :4] = .5 * IMAGES[:, :, 2:, 1:].sum(axis=1)[:, None]
    np.testing.assert_allclose(y.array, expected, atol=1e-12)


def test_deformable_filters_are_links_like_others():
    for build in (lambda: L.DeformableConvolution2D(2, 3, 2, pad=1),
                  lambda: L.DeformableConvolution2D(None, 3, (2, 1), stride=2,
                                                    offset_nobias=True, deform_nobias=True)):
        link = check_link(build, [IMAGES])
        assert link.deform_conv.W.shape[:2] == (3, 2)
    assert not L.DeformableConvolution2D(2, 3, 2).deform_conv.W.array.any()


def test_weights_are_dropped_while_training():
    x = RANDOM.randn(3, 4)

    def affine(link, x):
        return x @ link.W.array.T + (0 if link.b is None else link.b.array)
    with minichain.using_config('train', False):
        check_link(lambda: L.SimplifiedDropconnect(4, 2), [x], affine)
        check_link(lambda: L.SimplifiedDropconnect(None, 2, nobias=True), [x], affine)
    link = L.SimplifiedDropconnect(4, 2, ratio=.75)
    mask = RANDOM.rand(3, 2, 4) < .5
    y = link(x.astype('f'), mask=mask).array
    np.testing.assert_allclose(y, np.einsum('ni,noi->no', x, mask * link.W.array) * 4, rtol=1e-5)
    np.random.seed(0)
    dropped = link(x.astype('f')).array
    assert not np.allclose(dropped, affine(link, x), atol=.1)
    np.testing.assert_allclose(link(x.astype('f'), train=False).array, affine(link, x), rtol=1e-5)


def whitened(link, x):
    y = np.zeros_like(x)
    for first in range(0, x.shape[1], 2):
        part = x[:, first:first + 2] - x[:, first:first + 2].mean(axis=0)
        values, vectors = np.linalg.eigh(part.T @ part / len(x) + 2e-5 * np.eye(2))
        y[:, first:first + 2] = part @ (vectors / np.sqrt(values)) @ vectors.T
    return y


def test_features_become_uncorrelated():
    x = RANDOM.randn(6, 4)
    link = check_link(lambda: L.DecorrelatedBatchNormalization(4, 2, dtype=np.float64), [x],
                      whitened, rtol=1e-5)
    link.start_finetuning()
    for batch in (x, 2 * x):
        link(batch, finetune=True)
    assert link.N == 2
    np.testing.assert_allclose(link.avg_mean, 1.5 * x.mean(axis=0).reshape(2, 2))
    with minichain.using_config('train', False):
        y = link(x).array[:, :2]
    np.testing.assert_allclose(y, (x[:, :2] - link.avg_mean[0]) @ link.avg_projection[0].T)
    with pytest.raises(InvalidArgument, match='groups'):
        L.DecorrelatedBatchNormalization(4, 3)


def test_black_out_compares_the_label_with_samples():
    def reference(link, x, t):
        losses = []
        for row, label, samples in zip(x, t, link.sample_data):
            scores = np.exp(link.W.array[[label, *samples]] @ row)
            p = scores / scores.sum()
            losses.append(-np.log(p[0]) - np.log(1 - p[1:]).sum())
        return np.mean(losses)

    def build():
        link = L.BlackOut(3, [1, 2, 3, 4], 2)
        link.sample_data = np.array([[1, 2], [0, 3]])
        return link
    with minichain.using_config('dtype', np.float64):
        link = build()
        link.W.array[...] = RANDOM.randn(4, 3)
    x, t = RANDOM.randn(2, 3), np.array([0, 2], 'i')
    np.testing.assert_allclose(link(x, t).array, reference(link, x, t))


def test_samples_follow_the_counts():
    link = L.BlackOut(3, [1, 0, 3], 2)
    np.random.seed(0)
    samples = link.sampler.sample((100, 100))
    np.testing.assert_allclose(np.bincount(samples.ravel()) / 1e4, [.25, 0, .75], atol=.02)
    assert samples.dtype == np.int32
    link.W.array[...] = 1
    assert np.isfinite(link(np.ones((2, 3), 'f'), np.array([0, 2], 'i')).array)
    with pytest.raises(InvalidArgument, match='counts'):
        L.BlackOut(3, [0, 0], 2)

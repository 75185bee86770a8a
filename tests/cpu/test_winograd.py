"""Winograd's convolution against the definition, in float64."""
import numpy as np
import pytest

from minichain.cpu import winograd

RANDOM = np.random.RandomState(0)


def real(*shape):
    return RANDOM.uniform(-1, 1, shape).astype('float32')


def seen(x, k, pad, out):
    """What windows see, (N, C, *out, k, k), float64."""
    after = [max(0, n + k - 1 - p - size) for n, p, size in zip(out, pad, x.shape[2:])]
    x = np.pad(x.astype(float), [(0, 0), (0, 0), *zip(pad, after)])
    return np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))[:, :, :out[0], :out[1]]


def by_definition(x, W, b, pad, out, groups):
    windows = seen(x, W.shape[2], pad, out)
    parts = zip(np.split(windows, groups, 1), np.split(W.astype(float), groups))
    y = np.concatenate([np.einsum('nchwij,ocij->nohw', *pair) for pair in parts], 1)
    return y if b is None else y + b[:, None, None]


CASES = [   # N, C, H, W, O, k, pad, groups
    (2, 4, 8, 8, 6, 3, (1, 1), 1),
    (3, 2, 9, 5, 4, 3, (0, 0), 1),
    (1, 4, 7, 10, 6, 3, (2, 1), 2),
    (2, 3, 6, 11, 2, 5, (2, 2), 1),
    (2, 4, 5, 5, 4, 5, (0, 4), 2),
    (1, 1, 1, 2, 1, 3, (3, 3), 1),
    (0, 2, 5, 5, 3, 3, (1, 1), 1),
]


@pytest.mark.parametrize('tiles', [128, 3], ids=['one block', 'many blocks'])
@pytest.mark.parametrize('n, c, height, width, o, k, pad, groups', CASES)
def test_results_and_gradients_of_filters_are_those_of_the_definition(
        n, c, height, width, o, k, pad, groups, tiles, monkeypatch):
    monkeypatch.setattr(winograd, '_TILES', tiles)
    x, W, b = real(n, c, height, width), real(o, c // groups, k, k), real(o)
    out = height + 2 * pad[0] - k + 1, width + 2 * pad[1] - k + 1
    y = winograd.convolve(x, W, b, pad, out, groups)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, by_definition(x, W, b, pad, out, groups), atol=5e-5)
    gy = real(*y.shape)
    pairs = zip(np.split(seen(x, k, pad, out), groups, 1), np.split(gy.astype(float), groups, 1))
    gW = np.concatenate([np.einsum('nchwij,nohw->ocij', *pair) for pair in pairs])
    np.testing.assert_allclose(winograd.convolve_weight(x, gy, k, pad, groups), gW, atol=5e-4)


def test_operands_need_not_be_contiguous_and_the_bias_may_be_absent():
    x, W = real(5, 6, 2, 4).transpose(2, 3, 0, 1), real(3, 3, 4, 6)[:, :, :, ::2].transpose(
        3, 2, 0, 1)
    y = winograd.convolve(x, W, None, (1, 1), (5, 6))
    np.testing.assert_allclose(y, by_definition(x, W, None, (1, 1), (5, 6), 1), atol=5e-5)


def test_more_zeros_may_follow_the_image_than_go_before_it():
    x, W = real(1, 2, 5, 5), real(2, 2, 3, 3)
    y = winograd.convolve(x, W, None, (0, 0), (5, 6))
    np.testing.assert_allclose(y, by_definition(x, W, None, (0, 0), (5, 6), 1), atol=5e-5)


@pytest.mark.parametrize('size', [64, 256])
def test_the_error_of_a_wide_layer_is_a_small_part_of_its_largest_result(size):
    x, W = real(2, size, 13, 13), real(size, size, 3, 3)
    y = by_definition(x, W, None, (1, 1), (13, 13), 1)
    error = abs(winograd.convolve(x, W, None, (1, 1), (13, 13)) - y).max()
    assert 0 < error < 3e-5 * abs(y).max()


@pytest.mark.parametrize('k', [3, 5])
def test_the_transforms_make_the_definition_of_one_tile(k):
    A, G, B = winograd.transforms(k, np.float64)
    x, w = RANDOM.randn(6, 6), RANDOM.randn(k, k)
    y = (A @ ((G @ w.ravel()) * (B @ x.ravel()))).reshape(7 - k, 7 - k)
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k))
    np.testing.assert_allclose(y, (windows * w).sum(axis=(2, 3)), atol=1e-12)


def test_it_pays_for_wide_layers_on_large_images_and_not_for_few_channels_or_positions():
    assert winograd.pays(16, 64, 64, 3, (56, 56)) and winograd.pays(16, 48, 128, 5, (27, 27))
    assert winograd.pays(1, 64, 64, 3, (56, 56))
    assert not winograd.pays(16, 3, 64, 3, (224, 224))
    assert not winograd.pays(1, 512, 512, 3, (7, 7))
    assert not winograd.pays(0, 64, 64, 3, (56, 56))

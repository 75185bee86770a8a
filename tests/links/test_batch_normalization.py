import io

import numpy as np
import pytest

import minichain
import minichain.links as L
from minichain import serializers
from minichain.errors import InvalidArgument
from tests.links.check import check_link

RANDOM = np.random.RandomState(0)
X = RANDOM.randn(4, 3, 2)
KINDS = [L.BatchNormalization, lambda size, **options: L.BatchRenormalization(
    size, rmax=1, dmax=0, **options)]


def normalized(link, x, axes=(0, 2), eps=2e-5):
    mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(var + eps), mean.squeeze(axes), var.squeeze(axes)


def scaled(link, y, shape):
    gamma = 1 if link.gamma is None else link.gamma.array.reshape(shape)
    return gamma * y + (0 if link.beta is None else link.beta.array.reshape(shape))


@pytest.mark.parametrize('options', [{}, {'use_gamma': False}, {'use_beta': False},
                                     {'use_gamma': False, 'use_beta': False}, {'eps': .5}])
def test_features_are_normalized(options):
    check_link(lambda: L.BatchNormalization(3, **options), [X], lambda link, x: scaled(
        link, normalized(link, x, eps=link.eps)[0], (3, 1)))


def test_the_axes_may_be_given_and_the_size_left_to_the_data():
    link = check_link(lambda: L.BatchNormalization(axis=(0, 1)), [X], lambda link, x: scaled(
        link, normalized(link, x, (0, 1))[0], (2,)))
    assert link.gamma.shape == (2,)
    link = check_link(lambda: L.BatchNormalization((3, 2)), [X], lambda link, x: scaled(
        link, normalized(link, x, (0,))[0], (3, 2)))
    assert link.avg_var.shape == (3, 2)
    with pytest.raises(InvalidArgument, match='size'):
        L.BatchNormalization()


@pytest.mark.parametrize('kind', KINDS)
def test_averages_follow_the_batches_and_serve_in_tests(kind):
    with minichain.using_config('dtype', np.float64):
        link = kind(3, decay=.75)
    _, mean, var = normalized(link, X)
    var = var * 8 / 7   # of the population
    link(X)
    np.testing.assert_allclose(link.avg_mean, .25 * mean)
    np.testing.assert_allclose(link.avg_var, .75 + .25 * var)
    with minichain.using_config('train', False):
        y = link(X).array
    expected = (X - .25 * mean[:, None]) / np.sqrt(.75 + .25 * var + 2e-5)[:, None]
    np.testing.assert_allclose(y, expected)
    np.testing.assert_allclose(link.avg_mean, .25 * mean)


@pytest.mark.parametrize('kind', KINDS)
def test_fine_tuning_weighs_all_batches_alike(kind):
    with minichain.using_config('dtype', np.float64):
        link = kind(3)
    batches = [X, X + 1, 3 * X]
    link(X - 5)
    for _ in range(2):
        link.start_finetuning()
        for x in batches:
            link(x, finetune=True)
        assert link.N == 3
        np.testing.assert_allclose(link.avg_mean, np.mean(
            [normalized(link, x)[1] for x in batches], axis=0))


def test_averages_are_saved_and_loaded_into_a_link_of_unknown_size():
    link = L.BatchNormalization(3, initial_avg_mean=2, initial_avg_var=3)
    link(X.astype('f'), finetune=True)
    file = io.BytesIO()
    serializers.save_npz(file, link)
    file.seek(0)
    loaded = L.BatchNormalization(axis=(0, 2))
    serializers.load_npz(file, loaded)
    np.testing.assert_array_equal(loaded.avg_mean, link.avg_mean)
    np.testing.assert_array_equal(loaded.gamma.array, link.gamma.array)
    assert loaded.N == 1


def test_half_precision_keeps_averages_in_single():
    link = L.BatchNormalization(3, dtype='mixed16')
    assert link(X.astype('float16')).dtype == np.float16
    assert link.avg_mean.dtype == link.gamma.dtype == np.float32


def test_renormalization_corrects_towards_the_averages():
    with minichain.using_config('dtype', np.float64):
        link = L.BatchRenormalization(3, rmax=1.5, dmax=.1, initial_avg_mean=.2,
                                      initial_avg_var=2.)
    y, mean, var = normalized(link, X)
    r = np.clip(np.sqrt(var + 2e-5) / np.sqrt(2 + 2e-5), 1 / 1.5, 1.5)
    d = np.clip((mean - .2) / np.sqrt(2 + 2e-5), -.1, .1)
    np.testing.assert_allclose(link(X).array, y * r[:, None] + d[:, None])


def test_rows_and_groups_are_normalized():
    rows = X.reshape(4, 6)

    def by_row(link, x):
        std = np.sqrt(x.var(axis=1, keepdims=True) + link.eps)
        return (x - x.mean(axis=1, keepdims=True)) / std * link.gamma.array + link.beta.array
    for build in (lambda: L.LayerNormalization(6), lambda: L.LayerNormalization(eps=.1)):
        check_link(build, [rows], by_row)

    def by_group(link, x):
        parts = x.reshape(4, 2, 3)   # two groups of three channels
        std = np.sqrt(parts.var(axis=2, keepdims=True) + link.eps)
        y = ((parts - parts.mean(axis=2, keepdims=True)) / std).reshape(x.shape)
        return y * link.gamma.array[:, None] + link.beta.array[:, None]
    for build in (lambda: L.GroupNormalization(2, 6), lambda: L.GroupNormalization(2)):
        check_link(build, [rows.reshape(4, 6, 1)], by_group)
    with pytest.raises(InvalidArgument, match='groups'):
        L.GroupNormalization(4)(rows.astype('f'))

"""EfficientNet: counts and shapes of the publication, values of torchvision."""
import numpy as np
import pytest

import minichain.functions as F
from minichain import Variable, using_config
from minichain.errors import InvalidArgument
from models import efficientnet
from models.efficientnet import EfficientNet
from tests import strict_cupy
from tests.models import network_checks, torchvision_twin

PUBLISHED = (5_288_548, 7_794_184, 9_109_994, 12_233_232, 19_341_616, 30_389_784, 43_040_704,
             66_347_960)


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


@pytest.fixture(scope='module')
def b0():
    np.random.seed(0)
    return EfficientNet(0)


@pytest.mark.parametrize('variant', range(8))
def test_the_number_of_parameters_is_the_published_one(variant):
    with network_checks.undrawn():
        net = EfficientNet(variant)
    assert net.count_params() == PUBLISHED[variant]
    side = (224, 240, 288, 300, 380, 456, 528, 600)[variant]
    assert net.preprocessing.size == (side, side)


def test_shapes_are_those_of_table_1(b0):
    shapes = network_checks.shapes(b0, 1, 3, 224, 224)
    expected = ((32, 112), (16, 112), (24, 56), (40, 28), (80, 14), (112, 14), (192, 7), (320, 7),
                (1280, 7))
    for stage, (channels, side) in enumerate(expected):
        assert shapes[f'stages.{stage}'] == (channels, side, side)
    assert shapes['pool'] == (1280,) and shapes['fc'] == shapes['prob'] == (1000,)


@pytest.mark.parametrize('size, end', [((32, 32), (1, 1)), ((33, 65), (2, 3)), ((1, 1), (1, 1))])
def test_images_may_have_any_size(b0, size, end):
    assert network_checks.shapes(b0, 2, 3, *size)['stages.8'] == (1280, *end)


def test_the_answer_is_a_distribution_over_the_classes(b0):
    x = np.random.rand(2, 3, 64, 48).astype('float32')
    with using_config('train', False):
        y = b0(x)['prob'].array
    assert y.shape == (2, 1000) and (y >= 0).all()
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-5)


def test_b5_shows_its_classifier_before_and_after_it_is_replaced():
    with network_checks.undrawn():
        net = EfficientNet(5)
        assert 'in_size=2048, out_size=1000' in str(net.classifier)
        net.replace_head(10)
    assert 'in_size=2048, out_size=10,' in str(net.classifier)
    assert net.count_params() == PUBLISHED[5] - 2049 * 990


def test_another_variant_is_refused():
    for variant in (8, -1, 'b0'):
        with pytest.raises(InvalidArgument, match='variant 0 to 7'):
            EfficientNet(variant)


def test_batch_normalization_has_the_published_constants():
    with network_checks.undrawn():
        for variant, decay, eps in ((4, .9, 1e-5), (5, .99, 1e-3)):
            stem = EfficientNet(variant).stages[0][1]
            assert (stem.decay, stem.eps) == (decay, eps)


def test_every_parameter_gets_a_gradient():
    x = np.random.rand(2, 3, 64, 64).astype('float32')
    assert network_checks.without_gradient(EfficientNet(drop=0), x, ['fc']) == []


def test_what_is_frozen_stays_bit_for_bit_and_what_is_thawed_moves():
    net, x = EfficientNet(), np.random.rand(2, 3, 32, 32).astype('float32')
    net.freeze(until='stages.8').unfreeze('stages.1')
    changed = network_checks.changed_by_training(net, x, 'fc')
    expected = {path for path in network_checks.values(net)
                if path.startswith(('/stages/1/', '/stages/8/', '/fc/'))
                and not path.endswith('/N')}
    assert changed == expected      # parameters and statistics alike
    net.freeze()
    assert not any(parameter.requires_grad for parameter in net.params())


def test_squeeze_and_excitation_scales_each_channel():
    link = efficientnet.SqueezeExcitation(6, 2)
    link.fc1.b.array[...], link.fc2.b.array[...] = (.3, -.2), np.arange(6) / 6
    x = np.random.randn(2, 6, 3, 4).astype('float32')
    inside = x.mean(axis=(2, 3)) @ link.fc1.W.array[:, :, 0, 0].T + [.3, -.2]
    inside = inside / (1 + np.exp(-inside))
    scale = inside @ link.fc2.W.array[:, :, 0, 0].T + np.arange(6) / 6
    expected = x / (1 + np.exp(-scale))[:, :, None, None]
    np.testing.assert_allclose(link(x).array, expected, rtol=1e-5, atol=1e-6)


def test_stochastic_depth_drops_whole_images_and_keeps_the_mean():
    x = Variable(np.ones((4000, 2, 1, 3), 'float32'))
    y = efficientnet.stochastic_depth(x, .2)
    assert y.dtype == np.float32
    assert (y.array == y.array[:, :1, :, :1]).all()     # an image as a whole
    assert set(np.unique(y.array)) == {0, np.float32(1.25)}
    assert abs(y.array.mean() - 1) < .03        # 4.7 standard deviations
    F.sum(y).backward()
    np.testing.assert_array_equal(x.grad, y.array)
    np.random.seed(0)
    first = efficientnet.stochastic_depth(x, .5).array
    np.random.seed(0)
    np.testing.assert_array_equal(efficientnet.stochastic_depth(x, .5).array, first)


def test_a_step_of_training_stays_on_the_gpu():
    with strict_cupy.installed() as cupy:
        block = efficientnet.Block(8, 8, 3, 1, 6, .5, {}).to_gpu()
        y = block(Variable(cupy.asarray(np.random.rand(4, 8, 5, 5).astype('float32'))))
        F.sum(y * y).backward()
        assert y.dtype == np.float32
        assert all(isinstance(parameter.grad, strict_cupy.ndarray) for parameter in block.params())


def test_nothing_is_dropped_at_test_time_nor_in_the_first_block(b0):
    x = Variable(np.ones((50, 1, 1, 1), 'float32'))
    assert efficientnet.stochastic_depth(x, 0) is x
    with using_config('train', False):
        assert efficientnet.stochastic_depth(x, .9) is x
    drops = [link.drop for link in b0.links() if isinstance(link, efficientnet.Block)]
    np.testing.assert_allclose(drops, .2 * np.arange(16) / 16)


def test_a_dropped_block_is_the_identity(b0):
    block = b0.stages[2][1]
    x = np.random.rand(3, 24, 5, 5).astype('float32')
    with using_config('train', True):
        drop, block.drop = block.drop, 1 - 1e-9
        np.testing.assert_array_equal(block(Variable(x)).array, x)
        block.drop = drop


@pytest.mark.parametrize('variant, size', [(0, (224, 224)), (0, (97, 131)), (5, (65, 33))])
def test_all_stages_are_those_of_torchvision(variant, size):
    models = torchvision_twin.torchvision_models()
    twin = getattr(models, f'efficientnet_b{variant}')()
    with network_checks.undrawn():
        net = EfficientNet(variant)
    torchvision_twin.share_weights(net, twin)
    layers = {f'stages.{i}': f'features.{i}' for i in range(9)} | {'fc': 'classifier'}
    x = torchvision_twin.pictures(1, 3, *size)
    assert torchvision_twin.worst_error(net, twin, x, layers) < 1e-4


def test_training_is_that_of_torchvision():
    models = torchvision_twin.torchvision_models()
    twin = models.efficientnet_b0(dropout=0., stochastic_depth_prob=0.).double()
    with using_config('dtype', np.dtype('float64')):
        net = EfficientNet(drop=0)
    net.dropout = 0
    torchvision_twin.share_weights(net, twin)
    x = torchvision_twin.pictures(4, 3, 64, 72).astype('float64')
    assert max(torchvision_twin.training_errors(net, twin, x)) < 1e-5

"""MobileNetV2: counts and shapes of the publication, values of torchvision."""
import numpy as np
import pytest

from minichain import using_config
from models.mobilenet_v2 import MobileNetV2
from tests.models import network_checks, torchvision_twin


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


@pytest.fixture(scope='module')
def net():
    np.random.seed(0)
    return MobileNetV2()


def test_the_number_of_parameters_is_the_published_one(net):
    assert net.count_params() == 3_504_872


def test_shapes_are_those_of_table_2(net):
    shapes = network_checks.shapes(net, 1, 3, 224, 224)
    assert shapes['blocks.0'] == (32, 112, 112)
    for block, shape in {1: (16, 112, 112), 3: (24, 56, 56), 6: (32, 28, 28), 10: (64, 14, 14),
                         13: (96, 14, 14), 16: (160, 7, 7), 17: (320, 7, 7),
                         18: (1280, 7, 7)}.items():
        assert shapes[f'blocks.{block}'] == shape
    assert shapes['pool'] == (1280,) and shapes['fc'] == shapes['prob'] == (1000,)


@pytest.mark.parametrize('size, end', [((32, 32), (1, 1)), ((33, 65), (2, 3)), ((1, 1), (1, 1))])
def test_images_may_have_any_size(net, size, end):
    assert network_checks.shapes(net, 2, 3, *size)['blocks.18'] == (1280, *end)


def test_the_answer_is_a_distribution_over_the_classes(net):
    x = np.random.rand(2, 3, 64, 48).astype('float32')
    with using_config('train', False):
        y = net(x)['prob'].array
    assert y.shape == (2, 1000) and (y >= 0).all()
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-5)


def test_every_parameter_gets_a_gradient():
    x = np.random.rand(2, 3, 64, 64).astype('float32')
    assert network_checks.without_gradient(MobileNetV2(), x, ['fc']) == []


def test_a_new_head_has_its_own_classes():
    with network_checks.undrawn():
        net = MobileNetV2(n_classes=7)
    assert (net.classifier.in_size, net.classifier.out_size) == (1280, 7)
    assert net.count_params() == 3_504_872 - 1281 * 993
    assert network_checks.shapes(net, 1, 3, 32, 32)['prob'] == (7,)


def test_input_is_prepared_as_published(net):
    grey = np.full((300, 400, 3), 128, np.uint8)
    expected = (128 / 255 - np.array([.485, .456, .406])) / [.229, .224, .225]
    x = net.prepare(grey)
    assert x.shape == (3, 224, 224)
    np.testing.assert_allclose(x[:, 100, 100], expected, rtol=1e-5)


@pytest.mark.parametrize('size', [(224, 224), (97, 131)])
def test_all_layers_are_those_of_torchvision(size):
    twin = torchvision_twin.torchvision_models().mobilenet_v2()
    net = MobileNetV2()
    torchvision_twin.share_weights(net, twin)
    layers = {f'blocks.{i}': f'features.{i}' for i in range(19)} | {'fc': 'classifier'}
    x = torchvision_twin.pictures(1, 3, *size)
    assert torchvision_twin.worst_error(net, twin, x, layers) < 1e-4


def test_training_is_that_of_torchvision(monkeypatch):
    twin = torchvision_twin.torchvision_models().mobilenet_v2(dropout=0.).double()
    monkeypatch.setattr('models.mobilenet_v2.dropout', lambda x: x)
    with using_config('dtype', np.dtype('float64')):
        net = MobileNetV2()
    torchvision_twin.share_weights(net, twin)
    x = torchvision_twin.pictures(4, 3, 64, 72).astype('float64')
    assert max(torchvision_twin.training_errors(net, twin, x)) < 1e-5

"""InceptionV3: counts and shapes of the publication, values of torchvision."""
import numpy as np
import pytest

from minichain import using_config
from minichain.errors import InvalidArgument
from models.inception_v3 import InceptionV3
from tests.models import network_checks, torchvision_twin


@pytest.fixture(autouse=True)
def seed():
    np.random.seed(0)


@pytest.fixture(scope='module')
def net():
    np.random.seed(0)
    return InceptionV3()


def test_the_numbers_of_parameters_are_the_published_ones():
    with network_checks.undrawn():
        assert InceptionV3().count_params() == 23_834_568
        assert InceptionV3(aux_heads=True).count_params() == 27_161_264


def test_shapes_at_299_pixels_are_those_of_table_1(net):
    shapes = network_checks.shapes(net, 1, 3, 299, 299)
    expected = {
        'Conv2d_1a_3x3': (32, 149, 149), 'Conv2d_2a_3x3': (32, 147, 147),
        'Conv2d_2b_3x3': (64, 147, 147), 'maxpool1': (64, 73, 73), 'Conv2d_3b_1x1': (80, 73, 73),
        'Conv2d_4a_3x3': (192, 71, 71), 'maxpool2': (192, 35, 35), 'Mixed_5b': (256, 35, 35),
        'Mixed_5c': (288, 35, 35), 'Mixed_5d': (288, 35, 35), 'Mixed_6a': (768, 17, 17),
        'Mixed_6e': (768, 17, 17), 'Mixed_7a': (1280, 8, 8), 'Mixed_7b': (2048, 8, 8),
        'Mixed_7c': (2048, 8, 8), 'pool': (2048,), 'fc': (1000,), 'prob': (1000,)}
    assert {name: shapes[name] for name in expected} == expected


@pytest.mark.parametrize('size, end', [
    ((75, 75), (1, 1)), ((150, 150), (3, 3)), ((224, 224), (5, 5)), ((75, 150), (1, 3))])
def test_the_end_before_pooling_follows_the_size_of_the_image(net, size, end):
    x = np.zeros((1, 3, *size), 'float32')
    assert net.features('Mixed_7c', x).shape == (1, 2048, *end)


@pytest.mark.parametrize('size', [(74, 74), (299, 74), (1, 75), (0, 0)])
def test_images_below_the_minimum_are_refused_with_it(net, size):
    with pytest.raises(InvalidArgument, match='at least 75 x 75 pixels expected'):
        net.features('pool', np.zeros((1, 3, *size), 'float32'))


def test_the_answer_is_a_distribution_over_the_classes(net):
    x = np.random.rand(2, 3, 75, 80).astype('float32')
    with using_config('train', False):
        y = net(x)['prob'].array
    assert y.shape == (2, 1000) and (y >= 0).all()
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-5)


def test_the_auxiliary_head_is_computed_only_when_asked_for():
    with network_checks.undrawn():
        net = InceptionV3(aux_heads=True, n_classes=5)
    for parameter in net.params():
        parameter.array[...] = 0
    assert list(net(np.zeros((1, 3, 75, 75), 'float32'))) == ['prob']
    with pytest.raises(InvalidArgument, match='auxiliary head.*at least 299 x 299'):
        net(np.zeros((1, 3, 298, 299), 'float32'), layers=['fc', 'AuxLogits'])
    with using_config('train', False):
        ys = net(np.zeros((1, 3, 299, 299), 'float32'), layers=['fc', 'AuxLogits'])
    assert ys['fc'].shape == ys['AuxLogits'].shape == (1, 5)


def test_without_an_auxiliary_head_there_is_no_such_layer(net):
    with pytest.raises(InvalidArgument, match="no layer 'AuxLogits'"):
        net(np.zeros((1, 3, 299, 299), 'float32'), layers=['AuxLogits'])


def test_every_parameter_gets_a_gradient():
    x = np.random.rand(2, 3, 80, 80).astype('float32')
    assert network_checks.without_gradient(InceptionV3(), x, ['fc']) == []


@pytest.mark.slow
def test_the_auxiliary_head_gets_gradients_too():
    net, x = InceptionV3(aux_heads=True), np.random.rand(2, 3, 299, 299).astype('float32')
    assert network_checks.without_gradient(net, x, ['fc', 'AuxLogits']) == []


def test_new_heads_have_their_own_classes():
    with network_checks.undrawn():
        net = InceptionV3(aux_heads=True).replace_head(10)
    assert 'in_size=2048, out_size=10,' in str(net.classifier)
    assert net.AuxLogits.fc.W.shape == (10, 768)
    assert net.count_params() == 27_161_264 - (2049 + 769) * 990


def test_input_is_prepared_to_lie_between_minus_one_and_one(net):
    x = net.prepare(np.full((400, 350, 3), 255, np.uint8))
    assert x.shape == (3, 299, 299) and (x == 1).all()
    assert (net.prepare(np.zeros((400, 350, 3), np.uint8)) == -1).all()


@pytest.mark.parametrize('size', [(75, 75), (150, 161)])
def test_all_layers_are_those_of_torchvision(size):
    twin = torchvision_twin.torchvision_models().inception_v3(
        init_weights=False, aux_logits=False, transform_input=False)
    with network_checks.undrawn():
        net = InceptionV3()
    torchvision_twin.share_weights(net, twin)
    layers = {name: name for name in net.available_layers if name not in ('pool', 'prob')}
    x = torchvision_twin.pictures(1, 3, *size)
    assert torchvision_twin.worst_error(net, twin, x, layers) < 1e-4


@pytest.mark.slow
def test_training_with_the_auxiliary_head_is_that_of_torchvision(monkeypatch):
    twin = torchvision_twin.torchvision_models().inception_v3(init_weights=False, dropout=0.)
    with network_checks.undrawn():
        net = InceptionV3(aux_heads=True)
    torchvision_twin.share_weights(net, twin)
    monkeypatch.setattr('minichain.functions.dropout', lambda x: x)
    x = torchvision_twin.pictures(2, 3, 299, 299)
    torch = pytest.importorskip('torch', reason='PyTorch is the independent implementation')
    expected, auxiliary = twin.train()(torch.from_numpy(x))
    ys = net(x, layers=['fc', 'AuxLogits'])
    assert torchvision_twin.error(ys['fc'], expected) < 1e-3     # float32, two images a batch
    assert torchvision_twin.error(ys['AuxLogits'], auxiliary) < 1e-3

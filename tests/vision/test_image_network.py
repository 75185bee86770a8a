"""What all networks for images share, shown on a small one."""
import numpy as np
import pytest
from PIL import Image

import minichain.functions as F
import minichain.links as L
from minichain import no_backprop_mode, using_config
from minichain.errors import InvalidArgument
from minichain.image import Preprocessing
from minichain.optimizers import SGD
from minichain.serializers import save_npz
from minichain.vision import ImageNetwork
from tests import strict_cupy
from tests.models.network_checks import values
from tests.vision.seeded import picture


class Small(ImageNetwork):
    head, feature_layer = ('side_fc', 'fc'), 'pool'
    branches = {'side_fc': 'conv1'}
    preprocessing = Preprocessing((8, 6), 'BGR', (100, 110, 120), .5, 'crop', 10)

    def __init__(self):
        super().__init__()
        self.calls = []
        with self.init_scope():
            self.conv1 = L.Convolution2D(3, 4, 3, pad=1)
            self.bn1 = L.BatchNormalization(4)
            self.conv2 = L.Convolution2D(4, 5, 3, pad=1)
            self.bn2 = L.BatchNormalization(5)
            self.fc = L.Linear(5, 7)
            self.side_fc = L.Linear(4 * 8 * 6, 7)

    @property
    def functions(self):
        return {'conv1': [self.note('conv1'), self.conv1, self.bn1, F.relu],
                'conv2': [self.note('conv2'), self.conv2, self.bn2, F.relu],
                'pool': [lambda x: F.mean(x, axis=(2, 3))],
                'fc': [F.dropout, self.fc], 'prob': [F.softmax],
                'side_fc': [self.note('side_fc'), self.side_fc]}

    def note(self, name):
        def function(x):
            self.calls.append(name)
            return x
        return function


@pytest.fixture
def net():
    np.random.seed(0)
    return Small()


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(3, 3, 8, 6)).astype('float32')


def test_layers_come_by_name_in_the_order_of_computation(net, x):
    ys = net(x, layers=['prob', 'side_fc', 'conv1'])
    assert list(ys) == ['conv1', 'prob', 'side_fc']
    assert [y.shape for y in ys.values()] == [(3, 4, 8, 6), (3, 7), (3, 7)]
    assert list(net(x)) == ['prob']
    assert net(x, layers=[]) == {}
    assert net.available_layers == ['conv1', 'conv2', 'pool', 'fc', 'prob', 'side_fc']


def test_only_what_a_layer_needs_is_computed_and_only_once(net, x):
    net(x, layers=['side_fc'])
    assert net.calls == ['conv1', 'side_fc']
    net.calls.clear()
    net(x, layers=['conv2', 'side_fc'])
    assert net.calls == ['conv1', 'conv2', 'side_fc']


def test_a_branch_starts_from_its_own_layer(net, x):
    with using_config('train', False):
        ys = net(x, layers=['conv1', 'side_fc'])
        np.testing.assert_array_equal(net.side_fc(ys['conv1']).array, ys['side_fc'].array)


def test_an_unknown_layer_is_refused_with_those_there_are(net, x):
    with pytest.raises(ValueError, match="no layer 'fc9'.*conv1, conv2, pool"):
        net(x, layers=['fc9'])
    with pytest.raises(ValueError, match=r"Write \['fc'\]"):
        net(x, layers='fc')
    with pytest.raises(ValueError, match='no layer'):
        net.freeze(until='fc9')


def test_features_are_those_of_test_mode_and_keep_no_graph(net, x):
    y = net.features('fc', x)
    with using_config('train', False):
        expected = net(x, layers=['fc'])['fc']
    np.testing.assert_array_equal(y.array, expected.array)
    assert y.creator is None and expected.creator is not None
    np.testing.assert_array_equal(net.bn1.avg_mean, 0)


def test_images_are_prepared_by_the_preprocessing(net):
    image = picture(30, 20)
    np.testing.assert_array_equal(net.prepare(image), net.preprocessing.apply(image))
    assert net.prepare(image).shape == (3, 8, 6)


def test_extract_gives_the_layers_of_images_at_any_size(net):
    images = [picture(30, 20), picture(9, 40)[:, :, 0]]
    with using_config('train', False):
        ys = net.extract(images)
        assert {name: y.shape for name, y in ys.items()} == {'pool': (2, 5)}
        assert net.extract(images, ['conv2'], size=(12, 10))['conv2'].shape == (2, 5, 10, 12)
    with pytest.raises(ValueError, match='at least one image'):
        net.extract([])


def test_prediction_averages_ten_crops_or_takes_the_centre(net):
    image = picture(10, 10).astype('float32')
    whole = ((image[:, :, ::-1] - (100, 110, 120)) * .5).transpose(2, 0, 1).astype('float32')
    crops = [whole[:, top:top + 8, left:left + 6]
             for top, left in ((0, 0), (0, 4), (2, 0), (2, 4), (1, 2))]
    with using_config('train', False), no_backprop_mode():
        y = net(np.stack(crops + [crop[:, :, ::-1] for crop in crops]))['prob'].array
    np.testing.assert_allclose(net.predict([image]).array[0], y.mean(0), rtol=1e-5)
    np.testing.assert_allclose(net.predict([image], oversample=False).array[0], y[4], rtol=1e-5)


def test_a_new_head_has_new_classes_and_nothing_else_changes(net, x):
    before = values(net)
    assert repr(net.classifier) == 'Linear(in_size=5, out_size=7, nobias=False)'
    assert net.replace_head(2) is net
    assert repr(net.classifier) == 'Linear(in_size=5, out_size=2, nobias=False)'
    after = values(net)
    assert {path for path in before if not np.array_equal(before[path], after[path])} == {
        '/fc/W', '/fc/b', '/side_fc/W', '/side_fc/b'}
    assert net(x)['prob'].shape == (3, 2)
    with pytest.raises(ValueError, match='number of classes'):
        net.replace_head(0)


def changed(net, x, steps=10):
    before = values(net)
    optimizer = SGD(lr=1e-3).setup(net)
    for _ in range(steps):
        optimizer.update(lambda: sum(F.sum(y * y) for y in net(
            x, layers=['fc', 'side_fc']).values()))
    after = values(net)
    return {path for path in before if not np.array_equal(before[path], after[path])}


def test_everything_is_trained_unless_frozen(net, x):
    assert changed(net, x) == set(values(net)) - {'/bn1/N', '/bn2/N'}


def test_frozen_layers_stay_bit_equal_with_the_averages_of_batch_normalization(net, x):
    assert net.freeze(until='conv2') is net
    paths = changed(net, x)
    assert not {path for path in paths if path.startswith(('/conv1', '/bn1'))}
    assert {'/conv2/W', '/bn2/avg_mean', '/fc/W', '/side_fc/W'} <= paths


def test_frozen_batch_normalization_uses_its_averages_while_training(net, x):
    net.bn1.avg_mean[...] = .5
    net.freeze(until='conv2')
    with using_config('train', True):
        y = net(x, layers=['conv1'])['conv1'].array
    np.testing.assert_array_equal(y, net.features('conv1', x).array)
    net.unfreeze('conv1')
    assert not np.allclose(y, net(x, layers=['conv1'])['conv1'].array)


def test_all_is_frozen_and_chosen_layers_are_thawed(net, x):
    net.freeze().unfreeze('fc')
    assert changed(net, x) == {'/fc/W', '/fc/b'}
    assert changed(net.unfreeze(), x) >= {'/conv1/W', '/bn1/gamma', '/side_fc/W'}


def test_copies_are_networks_of_their_own(net, x):
    copy = net.copy('copy')
    copy.replace_head(3)
    assert net(x)['prob'].shape == (3, 7) and copy(x)['prob'].shape == (3, 3)


def test_a_network_prints_its_links(net):
    assert '(conv1): Convolution2D(in_channels=3, out_channels=4' in str(net)


def test_a_network_on_a_gpu_predicts_loads_and_gets_new_heads_there(net, tmp_path):
    save_npz(tmp_path / 'net.npz', net)
    images = [picture(12, 10), picture(20, 30)]
    expected = net.predict(images).array
    with strict_cupy.installed() as cupy:
        other = Small().to_device('@cupy:0')
        other.load(tmp_path / 'net.npz')
        y = other.predict(images).array
        assert isinstance(y, cupy.ndarray)
        np.testing.assert_allclose(y.get(), expected, rtol=1e-5)
        other.freeze(until='conv2').replace_head(3)
        y, = other.extract(images, layers=['prob']).values()
        assert isinstance(other.fc.W.array, cupy.ndarray) and y.shape == (2, 3)


def test_one_name_and_a_list_of_images_are_expected():
    net = Small()
    with pytest.raises(InvalidArgument, match='one layer.*conv1.*net.x, layers'):
        net.features(['conv1', 'pool'], net.prepare(picture(9, 9))[None])
    for method in (net.predict, net.extract):
        with pytest.raises(InvalidArgument, match='a list of images.*Image'):
            method(Image.fromarray(np.zeros((9, 9, 3), np.uint8)))
        with pytest.raises(InvalidArgument, match='a list of images.*str'):
            method('photo.jpg')


@pytest.mark.parametrize('freeze_first, learn', [(True, {'/fc', '/side_fc'}), (False, set())])
def test_a_head_that_is_made_after_freezing_learns(freeze_first, learn):
    net = Small()
    net = net.freeze().replace_head(3) if freeze_first else net.replace_head(3).freeze()
    assert {name[:name.rindex('/')] for name, parameter in net.namedparams()
            if parameter.requires_grad} == learn

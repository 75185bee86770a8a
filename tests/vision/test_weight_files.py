"""Weights by name from files of Caffe, ONNX and Chainer, and files that do not fit."""
import numpy as np
import pytest

from minichain import caffe, serializers
from minichain.links import BatchNormalization, Linear
from minichain.vision import GoogLeNet, ResNet50Layers, ResNet101Layers, ResNetLayers, pretrained
from models.squeezenet import SqueezeNet
from tests.models.network_checks import undrawn, values
from tests.vision.seeded import fill

BLOCK = {'conv1': 'branch2a', 'conv2': 'branch2b', 'conv3': 'branch2c', 'conv4': 'branch1',
         'bn1': 'branch2a', 'bn2': 'branch2b', 'bn3': 'branch2c', 'bn4': 'branch1'}


def resnet_name(path, counts):
    """The name of a layer in the public files, for one of our links, told apart from the code."""
    if path in ('conv1', 'bn1', 'fc6'):
        return {'conv1': 'conv1', 'bn1': 'bn_conv1', 'fc6': 'fc1000'}[path]
    stage, block, link = path.split('/')
    if block != 'a' and not (counts and stage in ('res3', 'res4')):
        block = 'abcdef'[int(block[1:])]
    return f'{"bn" if link.startswith("bn") else "res"}{stage[3:]}{block}_{BLOCK[link]}'


def save_caffemodel(folder, net, name_of, bias_of_conv1=True, scale=4.):
    """Write a network as a caffemodel as the public ones are; returns its path."""
    layers = []
    for path, link in net.namedlinks(skipself=True):
        path = path.lstrip('/')
        if not link._params:
            continue
        layer = {'name': name_of(path), 'bottom': ['data'], 'top': ['data']}
        if isinstance(link, BatchNormalization):
            layers.append({**layer, 'type': 'BatchNorm', 'blobs': [
                link.avg_mean * scale, link.avg_var * scale, np.array([scale], 'float32')]})
            name = name_of(path).replace('bn', 'scale', 1)
            layers.append({**layer, 'name': name, 'type': 'Scale',
                           'scale_param': {'bias_term': True},
                           'blobs': [link.gamma.array, link.beta.array]})
            continue
        blobs = [link.W.array]
        if link.b is not None and (bias_of_conv1 or path != 'conv1'):
            blobs.append(link.b.array)
        kind = 'inner_product_param' if isinstance(link, Linear) else 'convolution_param'
        settings = {'num_output': len(link.W), 'bias_term': len(blobs) > 1}
        if not isinstance(link, Linear):
            settings.update(kernel_size=link.W.shape[2:], stride=link.stride, pad=link.pad)
            settings = {key: list(value) if isinstance(value, tuple) else value
                        for key, value in settings.items()}
        layers.append({**layer, 'type': 'InnerProduct' if isinstance(link, Linear)
                       else 'Convolution', kind: settings, 'blobs': blobs})
    path = folder / 'net.caffemodel'
    caffe.save(path, folder / 'net.prototxt', layers, (1, 3, 224, 224))
    return str(path)


def expect_same_values(net, other):
    ours, theirs = values(net), values(other)
    assert ours.keys() == theirs.keys()
    for path in ours:
        np.testing.assert_array_equal(ours[path], theirs[path], err_msg=path)


@pytest.mark.parametrize('cls, bias', [(ResNet50Layers, True), (ResNet101Layers, False)])
def test_resnets_of_caffe_are_found_by_the_published_names(tmp_path, cls, bias):
    with undrawn():
        net, other = fill(cls(None)), cls(None)
    net.conv1.b.array *= bias       # the files of the larger networks have none
    path = save_caffemodel(tmp_path, net, lambda path: resnet_name(path, not bias), bias)
    report = other.load(path)
    expect_same_values(net, other)
    assert not report.missing and not report.unused and not report.wrong_shape
    assert other.res2.a.bn1.eps == np.float32(1e-5)


def test_caffe_files_become_npz_files_of_the_class(tmp_path):
    with undrawn():
        net = fill(ResNet101Layers(None))
    net.conv1.b.array[...] = 0
    path = save_caffemodel(tmp_path, net, lambda path: resnet_name(path, True), False)
    for cls, options in ((ResNet101Layers, {}), (ResNetLayers, {'n_layers': 101})):
        cls.convert_caffemodel_to_npz(path, tmp_path / 'net.npz', **options)
        with undrawn():
            other = ResNet101Layers(str(tmp_path / 'net.npz'))
        expect_same_values(net, other)


def test_googlenet_of_caffe_is_found_by_the_published_names(tmp_path):
    parts = {'conv1': '1x1', 'proj3': '3x3_reduce', 'conv3': '3x3', 'proj5': '5x5_reduce',
             'conv5': '5x5', 'projp': 'pool_proj'}
    names = {'conv1': 'conv1/7x7_s2', 'conv2_reduce': 'conv2/3x3_reduce', 'conv2': 'conv2/3x3'}
    for loss in ('loss1', 'loss2', 'loss3'):
        names |= {f'{loss}_conv': f'{loss}/conv', f'{loss}_fc1': f'{loss}/fc',
                  f'{loss}_fc2': f'{loss}/classifier', f'{loss}_fc': f'{loss}/classifier'}

    def name_of(path):
        block, _, part = path.partition('/')
        return f'inception_{block[3:]}/{parts[part]}' if part else names[path]

    net = fill(GoogLeNet(None))
    path = save_caffemodel(tmp_path, net, name_of)
    expect_same_values(net, GoogLeNet(path))
    without = GoogLeNet(path, aux_heads=False)
    np.testing.assert_array_equal(without.loss3_fc.W.array, net.loss3_fc.W.array)
    path = save_caffemodel(tmp_path, without, name_of)
    other = GoogLeNet(None)
    assert len(other.load(path).missing) == 12      # and no error: heads are only for training
    np.testing.assert_array_equal(other.inc5b.conv1.W.array, net.inc5b.conv1.W.array)


@pytest.fixture
def net():
    return fill(SqueezeNet('1.1'))


def test_npz_files_of_chainer_are_read(tmp_path, net):
    serializers.save_npz(tmp_path / 'net.npz', net)
    other = SqueezeNet('1.1')
    assert len(other.load(tmp_path / 'net.npz').matched) == 52
    expect_same_values(net, other)


def test_a_file_that_does_not_fit_is_refused_and_nothing_is_loaded(tmp_path, net):
    serializers.save_npz(tmp_path / 'net.npz', net)
    other = SqueezeNet('1.0')
    before = values(other)
    with pytest.raises(ValueError, match='(?s)net.npz does not fit SqueezeNet; nothing was loaded.'
                                         '.*3 of wrong shape.*conv1/W.*partial=True'):
        other.load(tmp_path / 'net.npz')
    after = values(other)
    assert all(np.array_equal(before[path], after[path]) for path in before)


def test_what_fits_is_loaded_if_that_is_asked_for(tmp_path, net):
    serializers.save_npz(tmp_path / 'net.npz', net.replace_head(15))
    other = SqueezeNet('1.1')
    report = other.load(tmp_path / 'net.npz', partial=True)
    assert sorted(report.wrong_shape) == ['conv10/W', 'conv10/b']
    assert report.wrong_shape['conv10/b'] == ((1000,), (15,))
    np.testing.assert_array_equal(other.fire9.expand3x3.W.array, net.fire9.expand3x3.W.array)


def test_a_longer_network_is_not_taken_for_a_shorter_one(tmp_path, net):
    arrays = {path.lstrip('/'): value for path, value in values(net).items()}
    np.savez(tmp_path / 'more.npz', **arrays, **{'fire10/squeeze1x1/W': np.zeros(3)})
    with pytest.raises(ValueError, match='unused: fire10/squeeze1x1/W'):
        SqueezeNet('1.1').load(tmp_path / 'more.npz')


def test_values_that_cannot_be_weights_are_refused(tmp_path, net):
    arrays = {path.lstrip('/'): value for path, value in values(net).items()}
    arrays['conv1/b'] = arrays['conv1/b'].astype(complex)
    np.savez(tmp_path / 'complex.npz', **arrays)
    with pytest.raises(ValueError, match='complex128'):
        SqueezeNet('1.1').load(tmp_path / 'complex.npz')


def test_another_ending_and_missing_and_damaged_files_are_refused(tmp_path, net):
    with pytest.raises(ValueError, match='ending in .caffemodel, .npz, .onnx'):
        net.load('weights.pth')
    for ending in ('.caffemodel', '.npz', '.onnx'):
        with pytest.raises(OSError, match='net'):
            net.load(tmp_path / f'net{ending}')
        (tmp_path / f'bad{ending}').write_bytes(b'\x12\x07nothing')
        with pytest.raises(ValueError, match='bad'):
            net.load(tmp_path / f'bad{ending}')


def test_weights_lie_where_chainer_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setattr('minichain.dataset.download._root', str(tmp_path))
    folder = tmp_path / 'pfnet' / 'chainer' / 'models'
    folder.mkdir(parents=True)
    net = fill(GoogLeNet(None))
    serializers.save_npz(folder / 'bvlc_googlenet.npz', net, compression=False)
    expect_same_values(net, GoogLeNet())
    assert GoogLeNet(n_classes=3).classifier.W.shape == (3, 1024)
    assert pretrained.find_pretrained('bvlc_googlenet.npz').endswith('bvlc_googlenet.npz')

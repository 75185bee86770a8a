"""VGG, GoogLeNet and ResNet against values recorded from Chainer 7.8.1 with the same weights."""
import numpy as np
import pytest

import minichain.links as L
from minichain import no_backprop_mode, using_config
from minichain.vision import vgg
from tests.models.network_checks import undrawn
from tests.vision.seeded import fill, picture, summary

# network -> side of the image, layers -> summary of the values
RECORDED = {
    'VGG16Layers': (40, {
        'conv1_2': [0.0, 0.2176067, 0.9208169, 0.1426397, 0.5269333],
        'conv3_3': [0.0, 1.130392, 0.4832288, 0.0, 0.7326433],
        'pool5': [0.0, 0.8906401, 0.6573452, 0.6390797, 0.6053661]}),
    'VGG19Layers': (40, {
        'conv3_4': [0.0, 0.0, 0.0, 0.0, 0.7045096],
        'pool5': [0.5773804, 0.0, 0.0, 0.0, 0.409902]}),
    'GoogLeNet': (224, {
        'conv1': [0.05727027, 0.2017945, 0.03262421, 0.427125, 0.4626944],
        'pool1': [1.242171, 0.0, 1.094684, 0.4299959, 0.5736968],
        'conv2': [0.2416988, 0.0, 0.0, 0.2850913, 0.5186613],
        'inception_3a': [0.0, 0.0, 0.0, 0.0, 0.6681464],
        'inception_4e': [0.0, 0.3104305, 0.9941741, 0.5892202, 0.977228],
        'pool5': [0.0, 0.0, 0.08042324, 1.631512, 1.043118],
        'loss3_fc': [-0.01604219, 0.05427249, -0.04144862, -0.05102546, 0.08440503],
        'prob': [0.0009823032, 0.00105386, 0.0009576607, 0.0009485332, 0.001003559],
        'loss1_fc2': [0.05620291, -0.06252443, -0.08166721, -0.06719546, 0.0571967],
        'loss2_fc2': [0.05116443, 0.09136877, 0.009487811, -0.07344717, 0.05751465]}),
    'ResNet50Layers': (64, {
        'conv1': [0.2079153, 0.0, 0.0, 0.0, 0.5477216],
        'pool1': [1.846278, 0.0, 0.0, 0.0, 0.6917944],
        'res2': [2.549747, 8.77884, 0.0, 0.0, 4.6412],
        'res3': [0.0, 5.462364, 0.0, 0.0, 29.91911],
        'res5': [0.0, 0.0, 0.0, 0.0, 1751.897],
        'pool5': [0.0, 171.6694, 240.2281, 851.4716, 1516.943],
        'fc6': [39.61162, 69.464, -35.3523, 73.68419, 91.55477]}),
    'ResNet50Layers downsample_fb': (64, {
        'res3': [0.0, 10.0471, 0.1748453, 0.0, 30.53215],
        'res5': [0.0, 0.0, 1196.948, 0.0, 2124.216],
        'fc6': [39.99983, 104.2014, -41.97452, 92.0953, 110.614]}),
    'ResNet101Layers': (64, {
        'res4': [1035165.0, 4153238.0, 2602307.0, 0.0, 2806175.0],
        'fc6': [94312.89, 429387.2, -123797.6, 402983.9, 436907.8]}),
    'ResNet152Layers': (64, {
        'res4': [61866610000.0, 15890560000.0, 40095780000.0, 8467762000.0, 31443710000.0],
        'fc6': [3954207000.0, 4053865000.0, -158726700.0, 3931244000.0, 4742798000.0]})}
FULL_VGG = (224, {
    'fc6': [0.03762567, 0.0, 0.02827638, 0.001676973, 0.07296184],
    'fc7': [0.0, 0.0, 0.0, 0.0, 0.04094713],
    'fc8': [0.01537335, 0.06473631, -0.04645041, 0.07208106, 0.05578759]})
PARAMETERS = {   # as published; Caffe's ResNets have a bias in conv1, which is 64 more
    'VGG16Layers': 138_357_544, 'VGG19Layers': 143_667_240, 'GoogLeNet': 13_378_280,
    'ResNet50Layers': 25_557_032 + 64, 'ResNet101Layers': 44_549_160 + 64,
    'ResNet152Layers': 60_192_808 + 64}


def make(name):
    cls, *options = name.split()
    return getattr(L, cls)(None, **dict.fromkeys(options, True))


def expect_recorded(net, side, layers):
    x = vgg.prepare(picture(side, side), None)[None] / np.float32(128)
    with using_config('train', False), no_backprop_mode():
        ys = net(x, layers=list(layers))
    assert list(ys) == list(layers)
    for name, expected in layers.items():
        np.testing.assert_allclose(summary(ys[name].array), expected, rtol=3e-4,
                                   atol=2e-5 * expected[-1], err_msg=name)


@pytest.mark.parametrize('name', RECORDED)
def test_layers_have_the_values_that_chainer_gives(name):
    with undrawn():
        net = make(name)
    if name.startswith('VGG'):      # its large layers are not asked for
        net.fc6.W.array = net.fc7.W.array = np.zeros((1, 1), 'float32')
    expect_recorded(fill(net), *RECORDED[name])


@pytest.mark.slow
def test_all_of_vgg_has_the_values_that_chainer_gives():
    with undrawn():
        net = make('VGG16Layers')
    expect_recorded(fill(net), *FULL_VGG)


@pytest.mark.parametrize('name', PARAMETERS)
def test_networks_have_as_many_parameters_as_published(name):
    with undrawn():
        assert make(name).count_params() == PARAMETERS[name]


def test_googlenet_without_auxiliary_heads_is_half_as_large():
    net = L.GoogLeNet(None, aux_heads=False)
    assert net.count_params() == 6_998_552
    assert net.available_layers == L.GoogLeNet(None).available_layers[:-2]


def test_the_names_of_layers_are_those_of_chainer():
    assert L.ResNet50Layers(None).available_layers == [
        'conv1', 'pool1', 'res2', 'res3', 'res4', 'res5', 'pool5', 'fc6', 'prob']
    with undrawn():
        assert ' '.join(L.VGG16Layers(None).available_layers) == (
            'conv1_1 conv1_2 pool1 conv2_1 conv2_2 pool2 conv3_1 conv3_2 conv3_3 pool3 conv4_1 '
            'conv4_2 conv4_3 pool4 conv5_1 conv5_2 conv5_3 pool5 fc6 fc7 fc8 prob')


def test_every_parameter_of_googlenet_learns_with_fifteen_classes():
    net = L.GoogLeNet(None, n_classes=15)
    assert [net[name].W.shape for name in net.head] == [(15, 1024)] * 3
    other = dict(L.GoogLeNet(None).namedparams())
    changed = {path for path, parameter in net.namedparams()
               if parameter.shape != other[path].shape}
    assert changed == {f'/{name}/{kind}' for name in net.head for kind in 'Wb'}
    x = np.random.default_rng(0).normal(0, 50, (2, 3, 224, 224)).astype('float32')
    ys = net(x, layers=['loss1_fc2', 'loss2_fc2', 'loss3_fc'])
    t = np.array([3, 14], 'int32')
    loss = sum(L.Classifier(lambda y: y)(y, t) for y in ys.values())
    loss.backward()
    dead = [path for path, parameter in net.namedparams()
            if parameter.grad is None or not np.abs(parameter.grad).max() > 0]
    assert not dead


@pytest.mark.parametrize('name', ['VGG16Layers', 'GoogLeNet', 'ResNet50Layers'])
def test_weights_that_are_not_in_the_place_of_chainer_are_asked_for(name, tmp_path,
                                                                  monkeypatch):
    monkeypatch.setattr('minichain.dataset.download._root', str(tmp_path))
    with undrawn(), pytest.raises(OSError, match='pretrained_model=None'):
        getattr(L, name)()


def test_layers_in_other_numbers_are_refused():
    with pytest.raises(ValueError, match='16 or 19'):
        L.VGGLayers(None, 13)
    with pytest.raises(ValueError, match='50, 101 or 152'):
        L.ResNetLayers(None, 34)

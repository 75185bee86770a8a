"""AlexNet and CaffeNet against Caffe networks of the published description, with its geometry."""
import numpy as np
import pytest

from minichain import caffe, no_backprop_mode, using_config
from models.alexnet import AlexNet, CaffeNet
from tests.models.network_checks import undrawn
from tests.vision.seeded import fill, picture


def description(net, pooling_first):
    """The layers of the public prototxt files, as dicts, with the weights of a network."""
    layers, bottom = [], 'data'

    def add(name, kind, top=None, **fields):
        nonlocal bottom
        top = top or name
        layers.append({'name': name, 'type': kind, 'bottom': [bottom], 'top': [top], **fields})
        bottom = top

    def blobs(name):
        return [net[name].W.array, net[name].b.array]

    for number, (outputs, ksize, stride, pad, group) in enumerate((
            (96, 11, 4, 0, 1), (256, 5, 1, 2, 2), (384, 3, 1, 1, 1), (384, 3, 1, 1, 2),
            (256, 3, 1, 1, 2)), 1):
        name = f'conv{number}'
        add(name, 'Convolution', blobs=blobs(name), convolution_param={
            'num_output': outputs, 'kernel_size': [ksize], 'stride': [stride], 'pad': [pad],
            'group': group})
        add(f'relu{number}', 'ReLU', name)
        steps = [(f'pool{number}', 'Pooling', {'pooling_param': {
            'pool': 'MAX', 'kernel_size': 3, 'stride': 2}})] if number in (1, 2, 5) else []
        if number in (1, 2):
            steps.append((f'norm{number}', 'LRN', {'lrn_param': {
                'local_size': 5, 'alpha': 1e-4, 'beta': .75}}))
        for step, kind, fields in steps if pooling_first else steps[::-1]:
            add(step, kind, **fields)
    for name in ('fc6', 'fc7', 'fc8'):
        add(name, 'InnerProduct', blobs=blobs(name),
            inner_product_param={'num_output': len(net[name].W)})
        if name != 'fc8':
            add(f'relu_{name}', 'ReLU', name)
    add('prob', 'Softmax')
    return layers


@pytest.mark.parametrize('cls', [AlexNet, CaffeNet])
def test_every_layer_is_that_of_the_caffe_network_and_its_file_loads(tmp_path, cls):
    with undrawn():
        net, other = cls(), cls()
    assert net.count_params() == 60_965_224
    fill(net)
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    caffe.save(*paths, description(net, cls is CaffeNet), (1, 3, 227, 227))
    report = other.load(paths[0])
    assert len(report.matched) == 16 and not report.unused
    x = net.prepare(picture(240, 300))[None]
    reference = caffe.load(*paths)
    with using_config('train', False), no_backprop_mode():
        ys = other(x, layers=other.available_layers)
        expected = reference({'data': x}, list(ys))
    for (name, y), wanted in zip(ys.items(), expected):
        scale = np.abs(wanted.array).max()
        np.testing.assert_allclose(y.array, wanted.array, rtol=1e-4, atol=1e-5 * scale,
                                   err_msg=name)


def test_dropout_and_fc7_are_where_features_are_taken():
    with undrawn():
        net = CaffeNet(n_classes=10)
    assert net.feature_layer == 'fc7' and net.classifier.W.shape == (10, 4096)
    assert [getattr(f, '__name__', '') for f in net.functions['fc7']][1:] == ['relu', 'dropout']

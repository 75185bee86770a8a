"""SqueezeNet: parameter counts, shapes; the public weights, where they lie beside the project."""
import dataclasses
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from minichain import caffe, image, no_backprop_mode, using_config
from models.squeezenet import SqueezeNet
from tests.models.network_checks import shapes, without_gradient

SHARED = Path(__file__).resolve().parents[3] / 'shared' / 'data'
FOLDER = SHARED / 'models' / 'squeezenet_v1.0'


@pytest.mark.parametrize('version, count', [('1.0', 1_248_424), ('1.1', 1_235_496)])
def test_networks_have_as_many_parameters_as_published(version, count):
    assert SqueezeNet(version).count_params() == count


def test_layers_have_the_shapes_of_the_paper():
    assert shapes(SqueezeNet('1.0'), 1, 3, 224, 224) | {'prob': ()} == {
        'conv1': (96, 109, 109), 'pool1': (96, 54, 54), 'fire2': (128, 54, 54),
        'fire3': (128, 54, 54), 'fire4': (256, 54, 54), 'pool4': (256, 27, 27),
        'fire5': (256, 27, 27), 'fire6': (384, 27, 27), 'fire7': (384, 27, 27),
        'fire8': (512, 27, 27), 'pool8': (512, 13, 13), 'fire9': (512, 13, 13),
        'conv10': (1000, 15, 15), 'pool10': (1000,), 'prob': ()}
    assert shapes(SqueezeNet('1.1'), 1, 3, 227, 227)['conv10'] == (1000, 14, 14)


def test_every_parameter_is_trained_and_the_head_is_a_convolution():
    net = SqueezeNet('1.1').replace_head(3)
    assert net.classifier.W.shape == (3, 512, 1, 1)
    x = np.random.default_rng(0).normal(0, 50, (2, 3, 64, 64)).astype('float32')
    assert not without_gradient(net, x, ['pool10'])


def test_other_versions_are_refused():
    with pytest.raises(ValueError, match="'1.0' or '1.1'"):
        SqueezeNet('1.2')


def public_network():
    path = FOLDER / 'squeezenet_v1.0.caffemodel'
    if not path.exists():
        pytest.skip(f'the public weights are not here ({path} is missing)')
    net = SqueezeNet('1.0')
    report = net.load(path)
    assert len(report.matched) == 52 and not report.missing + report.unused
    return net


def test_public_weights_give_what_the_caffe_network_gives():
    net = public_network()
    reference = caffe.load(FOLDER / 'squeezenet_v1.0.caffemodel', FOLDER / 'deploy.prototxt')
    x = net.prepare(SHARED / 'photos' / 'sk_chelsea.jpg')[None]
    names = {'pool1': 'pool1', 'fire5/concat': 'fire5', 'pool8': 'pool8', 'conv10': 'conv10',
             'pool10': 'pool10', 'prob': 'prob'}
    with using_config('train', False), no_backprop_mode():
        ys = net(x, layers=list(names.values()))
        for (blob, name), wanted in zip(names.items(), reference({'data': x}, list(names))):
            expected = wanted.array.reshape(ys[name].shape)
            assert np.abs(ys[name].array - expected).max() <= 1e-4 * np.abs(expected).max(), blob
    assert ys['prob'].array.argmax() == 285      # Egyptian cat


@pytest.mark.slow
def test_public_weights_recognize_as_many_images_as_in_opencv():
    net = public_network()
    folder = SHARED / 'classification' / 'imagenet_sample500'
    if not folder.exists():
        pytest.skip(f'the sample of ImageNet is not here ({folder} is missing)')
    labels = {entry['file']: entry['label']
              for entry in json.loads((folder / 'labels.json').read_text())['images']}
    # the largest centre of each image, as in the recorded run
    net.preprocessing = dataclasses.replace(net.preprocessing, resize_to=None)
    right = 0
    with tarfile.open(folder / 'images.tar') as archive:
        for member in archive:
            name = Path(member.name).name
            if name in labels:
                x = net.prepare(image.load(archive.extractfile(member), name))[None]
                right += net.features('prob', x).array.argmax() == labels[name]
    assert abs(right / len(labels) - .606) <= .01

"""Public networks, where they lie beside the project, against their recorded outputs."""

import dataclasses
import gzip
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from minichain import image, no_backprop_mode, using_config
from minichain.caffe import load
from minichain.image import Preprocessing

SHARED = Path(__file__).resolve().parents[3] / 'shared' / 'data' / 'models'
NETWORKS = {
    'mtcnn_det1': ('mtcnn/det1.caffemodel', 'mtcnn/det1.prototxt'),
    'mtcnn_det2': ('mtcnn/det2.caffemodel', 'mtcnn/det2.prototxt'),
    'mtcnn_det3': ('mtcnn/det3.caffemodel', 'mtcnn/det3.prototxt'),
    'RFB-320_caffe': ('ultraface/RFB-320.caffemodel', 'ultraface/RFB-320.prototxt'),
    'lenet_mnist100': ('lenet/lenet_iter_10000.caffemodel', 'lenet/lenet.prototxt'),
}


def shared_reference(name):
    path = SHARED / 'refs' / f'{name}.npz'
    if not path.exists():
        pytest.skip(f'the public networks are not here ({path} is missing)')
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.mark.parametrize('name', NETWORKS)
def test_public_networks_give_their_recorded_outputs(name):
    reference = shared_reference(name)
    net = load(*(SHARED / path for path in NETWORKS[name]))
    names = [key[4:] for key in reference if key.startswith('out:')]
    with no_backprop_mode(), using_config('train', False):
        ys = net({net.input_names[0]: reference['input']}, names)
    for key, y in zip(names, ys):
        expected = reference[f'out:{key}']
        assert np.abs(y.array.reshape(expected.shape) - expected).max() < 1e-4 * expected.max()


def test_lenet_reads_handwritten_digits():
    folder = SHARED.parent / 'classification' / 'mnist'
    if not folder.exists():
        pytest.skip(f'the digits of MNIST are not here ({folder} is missing)')
    with gzip.open(folder / 't10k-images-idx3-ubyte.gz') as file:
        x = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / 't10k-labels-idx1-ubyte.gz') as file:
        t = np.frombuffer(file.read(), np.uint8, offset=8)
    net = load(*(SHARED / path for path in NETWORKS['lenet_mnist100']))
    assert net.preprocessing == Preprocessing((28, 28), 'grey', scale=1 / 256)
    with no_backprop_mode(), using_config('train', False):
        right = sum((net({'data': x[i:i + 500] / np.float32(256)}, ['prob'])[0].array.argmax(1)
                     == t[i:i + 500]).sum() for i in range(0, 10_000, 500))
    assert right == 9905


@pytest.mark.slow
def test_squeezenet_recognizes_as_many_images_as_in_opencv():
    folder = SHARED.parent / 'classification' / 'imagenet_sample500'
    if not folder.exists():
        pytest.skip(f'the sample of ImageNet is not here ({folder} is missing)')
    labels = {entry['file']: entry['label']
              for entry in json.loads((folder / 'labels.json').read_text())['images']}
    net = load(SHARED / 'squeezenet_v1.0' / 'squeezenet_v1.0.caffemodel',
               SHARED / 'squeezenet_v1.0' / 'deploy.prototxt')
    net.preprocessing = dataclasses.replace(net.preprocessing, resize='crop')
    right = 0
    with tarfile.open(folder / 'images.tar') as archive, no_backprop_mode(), \
            using_config('train', False):
        for member in archive:
            name = Path(member.name).name
            if name in labels:
                x = net.prepare(image.load(archive.extractfile(member), name))[None]
                pool10, = net({'data': x}, ['pool10'])
                right += pool10.array.argmax() == labels[name]
    assert right / len(labels) == pytest.approx(0.606, abs=0.015)


def test_squeezenet_gives_its_recorded_probabilities_and_blobs():
    reference = shared_reference('squeezenet_v1.0_photos')
    folder = SHARED / 'squeezenet_v1.0'
    net = load(folder / 'squeezenet_v1.0.caffemodel', folder / 'deploy.prototxt')
    assert net.preprocessing == Preprocessing((227, 227), 'BGR', (104, 117, 123))
    x = (reference['input_bgr_u8'] - reference['mean_bgr']).transpose(0, 3, 1, 2)
    photo = list(reference['names']).index(reference['blob_photo'])
    names = [key[5:] for key in reference if key.startswith('blob:')]
    with no_backprop_mode(), using_config('train', False):
        prob, = net({'data': x}, ['prob'])
        # the recorded conv10 is that before its ReLU
        blobs = net({'data': x[photo:photo + 1]}, names, disable=['relu_conv10'])
    np.testing.assert_allclose(prob.array[:, :, 0, 0], reference['prob'], atol=2e-5)
    for name, y in zip(names, blobs):
        expected = reference[f'blob:{name}']
        if name != 'pool10':
            assert np.abs(y.array[0] - expected).max() < 1e-5 * np.abs(expected).max(), name

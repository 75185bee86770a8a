"""The writer: what it writes is read back equal, by us and by OpenCV."""

import os
from pathlib import Path

import numpy as np
import pytest

from minichain.caffe.network import read_network
from minichain.caffe.writer import save
from minichain.errors import FileError, InvalidArgument
from minichain.image import Preprocessing

RANDOM = np.random.default_rng(0)
W1 = RANDOM.standard_normal((4, 3, 3, 3)).astype(np.float32)
b1 = RANDOM.standard_normal(4).astype(np.float32)
W2 = RANDOM.standard_normal((5, 4 * 3 * 3)).astype(np.float32)
b2 = RANDOM.standard_normal(5).astype(np.float32)

LAYERS = [
    {'name': 'conv1', 'type': 'Convolution', 'bottom': ['data'], 'top': ['conv1'],
     'convolution_param': {'num_output': 4, 'kernel_size': [3], 'stride': [2], 'pad': [1]},
     'blobs': [W1, b1]},
    {'name': 'relu1', 'type': 'ReLU', 'bottom': ['conv1'], 'top': ['conv1'],
     'relu_param': {'negative_slope': 0.1}},
    {'name': 'pool1', 'type': 'Pooling', 'bottom': ['conv1'], 'top': ['pool1'],
     'pooling_param': {'pool': 'AVE', 'kernel_size': 2, 'stride': 1, 'global_pooling': False}},
    {'name': 'fc "2"\n', 'type': 'InnerProduct', 'bottom': ['pool1'], 'top': ['fc2'],
     'inner_product_param': {'num_output': 5}, 'blobs': [W2, b2]},
    {'name': 'prob', 'type': 'Softmax', 'bottom': ['fc2'], 'top': ['prob'],
     'softmax_param': {'axis': -1}},
]


def write(folder, **options):
    paths = str(folder / 'net.caffemodel'), str(folder / 'net.prototxt')
    save(*paths, LAYERS, (1, 3, 8, 8), name='mein Netz: äöü', **options)
    return paths


def test_what_is_written_is_read_back_from_either_file(tmp_path):
    caffemodel, prototxt = write(tmp_path)
    for network in (read_network(caffemodel), read_network(caffemodel, prototxt)):
        assert network.name == 'mein Netz: äöü'
        assert network.layers[0].input_param.shape[0].dim == [1, 3, 8, 8]
        for layer, expected in zip(network.layers[1:], LAYERS, strict=True):
            blobs = layer.pop('blobs', [])
            for array, written in zip(blobs, expected.get('blobs', ()), strict=True):
                np.testing.assert_array_equal(array, written)
            assert layer.pop('relu_param', {}).get('negative_slope', 0.1) == pytest.approx(0.1)
            assert layer == {name: value for name, value in expected.items()
                             if name not in ('blobs', 'relu_param')}


def test_opencv_reads_what_is_written(tmp_path):
    cv2 = pytest.importorskip('cv2', reason='OpenCV is the independent reader')
    caffemodel, prototxt = write(tmp_path)
    if not hasattr(cv2.dnn, 'readNetFromCaffe'):
        pytest.skip('this OpenCV has no Caffe reader any more; versions below 5 do')
    net = cv2.dnn.readNetFromCaffe(prototxt, caffemodel)
    x = RANDOM.standard_normal((1, 3, 8, 8)).astype(np.float32)
    net.setInput(x)
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2]
    y = np.einsum('cijkl,ockl->oij', windows, W1) + b1[:, None, None]
    y = np.where(y > 0, y, 0.1 * y)
    y = (y[:, :-1, :-1] + y[:, 1:, :-1] + y[:, :-1, 1:] + y[:, 1:, 1:]) / 4
    y = np.exp(W2 @ y.ravel() + b2)
    np.testing.assert_allclose(net.forward()[0], y / y.sum(), rtol=1e-4, atol=1e-6)


def test_preprocessing_travels_with_the_files(tmp_path):
    preprocessing = Preprocessing((8, 8), 'RGB', (1.5, 2, 3), 1 / 127.5, 'pad')
    paths = write(tmp_path, preprocessing=preprocessing)
    assert read_network(*paths).preprocessing == preprocessing


@pytest.mark.parametrize('change, message', [
    ({'tops': ['a']}, 'LayerParameter has no field tops'),
    ({'bottom': 'data'}, 'bottom: a list expected'),
    ({'name': 3}, 'name: string expected'),
    ({'blobs': [[1.0, 2.0]]}, 'blobs: Blob expected'),
    ({'pooling_param': {'pool': 'MIN'}}, 'pool: PoolMethod expected'),
    ({'convolution_param': {'num_output': -1}}, 'num_output: uint expected'),
    ({'convolution_param': {'num_output': 1.5}}, 'num_output: uint expected'),
    ({'convolution_param': {'bias_term': 1}}, 'bias_term: bool expected'),
    ({'convolution_param': 3}, 'convolution_param: ConvolutionParameter expected'),
    ({'lrn_param': {'alpha': 'x'}}, 'alpha: float expected'),
])
def test_what_the_format_does_not_have_is_refused_before_anything_is_written(
        tmp_path, change, message):
    with pytest.raises(InvalidArgument, match=message):
        save(tmp_path / 'a', tmp_path / 'b', [{'name': 'x', 'type': 'ReLU', **change}],
             (1, 3, 8, 8))
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileError, match='missing'):
        save(tmp_path / 'missing' / 'a', tmp_path / 'b', LAYERS, (1, 3, 8, 8))


def test_the_same_network_gives_the_same_bytes(tmp_path):
    first = [Path(path).read_bytes() for path in write(tmp_path)]
    assert [Path(path).read_bytes() for path in write(tmp_path)] == first


RELU = {'name': 'relu', 'type': 'ReLU', 'bottom': ['data'], 'top': ['relu']}


@pytest.mark.parametrize('changes, message', [
    ({'layers': None}, 'a list expected for layers, got NoneType'),
    ({'input_shape': 3}, 'a list expected for input_shape, got int'),
    ({'preprocessing': {'size': [2, 2]}}, 'Preprocessing expected, got dict'),
    ({'prototxt': 'net.caffemodel'}, 'two paths expected'),
    ({'caffemodel': 1}, 'path of a file to write expected, got int'),
    ({'name': '\udcff'}, 'name: string expected'),
    ({'layers': [{**RELU, 'type': 'Pooling', 'pooling_param': {'pool': ['MAX']}}]},
     'pool: PoolMethod expected'),
    ({'layers': [{**RELU, 'type': 'Power', 'power_param': {'scale': 1e300}}]},
     'scale: float expected'),
    ({'layers': [{**RELU, 'type': 'Power', 'power_param': {'scale': 10 ** 400}}]},
     'scale: float expected'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_arguments_that_no_file_can_hold_are_refused(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    arguments = {'caffemodel': 'net.caffemodel', 'prototxt': 'net.prototxt', 'layers': [RELU],
                 'input_shape': (1, 3, 2, 2), **changes}
    with pytest.raises(InvalidArgument, match=message):
        save(**arguments)
    assert os.listdir(tmp_path) == []


def test_infinite_and_large_numbers_are_kept(tmp_path):
    for number in (float('inf'), 3.4e38, np.float32(2), 7):
        layers = [{**RELU, 'type': 'Power', 'power_param': {'scale': number}}]
        save(tmp_path / 'a', tmp_path / 'b', layers, (1, 3, 2, 2))
        assert read_network(tmp_path / 'a').layers[-1].power_param.scale == np.float32(number)

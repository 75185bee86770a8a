"""Files of both formats and generations give one and the same description."""

import numpy as np
import pytest

from minichain.caffe import load
from minichain.caffe.network import read_network
from minichain.errors import DataError
from minichain.image import Preprocessing
from tests.caffe.encoding import blob, integer, layer, nested, old_layer, single, small_net

W = np.arange(6 * 2 * 3 * 3, dtype=np.float32).reshape(6, 2, 3, 3) / 50
b = np.linspace(-1, 1, 6).astype(np.float32)

SMALL_TEXT = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [2, 4, 7, 9] } } }
layer { name: "conv/a" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 6 pad: 1 kernel_size: 3 stride: 2 group: 2 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" relu_param { negative_slope: 0.25 } }
layer { name: "prob" type: "Softmax" bottom: "conv" top: "prob" }
"""


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path
    return write


def without_blobs(network):
    return [{name: value for name, value in layer.items() if name != 'blobs'}
            for layer in network.layers]


def test_binary_and_text_give_the_same_description(write):
    binary = write('net.caffemodel', small_net(W, b))
    alone = read_network(binary)
    joined = read_network(binary, write('net.prototxt', SMALL_TEXT))
    assert without_blobs(alone) == without_blobs(joined)
    for network in (alone, joined):
        assert network.name == 'small'
        assert [len(layer.blobs) for layer in network.layers] == [0, 2, 0, 0]
        np.testing.assert_array_equal(network.layers[1].blobs[0], W)


def test_old_layers_read_as_new_ones(write):
    convolution = (integer(1, 6) + integer(3, 1) + integer(4, 3) + integer(6, 2) + integer(5, 2))
    old = (nested(1, 'small') + nested(3, 'data')
           + b''.join(integer(4, dim) for dim in (2, 4, 7, 9))
           + old_layer('conv/a', 4, ['data'], ['conv'], [blob(W, legacy=True), blob(b)],
                       nested(10, convolution))
           + old_layer('relu', 18, ['conv'], ['conv'], parameters=nested(30, single(1, 0.25)))
           + old_layer('prob', 20, ['conv'], ['prob']))
    old_text = """
        name: "small" input: "data" input_dim: 2 input_dim: 4 input_dim: 7 input_dim: 9
        layers { name: "conv/a" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1
          convolution_param { num_output: 6 pad: 1 kernel_size: 3 stride: 2 group: 2 } }
        layers { name: "relu" type: RELU bottom: "conv" top: "conv"
          relu_param { negative_slope: 0.25 } }
        layers { name: "prob" type: SOFTMAX bottom: "conv" top: "prob" }"""
    new = read_network(write('new.caffemodel', small_net(W, b)))
    for network in (read_network(write('old.caffemodel', old)),
                    read_network(write('old.caffemodel', old), write('old.prototxt', old_text))):
        for actual, expected in zip(network.layers, new.layers, strict=True):
            assert {name: value for name, value in actual.items()
                    if name not in ('blobs', 'param')} == {
                name: value for name, value in expected.items() if name != 'blobs'}
        np.testing.assert_array_equal(network.layers[1].blobs[0], W)


def test_input_shape_fields_become_input_layers(write):
    network = read_network(write('net.prototxt', """
        input: "a" input: "b" input_shape { dim: 1 dim: 3 dim: 8 dim: 6 } input_shape { dim: 5 }
        layer { name: "x" type: "ReLU" bottom: "a" top: "x" }"""))
    assert [layer.type for layer in network.layers] == ['Input', 'Input', 'ReLU']
    assert network.layers[1].top == ['b']
    assert network.layers[1].input_param.shape[0].dim == [5]


def test_layers_of_the_training_phase_are_left_out(write):
    network = read_network(write('net.prototxt', """
        state { level: 2 stage: "deploy" }
        layer { name: "always" }
        layer { name: "train" include { phase: TRAIN } }
        layer { name: "test" include { phase: TEST } }
        layer { name: "not train" exclude { phase: TRAIN } }
        layer { name: "not test" exclude { phase: TEST } }
        layer { name: "either" include { phase: TRAIN } include { phase: TEST } }
        layer { name: "level" include { min_level: 1 max_level: 2 } }
        layer { name: "other level" include { min_level: 3 } }
        layer { name: "stage" include { stage: "deploy" } }
        layer { name: "other stage" include { stage: "deploy" stage: "other" } }
        layer { name: "not stage" include { not_stage: "deploy" } }"""))
    assert [layer.name for layer in network.layers] == [
        'always', 'test', 'not train', 'either', 'level', 'stage']


def test_weights_go_to_the_layer_of_their_name_even_from_the_training_phase(write):
    model = (layer('spare', 'InnerProduct', blobs=[blob(b)])
             + layer('fc', 'InnerProduct', blobs=[blob(W), blob(b)],
                     parameters=nested(8, integer(1, 0))))
    network = read_network(write('net.caffemodel', model), write(
        'net.prototxt', 'layer { name: "fc" type: "InnerProduct" } layer { name: "x" }'))
    assert [len(layer.blobs) for layer in network.layers] == [2, 0]


@pytest.mark.parametrize('content, hint', [
    (b'\x89HDF\r\n\x1a\n' + b'\0' * 100, 'HDF5'),
    ('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n', 'git lfs pull'),
    ('<!DOCTYPE html><html></html>', 'web page'),
    ('net: "train.prototxt"\nbase_lr: 0.01\n', 'no layers found.*net, base_lr'),
    ('import numpy as np\n', r':1:8: '),
    (nested(1, 'a net without layers') + b'\x08\x01', 'no layers found|not a valid'),
    (integer(2, 1), 'not a valid caffemodel'),
    (nested(2, nested(1, nested(1, 'conv1'))) + nested(3, 'data'), 'upgrade_net_proto'),
    ('layer { name: "a" } layers { name: "b" }', 'both'),
    ('input: "a" input_dim: 1 layer { name: "a" }', 'with as many shapes'),
    ('input: "a" input_shape { dim: -3 } layer { name: "a" }', 'none negative'),
    ('# preprocessing: {"size": [2\nlayer { name: "a" }', 'preprocessing'),
    ('# preprocessing: {"size": "x"}\nlayer { name: "a" }', 'preprocessing'),
    ('# preprocessing: ' + '[' * 20_000 + '\nlayer { name: "a" }', 'preprocessing'),
])
def test_what_is_no_network_is_refused_with_a_hint(write, content, hint):
    with pytest.raises(DataError, match=f'(?s)file.*{hint}'):
        read_network(write('file', content))


def preprocessing_of(write, text):
    return read_network(write('net.prototxt', text)).preprocessing


def test_preprocessing_of_imagenet_networks_is_known_where_the_files_say_nothing(write):
    found = preprocessing_of(write, SMALL_TEXT.replace('[2, 4, 7, 9]', '[1, 3, 227, 227]'))
    assert found == Preprocessing((227, 227), 'BGR', (104, 117, 123))


@pytest.mark.parametrize('dims', ['[2, 4, 227, 227]', '[1, 3, 48, 48]', '[1, 3, 240, 320]', '[9]'])
def test_preprocessing_of_other_networks_is_not_guessed(write, dims):
    assert preprocessing_of(write, SMALL_TEXT.replace('[2, 4, 7, 9]', dims)) is None


def test_preprocessing_follows_the_data_layer_even_of_the_training_phase(write):
    data = """layer { name: "data" type: "Data" top: "data" include { phase: TRAIN }
        transform_param { scale: 0.5 mean_value: 10 mean_value: 20 mean_value: 30
                          crop_size: 24 } }"""
    assert preprocessing_of(write, data) == Preprocessing((24, 24), 'BGR', (10, 20, 30), 0.5)
    sized = data + SMALL_TEXT.replace('[2, 4, 7, 9]', '[1, 3, 7, 9]')
    assert preprocessing_of(write, sized) == Preprocessing((7, 9), 'BGR', (10, 20, 30), 0.5)
    grey = data.replace('mean_value: 10 mean_value: 20', 'force_gray: true')
    assert preprocessing_of(write, grey) == Preprocessing((24, 24), 'grey', (30,), 0.5)


def test_preprocessing_in_a_comment_wins(write):
    text = '# preprocessing: {"size": [5, 6], "channels": "RGB", "resize": "crop"}\n' + SMALL_TEXT
    assert preprocessing_of(write, text) == Preprocessing((5, 6), 'RGB', resize='crop')


def test_an_impossible_size_gives_no_preprocessing(write):
    text = ('input: "data" input_dim: [1, 3, 0, 4000000000] '
            'layer { transform_param { scale: 2 } }')
    assert preprocessing_of(write, text) is None


def test_a_caffemodel_and_a_prototxt_given_in_the_wrong_order_still_say_what_is_wrong(write):
    binary, text = write('net.caffemodel', small_net(W, b)), write('net.prototxt', SMALL_TEXT)
    swapped = read_network(text, binary)        # both hold the layers, so this even works
    np.testing.assert_array_equal(swapped.layers[1].blobs[0], W)


# What is misspelt --------------------------------------------------------------------------------

@pytest.mark.parametrize('field', [
    'relu_parm { negative_slope: 0.1 }', 'inclde { phase: TRAIN }', 'include { phas: TRAIN }',
    'in_place: true'])
def test_a_misspelt_field_of_a_layer_is_named(tmp_path, field):
    """Caffe's own parser refuses it, too; left out, it would silently change the numbers."""
    path = tmp_path / 'net.prototxt'
    path.write_text('input: "data" input_shape { dim: 1 dim: 3 }\n'
                    'layer { name: "r" type: "ReLU" bottom: "data" top: "r" ' + field + '}')
    name = field.split()[-3 if 'phas:' in field else 0].rstrip(':')
    with pytest.raises(DataError, match=name):
        load(path, path)


def test_the_preparation_of_images_is_that_of_the_test_phase(tmp_path):
    path = tmp_path / 'net.prototxt'
    path.write_text(''.join(
        f'layer {{ name: "data" type: "Data" top: "data" include {{ phase: {phase} }} '
        f'transform_param {{ crop_size: {size} mean_value: [104, 117, 123] }} }}\n'
        for phase, size in (('TRAIN', 67), ('TEST', 99)))
        + 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" }')
    assert load(path, path).preprocessing.size == (99, 99)

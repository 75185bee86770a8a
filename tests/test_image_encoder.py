import dataclasses
import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import minichain
from minichain import image
from minichain.caffe.writer import save
from minichain.errors import DataError, DeviceError, FileError, InvalidArgument, NotFinite
from minichain.image import Preprocessing
from minichain.image_encoder import ImageEncoder, expect_digest, sha256_of
from tests import strict_cupy
from tests.tiny_result import PREPROCESSING, inner_product, layer, weights, write_cnn

SHARED = Path(__file__).parents[2] / 'shared' / 'data'


@pytest.fixture
def cnn(tmp_path):
    return write_cnn(tmp_path)


@pytest.fixture
def pictures():
    random = np.random.RandomState(0)
    return [random.randint(0, 256, (20 + i, 30, 3)).astype('uint8') for i in range(3)]


def expected_conv1(x):
    W, b = weights()['conv1']
    return np.maximum(np.einsum('oc,nchw->nohw', W[:, :, 0, 0], x) + b[:, None, None], 0)


def expected_fc7(x):
    W, b = weights()['fc7']
    return np.maximum(expected_conv1(x).reshape(len(x), -1) @ W.T + b, 0)


def test_features_are_the_values_of_fc7(cnn, pictures):
    encoder = ImageEncoder(cnn)
    assert encoder.layer == 'fc7' and encoder.preprocessing == PREPROCESSING
    prepared = [encoder.prepare(picture) for picture in pictures]
    assert prepared[0].shape == (3, 4, 6) and prepared[0].dtype == np.float32
    np.testing.assert_array_equal(prepared[1], PREPROCESSING.apply(pictures[1]))
    features = encoder.compute(prepared)
    assert features.shape == (3, 8) and features.dtype == np.float32
    np.testing.assert_allclose(features, expected_fc7(np.stack(prepared)), rtol=1e-4, atol=1e-5)


def test_maps_are_averaged_over_positions(cnn, pictures):
    encoder = ImageEncoder(cnn, layer='conv1')
    prepared = [encoder.prepare(picture) for picture in pictures]
    np.testing.assert_allclose(encoder.compute(prepared),
                               expected_conv1(np.stack(prepared)).mean(axis=(2, 3)), rtol=1e-5)


def test_nothing_is_recorded_whatever_the_switches_say(cnn, pictures):
    encoder = ImageEncoder(cnn)
    seen = []
    forward = encoder.net.forward

    def watch(*args, **kwargs):
        seen.append((minichain.config.train, minichain.config.enable_backprop))
        return forward(*args, **kwargs)
    encoder.net.forward = watch
    with minichain.using_config('train', True):
        encoder.compute([encoder.prepare(pictures[0])])
        assert minichain.config.train
    assert seen == [(False, False)]


def test_without_fc7_it_is_what_the_last_inner_product_reads(tmp_path):
    assert ImageEncoder(write_cnn(tmp_path, head='pool5')).layer == 'pool5'


def test_without_an_inner_product_it_is_what_the_softmax_reads(tmp_path):
    W, b = weights()['conv1']
    layers = [layer('conv10', 'Convolution', 'data', blobs=(W, b),
                    convolution_param={'num_output': 4, 'kernel_size': [1]}),
              layer('pool10', 'Pooling', 'conv10',
                    pooling_param={'pool': 'AVE', 'global_pooling': True}),
              layer('prob', 'Softmax', 'pool10')]
    save(tmp_path / 'a.caffemodel', tmp_path / 'a.prototxt', layers, (1, 3, 4, 6),
         preprocessing=PREPROCESSING)
    encoder = ImageEncoder(tmp_path / 'a.caffemodel')
    assert encoder.layer == 'pool10'
    assert encoder.compute([np.zeros((3, 4, 6), 'float32')]).shape == (1, 4)


def test_without_a_classifier_it_is_the_last_blob(tmp_path):
    W, b = np.ones((2, 72), 'float32'), np.zeros(2, 'float32')
    save(tmp_path / 'a.caffemodel', tmp_path / 'a.prototxt',
         [inner_product('embedding', 'data', W, b)], (1, 3, 4, 6), preprocessing=PREPROCESSING)
    assert ImageEncoder(tmp_path / 'a.caffemodel').layer == 'embedding'


def test_a_layer_that_is_not_there_is_refused_with_those_that_are(cnn):
    with pytest.raises(InvalidArgument, match=r"no layer 'fc6'; there are conv1, fc7, fc8, prob"):
        ImageEncoder(cnn, layer='fc6')
    with pytest.raises(InvalidArgument, match="no layer 'data'"):
        ImageEncoder(cnn, layer='data')


def public(preprocessing):
    return SimpleNamespace(name='tiny_net', preprocessing=preprocessing)


def test_public_weights_are_prepared_for_as_published_where_the_files_do_not_say_it(tmp_path):
    cnn = write_cnn(tmp_path, preprocessing=None)
    published = Preprocessing((4, 6), 'RGB', (1., 2.5, 3.), resize='crop', resize_to=9,
                              std=(2., 2., 2.))
    encoder = ImageEncoder(cnn, registered=public(published))
    assert encoder.preprocessing == published
    assert encoder.preparation == ('4 x 6 RGB, crop, mean 1 2.5 3, std 2 2 2; as published for '
                                   'tiny_net')
    assert encoder.description['preprocessing'] == published.to_dict()
    with pytest.raises(DataError, match='how to prepare images is not known'):
        ImageEncoder(cnn, registered=public(None))


def test_a_line_in_the_prototxt_and_an_argument_count_more_than_what_is_published(cnn):
    published = Preprocessing((4, 6), 'RGB')
    encoder = ImageEncoder(cnn, registered=public(published))
    assert encoder.preprocessing == PREPROCESSING
    assert encoder.preparation == ('4 x 6 BGR, warp, mean 104 117 123, scale 0.01; as '
                                   f'{os.path.splitext(cnn)[0]}.prototxt says')
    named = ImageEncoder(cnn, preprocessing=Preprocessing((4, 6), 'BGR'),
                         registered=public(published))
    assert named.preparation == '4 x 6 BGR, warp; as it was named'


def test_a_transform_param_counts_less_than_what_is_published(tmp_path):
    cnn = write_cnn(tmp_path, preprocessing=None)
    prototxt = tmp_path / 'tiny.prototxt'
    prototxt.write_text(prototxt.read_text().replace(
        'type: "Convolution"', 'type: "Convolution" transform_param { scale: 0.5 }', 1))
    encoder = ImageEncoder(cnn)
    assert encoder.preprocessing == Preprocessing((4, 6), 'BGR', scale=.5)
    assert 'as a transform_param in' in encoder.preparation
    published = Preprocessing((4, 6), 'RGB')
    assert ImageEncoder(cnn, registered=public(published)).preprocessing == published


def test_a_guess_is_called_one_and_other_inputs_are_not_those_of_the_published_network(tmp_path):
    W, b = weights()['conv1']
    save(tmp_path / 'a.caffemodel', tmp_path / 'a.prototxt',
         [layer('fc7', 'Convolution', 'data', blobs=(W, b),
                convolution_param={'num_output': 4, 'kernel_size': [1]})], (1, 3, 227, 227))
    for registered in (None, public(None), public(Preprocessing((224, 224), 'RGB'))):
        encoder = ImageEncoder(tmp_path / 'a.caffemodel', registered=registered)
        assert encoder.preprocessing == Preprocessing((227, 227), 'BGR', (104, 117, 123))
        assert encoder.preparation.startswith('227 x 227 BGR, warp, mean 104 117 123; a guess')
    published = Preprocessing((227, 227), 'RGB')
    assert ImageEncoder(tmp_path / 'a.caffemodel',
                        registered=public(published)).preprocessing == published


def test_a_network_that_does_not_say_how_to_prepare_images_is_refused(tmp_path):
    cnn = write_cnn(tmp_path, preprocessing=None)
    with pytest.raises(DataError, match='how to prepare images is not known.*# preprocessing:'):
        ImageEncoder(cnn)
    other = Preprocessing((4, 6), 'RGB')
    assert ImageEncoder(cnn, preprocessing=other).preprocessing == other


def test_the_description_goes_through_json_and_makes_the_same_encoder(cnn, pictures, tmp_path):
    encoder = ImageEncoder(os.path.relpath(cnn), layer='conv1')
    description = json.loads(json.dumps(encoder.description))
    assert description == {
        'weights': str(cnn), 'prototxt': str(tmp_path / 'tiny.prototxt'), 'layer': 'conv1',
        'sha256': hashlib.sha256(cnn.read_bytes()).hexdigest(),
        'prototxt_sha256': hashlib.sha256((tmp_path / 'tiny.prototxt').read_bytes()).hexdigest(),
        'preprocessing': PREPROCESSING.to_dict()}
    again = ImageEncoder.from_description(description)
    prepared = [encoder.prepare(picture) for picture in pictures]
    np.testing.assert_array_equal(again.compute(prepared), encoder.compute(prepared))
    assert again.key == encoder.key


def test_the_key_does_not_depend_on_where_the_files_are(cnn, tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    other = ImageEncoder(write_cnn(tmp_path / 'elsewhere'))
    assert other.key == ImageEncoder(cnn).key and 'weights' not in other.key
    assert other.key != ImageEncoder(cnn, layer='conv1').key
    changed = ImageEncoder(write_cnn(tmp_path / 'elsewhere', seed=1))
    assert other.key['sha256'] != changed.key['sha256']


def test_other_weights_are_refused_with_both_hashes(cnn, tmp_path):
    description = ImageEncoder(cnn).description
    other = write_cnn(tmp_path, seed=1, name='other')
    with pytest.raises(DataError) as caught:
        ImageEncoder.from_description(description, weights=other)
    assert description['sha256'] in str(caught.value) and sha256_of(other) in str(caught.value)
    write_cnn(tmp_path, seed=1)
    with pytest.raises(DataError, match='another one'):
        ImageEncoder.from_description(description)


def test_another_prototxt_is_refused(cnn, tmp_path):
    description = ImageEncoder(cnn).description
    prototxt = tmp_path / 'tiny.prototxt'
    prototxt.write_text(prototxt.read_text().replace('104', '105'))
    with pytest.raises(DataError, match='tiny.prototxt.*another one'):
        ImageEncoder.from_description(description)


def test_moved_weights_are_found_where_the_option_says(cnn, tmp_path):
    description = ImageEncoder(cnn).description
    moved = tmp_path / 'moved'
    moved.mkdir()
    for ending in ('caffemodel', 'prototxt'):
        (tmp_path / f'tiny.{ending}').rename(moved / f'renamed.{ending}')
    with pytest.raises(FileError, match='tiny.caffemodel.*--weights.*sha256 is'):
        ImageEncoder.from_description(description)
    again = ImageEncoder.from_description(description, weights=moved / 'renamed.caffemodel')
    assert again.key == {key: description[key] for key in again.key}
    (moved / 'renamed.prototxt').unlink()
    with pytest.raises(FileError, match='tiny.prototxt.*beside the weights'):
        ImageEncoder.from_description(description, weights=moved / 'renamed.caffemodel')


def test_a_network_without_a_prototxt_stays_one_without(cnn, tmp_path):
    encoder = ImageEncoder(cnn, prototxt=False, preprocessing=PREPROCESSING)
    assert encoder.description['prototxt'] is None
    again = ImageEncoder.from_description(encoder.description)      # one lies beside it
    assert again.description == encoder.description


@pytest.mark.parametrize('change', [
    {'weights': 3}, {'sha256': None}, {'prototxt': None}, {'layer': ['fc7']}, {'size': 1},
    {'preprocessing': {}}, {'preprocessing': {'size': [10 ** 9, 10 ** 9]}}])
def test_a_damaged_description_is_refused(cnn, change):
    with pytest.raises(DataError):
        ImageEncoder.from_description({**ImageEncoder(cnn).description, **change})
    with pytest.raises(DataError):
        ImageEncoder.from_description([])


def test_weights_that_are_not_finite_are_noticed(tmp_path, pictures):
    broken = inner_product('fc7', 'data', np.full((2, 72), np.nan, 'f'), np.zeros(2, 'f'))
    save(tmp_path / 'a.caffemodel', tmp_path / 'a.prototxt', [broken], (1, 3, 4, 6),
         preprocessing=PREPROCESSING)
    encoder = ImageEncoder(tmp_path / 'a.caffemodel')
    with pytest.raises(NotFinite, match="'fc7' gives values that are not finite"):
        encoder.compute([encoder.prepare(pictures[0])])


def test_digests_of_what_is_no_file_are_errors(tmp_path):
    with pytest.raises(FileError, match='a file expected'):
        sha256_of(tmp_path)
    with pytest.raises(FileError, match='cannot be read'):
        sha256_of('a\0b')
    with pytest.raises(FileError, match='its sha256 is abc'):
        expect_digest(tmp_path / 'none', 'abc', 'Look elsewhere')


def test_a_gpu_that_is_not_there_is_a_device_error(cnn):
    with strict_cupy.installed(available=False):
        with pytest.raises(DeviceError, match='--device cpu'):
            ImageEncoder(cnn, device='cuda')


def test_on_a_gpu_it_computes_there_and_gives_numpy(cnn, pictures):
    encoder = ImageEncoder(cnn)
    prepared = [encoder.prepare(picture) for picture in pictures]
    with strict_cupy.installed():
        features = ImageEncoder(cnn, device='cuda').compute(prepared)
    assert type(features) is np.ndarray
    np.testing.assert_allclose(features, encoder.compute(prepared), rtol=1e-6)


def test_squeezenet_knows_its_cat():
    weights = SHARED / 'models' / 'squeezenet_v1.0' / 'squeezenet_v1.0.caffemodel'
    if not weights.exists():
        pytest.skip('SqueezeNet and photos of ../shared/data are not there')
    encoder = ImageEncoder(weights)
    assert encoder.layer == 'pool10'
    photo = image.load(SHARED / 'photos' / 'sk_chelsea.jpg')
    scores = encoder.compute([encoder.prepare(photo)])
    assert scores.shape == (1, 1000) and scores.argmax() == 285     # Egyptian cat


@pytest.mark.parametrize('changes', [{}, {'channels': 'RGB', 'std': (2, 3, 4)},
                                     {'mean': None, 'resize': 'crop'}, {'resize': 'pad'}])
@pytest.mark.parametrize('kernels', ['fused', 'generic'])
def test_to_a_gpu_go_bytes_and_the_features_are_the_same(cnn, pictures, changes, kernels):
    how = dataclasses.replace(PREPROCESSING, **changes)
    here, there = (ImageEncoder(cnn, device=device, preprocessing=how)
                   for device in ('cpu', 'sim'))
    prepared = [there.prepare(picture) for picture in pictures]
    as_bytes = how.resize != 'pad'
    assert {each.dtype for each in prepared} == {np.dtype('uint8' if as_bytes else 'float32')}
    with minichain.using_config('kernels', kernels):
        features = there.compute(prepared)
    np.testing.assert_allclose(
        features, here.compute([here.prepare(picture) for picture in pictures]), rtol=1e-4,
        atol=1e-4)

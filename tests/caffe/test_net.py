"""Networks as Chains: which blobs are computed, how weights behave, what is refused."""

import copy
import random
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from caffe_encoding import blob, integer, layer, nested, old_layer, single, small_net

from minichain import Variable, no_backprop_mode, using_config
from minichain.caffe import CaffeFunction, load, save
from minichain.errors import DataError, FileError, InvalidArgument, InvalidType, MinichainError
from minichain.image import Preprocessing

W = np.arange(6 * 2 * 3 * 3, dtype=np.float32).reshape(6, 2, 3, 3) / 50
b = np.linspace(-1, 1, 6).astype(np.float32)
X = np.random.default_rng(0).standard_normal((2, 4, 7, 9)).astype(np.float32)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / 'small.caffemodel'
    path.write_bytes(small_net(W, b))
    return path


def text_net(tmp_path, text, strict=True):
    path = tmp_path / 'net.prototxt'
    path.write_text(text)
    return CaffeFunction(path, strict=strict)


def test_any_blob_by_name_in_the_order_asked_for(small):
    net = CaffeFunction(small)
    prob, data, conv = net(inputs={'data': X}, outputs=['prob', 'data', 'conv'])
    assert isinstance(prob, Variable) and conv.shape == (2, 6, 4, 5)
    np.testing.assert_array_equal(data.array, X)
    e = np.exp(conv.array - conv.array.max(1, keepdims=True))
    np.testing.assert_allclose(prob.array, e / e.sum(1, keepdims=True), rtol=1e-5)
    assert net.input_names == ('data',) and net.blob_names == ('data', 'conv', 'prob')


def test_a_blob_changed_in_place_has_its_last_value_unless_the_layer_is_disabled(small):
    net = load(small)
    after, = net({'data': X}, ['conv'])
    before, = net({'data': X}, ['conv'], disable=['relu'])
    assert before.array.min() < -1
    np.testing.assert_allclose(
        after.array, np.where(before.array > 0, before.array, 0.25 * before.array), rtol=1e-6)


def test_a_given_blob_is_not_computed(small):
    conv = np.ones((1, 6, 2, 2), np.float32)
    prob, = load(small)(inputs={'conv': conv}, outputs=['prob'])
    np.testing.assert_allclose(prob.array, 1 / 6, rtol=1e-6)


def test_only_what_is_asked_for_is_computed(tmp_path):
    net = text_net(tmp_path, """
        input: "data"
        layer { name: "a" type: "ReLU" bottom: "data" top: "a" }
        layer { name: "no" type: "Softmax" bottom: "data" top: "no" softmax_param { axis: 9 } }
        layer { name: "b" type: "ReLU" bottom: "a" top: "b" }
        layer { name: "c" type: "Eltwise" bottom: "no" bottom: "label" top: "c" }""")
    y, = net({'data': X}, ['b'])
    np.testing.assert_array_equal(y.array, np.maximum(X, 0))
    with pytest.raises(DataError, match=r"layer 2 'no' \(Softmax\) with data \(2, 4, .*: axis 9"):
        net({'data': X}, ['no'])
    with pytest.raises(InvalidArgument, match="blob 'label'; .*has the inputs data, label"):
        net({'data': X, 'no': X}, ['c'])


def test_intermediate_blobs_are_let_go(tmp_path):
    depth, size = 30, 1 << 20
    layers = ''.join(f'layer {{ name: "r{i}" type: "ReLU" bottom: "b{i}" top: "b{i + 1}" }}'
                     for i in range(depth))
    net = text_net(tmp_path, layers)
    tracemalloc.start()
    with no_backprop_mode():
        net({'b0': np.ones((1, size), np.float32)}, [f'b{depth}'])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 4 * size


@pytest.mark.parametrize('arguments, message', [
    (({'dada': X}, ['prob']), "no blob 'dada'; there are data, conv, prob"),
    (({'data': X}, ['fc7']), "no blob 'fc7'"),
    (({'data': X}, ['prob'], ['relu9']), "no layer 'relu9'; there are conv/a, relu, prob"),
    (({}, ['prob']), "needs the blob 'data'"),
    ((X, ['prob']), 'inputs, a dict'),
    (({'data': X}, 'prob'), 'outputs, a list'),
])
def test_wrong_names_are_refused_with_the_right_ones(small, arguments, message):
    with pytest.raises(InvalidArgument, match=message):
        load(small)(*arguments)


def test_an_input_of_a_wrong_shape_names_the_layer(small):
    with pytest.raises(InvalidType, match=r"layer 1 'conv/a' \(Convolution\) with data \(2, 3, 7"):
        load(small)({'data': X[:, :3]}, ['prob'])


UNSUPPORTED = """
    layer { name: "ok" type: "ReLU" bottom: "data" top: "ok" }
    layer { name: "mine" type: "Python" bottom: "ok" top: "a" }
    layer { name: "new" type: "Pooling" bottom: "a" top: "b"
            pooling_param { kernel_size: 2 pool: MEDIAN } }
    layer { name: "lost" type: "ReLU" top: "e" }
    layer { name: "odd" type: "ReLU" bottom: "b" top: "c" relu_param { novel: 1 } }
    layer { name: "fc" type: "InnerProduct" bottom: "c" top: "d"
            inner_product_param { num_output: 3 } }"""


def test_all_that_is_not_supported_is_reported_at_once_before_anything_is_computed(tmp_path):
    with pytest.raises(DataError) as caught:
        text_net(tmp_path, UNSUPPORTED)
    text = str(caught.value)
    assert 'net.prototxt: 5 of 6 layers cannot be used' in text
    for line in ("layer 1 'mine' (Python): this type is not supported",
                 "layer 2 'new' (Pooling): pooling_param.pool has the unknown value 'MEDIAN'",
                 "layer 3 'lost' (ReLU): 1 bottom expected, got 0",
                 "layer 4 'odd' (ReLU): relu_param has unknown fields novel",
                 "layer 5 'fc' (InnerProduct): 2 blobs of weights expected, the file has 0"):
        assert line in text


def test_without_strictness_the_supported_part_can_be_used(tmp_path):
    net = text_net(tmp_path, UNSUPPORTED, strict=False)
    y, = net({'data': X}, ['ok'])
    np.testing.assert_array_equal(y.array, np.maximum(X, 0))
    with pytest.raises(DataError, match=r"(?s)2 of 6 layers.*'mine' \(Python\).*'new'"):
        net({'data': X}, ['b'])
    z, = net({'data': X}, ['b'], disable=['mine', 'new'])
    np.testing.assert_array_equal(z.array, y.array)


def test_weights_are_parameters_under_caffes_names(small):
    net = load(small)
    names = dict(net.namedparams())
    assert list(names) == ['/conv/a/W', '/conv/a/b']
    np.testing.assert_array_equal(names['/conv/a/W'].array, W)
    np.testing.assert_array_equal(net['conv/a'].b.array, b)


def test_gradients_reach_the_weights_and_training_leaves_the_file_alone(small):
    net, before = load(small), small.read_bytes()
    weights = np.random.default_rng(1).standard_normal((2, 6, 4, 5)).astype(np.float32)

    def loss():
        conv, = net({'data': X}, ['conv'])
        y = conv * weights
        y = y.reshape(-1)
        return (y @ np.ones(y.size, np.float32)).reshape(())
    first = loss()
    first.backward()
    W1, b1 = net['conv/a'].W, net['conv/a'].b
    gradients = W1.grad.copy(), b1.grad.copy()
    for parameter, gradient in zip((W1, b1), gradients):
        direction = np.random.default_rng(2).standard_normal(gradient.shape).astype(np.float32)
        values = []
        for step in (1e-3, -2e-3):
            parameter.array[...] += step * direction
            values.append(float(loss().array))
        parameter.array[...] += 1e-3 * direction
        expected = (gradient * direction).sum()
        assert (values[0] - values[1]) / 2e-3 == pytest.approx(expected, rel=2e-2)
    assert small.read_bytes() == before


def test_weights_can_be_overwritten_before_they_were_used(small):
    net = load(small)
    net['conv/a'].W.array[...] = 0
    conv, = net({'data': X}, ['conv'], disable=['relu'])
    np.testing.assert_allclose(conv.array, np.broadcast_to(b[:, None, None], conv.shape))
    np.testing.assert_array_equal(load(small)['conv/a'].W.array, W)


def test_used_weights_are_aligned_whatever_their_place_in_the_file(tmp_path):
    for shift in range(4):
        path = tmp_path / f'{shift}.caffemodel'
        path.write_bytes(nested(1, 'x' * shift) + small_net(W, b))
        net = load(path)
        net({'data': X}, ['prob'])
        assert all(parameter.array.flags.aligned for parameter in net.params())


def test_a_net_can_be_copied(small):
    net = load(small)
    clone = copy.deepcopy(net)
    clone['conv/a'].W.array[...] = 0
    np.testing.assert_array_equal(net['conv/a'].W.array, W)
    assert not clone({'data': X}, ['conv'])[0].array[:, 2].std() > 1e-6


def test_dropout_follows_the_configuration(tmp_path):
    net = text_net(tmp_path, 'layer { name: "d" type: "Dropout" bottom: "x" top: "x" }')
    with using_config('train', True):
        y, = net({'x': X}, ['x'], disable=['d'])
        np.testing.assert_array_equal(y.array, X)
    path = tmp_path / 'net.prototxt'
    path.write_text('layer { name: "d" type: "Dropout" bottom: "x" top: "y" }')
    net = load(path)
    with using_config('train', True):
        y, = net({'x': X}, ['y'])
        assert 0.3 < (y.array == 0).mean() < 0.7
    with using_config('train', False):
        y, = net({'x': X}, ['y'])
        np.testing.assert_array_equal(y.array, X)


def test_double_weights_and_old_layers_give_the_same_values(small, tmp_path):
    convolution = integer(1, 6) + integer(3, 1) + integer(4, 3) + integer(6, 2) + integer(5, 2)
    old = (old_layer('conv/a', 4, ['data'], ['conv'],
                     [blob(W, double=True, legacy=True), blob(b, packed=False)],
                     nested(10, convolution))
           + old_layer('relu', 18, ['conv'], ['conv'], parameters=nested(30, single(1, 0.25)))
           + old_layer('prob', 20, ['conv'], ['prob']))
    path = tmp_path / 'old.caffemodel'
    path.write_bytes(old)
    expected, = load(small)({'data': X}, ['prob'])
    actual, = load(path)({'data': X}, ['prob'])
    np.testing.assert_array_equal(actual.array, expected.array)


@pytest.mark.parametrize('name', [
    'forward', 'params', 'name', 'preprocessing', '', 'a/b', '0', '_params'])
def test_layers_may_have_any_name(tmp_path, name):
    path = tmp_path / 'net.caffemodel'
    path.write_bytes(layer(name, 'PReLU', ['x'], ['y'], [blob(np.full(4, 0.5))]))
    net = load(path)
    y, = net({'x': X}, ['y'])
    np.testing.assert_allclose(y.array, np.where(X > 0, X, X / 2))
    assert len(list(net.namedparams())) == 1


def test_two_layers_of_one_name_with_weights_are_refused(tmp_path):
    path = tmp_path / 'net.caffemodel'
    path.write_bytes(layer('p', 'PReLU', ['x'], ['y'], [blob(np.full(4, 0.5))]) * 2)
    with pytest.raises(DataError, match='same name'):
        load(path)


def test_prepare_makes_network_input_of_an_image(tmp_path, small):
    layers = [{'name': 'r', 'type': 'ReLU', 'bottom': ['data'], 'top': ['r']}]
    paths = tmp_path / 'a.caffemodel', tmp_path / 'a.prototxt'
    save(*paths, layers, (1, 3, 4, 6), preprocessing=Preprocessing((4, 6), 'BGR', (1, 2, 3), 0.5))
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    x = load(*paths).prepare(image)
    expected = (image[:, :, ::-1].transpose(2, 0, 1) - np.array([1, 2, 3])[:, None, None]) / 2
    np.testing.assert_allclose(x, expected, rtol=1e-6)
    with pytest.raises(InvalidArgument, match='preparation of images is not known'):
        load(small).prepare(image)
    with pytest.raises(FileError, match=r'photo\.jpg'):
        load(*paths).prepare(tmp_path / 'photo.jpg')


def test_damaged_files_end_in_our_errors_or_in_a_net_within_bounds(tmp_path):
    layers = [
        {'name': 'conv', 'type': 'Convolution', 'bottom': ['data'], 'top': ['conv'],
         'convolution_param': {'num_output': 4, 'kernel_size': [3], 'stride': [2], 'pad': [1]},
         'blobs': [W[:4, :1].repeat(3, 1), b[:4]]},
        {'name': 'pool', 'type': 'Pooling', 'bottom': ['conv'], 'top': ['pool'],
         'pooling_param': {'pool': 'AVE', 'kernel_size': 3, 'stride': 2, 'pad': 1}},
        {'name': 'lrn', 'type': 'LRN', 'bottom': ['pool'], 'top': ['lrn']},
        {'name': 'shape', 'type': 'Reshape', 'bottom': ['lrn'], 'top': ['shape'],
         'reshape_param': {'shape': {'dim': [0, 2, -1]}}},
        {'name': 'turn', 'type': 'Permute', 'bottom': ['shape'], 'top': ['turn'],
         'permute_param': {'order': [0, 2, 1]}},
        {'name': 'prob', 'type': 'Softmax', 'bottom': ['turn'], 'top': ['prob']}]
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    save(*paths, layers, (1, 3, 9, 9))
    whole, source, outcomes = [path.read_bytes() for path in paths], random.Random(4), set()
    x, start = np.ones((1, 3, 9, 9), np.float32), time.perf_counter()
    tracemalloc.start()
    for _ in range(400):
        files = [bytearray(data) for data in whole]
        file = source.choice(files)
        for _ in range(source.choice((1, 2, 6))):
            file[source.randrange(len(file))] = source.choice((
                source.randrange(256), ord(source.choice('0123456789"{}'))))
        if source.random() < 0.1:
            del file[source.randrange(len(file)):]
        for path, data in zip(paths, files):
            path.write_bytes(data)
        try:
            with no_backprop_mode(), np.errstate(all='ignore'):
                net = load(*(paths if source.random() < 0.7 else paths[:1]))
                net(dict.fromkeys(net.input_names, x), net.blob_names[-1:])
            outcomes.add('net')
        except MinichainError:
            outcomes.add('refused')
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcomes == {'net', 'refused'}
    assert peak < 1 << 29 and time.perf_counter() - start < 60


# Against OpenCV, which reads Caffe's files with Google's protobuf

def opencv_net(paths):
    cv2 = pytest.importorskip('cv2', reason='OpenCV is the independent reader')
    if not hasattr(cv2.dnn, 'readNetFromCaffe'):
        pytest.skip('this OpenCV has no Caffe reader any more; versions below 5 do')
    return cv2.dnn.readNetFromCaffe(str(paths[1]), str(paths[0]))


SOURCE = np.random.default_rng(7)


def convolutional(name, bottom, top, outputs, inputs, kernel, group=1, **options):
    scale = (inputs / group * kernel ** 2) ** -0.5
    return {'name': name, 'type': 'Convolution', 'bottom': [bottom], 'top': [top],
            'convolution_param': {'num_output': outputs, 'kernel_size': [kernel], 'group': group,
                                  **options},
            'blobs': [(SOURCE.standard_normal((outputs, inputs // group, kernel, kernel)) * scale
                       ).astype(np.float32),
                      (SOURCE.standard_normal(outputs) * 0.1).astype(np.float32)]}


def test_a_net_like_caffenet_equals_opencvs(tmp_path):
    def dense(name, bottom, outputs, inputs):
        return {'name': name, 'type': 'InnerProduct', 'bottom': [bottom], 'top': [name],
                'inner_product_param': {'num_output': outputs},
                'blobs': [(SOURCE.standard_normal((outputs, inputs)) * inputs ** -0.5
                           ).astype(np.float32), np.zeros(outputs, np.float32)]}

    def relu(name, blob):
        return {'name': name, 'type': 'ReLU', 'bottom': [blob], 'top': [blob]}

    def pool(name, bottom):
        return {'name': name, 'type': 'Pooling', 'bottom': [bottom], 'top': [name],
                'pooling_param': {'pool': 'MAX', 'kernel_size': 3, 'stride': 2}}

    def norm(name, bottom):
        return {'name': name, 'type': 'LRN', 'bottom': [bottom], 'top': [name],
                'lrn_param': {'local_size': 5, 'alpha': 0.5, 'beta': 0.75}}
    layers = [
        convolutional('conv1', 'data', 'conv1', 12, 3, 7, stride=[3]), relu('relu1', 'conv1'),
        pool('pool1', 'conv1'), norm('norm1', 'pool1'),
        convolutional('conv2', 'norm1', 'conv2', 16, 12, 5, 2, pad=[2]), relu('relu2', 'conv2'),
        pool('pool2', 'conv2'), norm('norm2', 'pool2'),
        convolutional('conv3', 'norm2', 'conv3', 16, 16, 3, 2, pad=[1]), relu('relu3', 'conv3'),
        dense('fc6', 'conv3', 20, 16 * 5 * 5), relu('relu6', 'fc6'),
        {'name': 'drop6', 'type': 'Dropout', 'bottom': ['fc6'], 'top': ['fc6']},
        dense('fc7', 'fc6', 15, 20), relu('relu7', 'fc7'), dense('fc8', 'fc7', 10, 15),
        {'name': 'prob', 'type': 'Softmax', 'bottom': ['fc8'], 'top': ['prob']}]
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    save(*paths, layers, (2, 3, 67, 67))
    peer = opencv_net(paths)
    x = SOURCE.standard_normal((2, 3, 67, 67)).astype(np.float32)
    peer.setInput(x)
    names = ['pool1', 'norm1', 'norm2', 'prob']
    with using_config('train', False):
        for name, y in zip(names, load(*paths)({'data': x}, names)):
            expected = peer.forward(name)
            assert y.shape == expected.shape
            np.testing.assert_allclose(y.array, expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_an_inception_module_with_batch_norm_equals_opencvs(tmp_path):
    def normal(*shape):
        return SOURCE.standard_normal(shape).astype(np.float32)
    layers = [
        convolutional('a', 'data', 'a', 4, 3, 1),
        {'name': 'bn', 'type': 'BatchNorm', 'bottom': ['a'], 'top': ['a'],
         'blobs': [normal(4), np.abs(normal(4)) + 1, np.array([1.25], np.float32)]},
        {'name': 'scale', 'type': 'Scale', 'bottom': ['a'], 'top': ['a'],
         'scale_param': {'bias_term': True}, 'blobs': [normal(4), normal(4)]},
        {'name': 'prelu', 'type': 'PReLU', 'bottom': ['a'], 'top': ['a'], 'blobs': [normal(4)]},
        convolutional('b', 'data', 'b', 4, 3, 3, pad=[2], dilation=[2]),
        {'name': 'leak', 'type': 'ReLU', 'bottom': ['b'], 'top': ['b'],
         'relu_param': {'negative_slope': 0.1}},
        {'name': 'c', 'type': 'Pooling', 'bottom': ['data'], 'top': ['c'],
         'pooling_param': {'pool': 'MAX', 'kernel_size': 3, 'stride': 1, 'pad': 1}},
        {'name': 'join', 'type': 'Concat', 'bottom': ['a', 'b', 'c'], 'top': ['join']},
        {'name': 'pool', 'type': 'Pooling', 'bottom': ['join'], 'top': ['pool'],
         'pooling_param': {'pool': 'AVE', 'kernel_size': 3, 'stride': 2, 'pad': 1}},
        {'name': 'up', 'type': 'Deconvolution', 'bottom': ['pool'], 'top': ['up'],
         'convolution_param': {'num_output': 5, 'kernel_size': [4], 'stride': [2], 'pad': [1]},
         'blobs': [normal(11, 5, 4, 4), normal(5)]},
        {'name': 'turn', 'type': 'Permute', 'bottom': ['up'], 'top': ['turn'],
         'permute_param': {'order': [0, 2, 3, 1]}},
        {'name': 'flat', 'type': 'Reshape', 'bottom': ['turn'], 'top': ['flat'],
         'reshape_param': {'shape': {'dim': [0, -1, 5]}}},
        {'name': 'prob', 'type': 'Softmax', 'bottom': ['flat'], 'top': ['prob'],
         'softmax_param': {'axis': 2}}]
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    save(*paths, layers, (1, 3, 10, 12))
    peer = opencv_net(paths)
    x = normal(1, 3, 10, 12)
    peer.setInput(x)
    names = ['join', 'pool', 'up', 'prob']
    for name, y in zip(names, load(*paths)({'data': x}, names)):
        expected = peer.forward(name)
        assert y.shape == expected.shape
        np.testing.assert_allclose(y.array, expected, rtol=1e-4, atol=1e-4, err_msg=name)


# Public networks, where they lie beside the project

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

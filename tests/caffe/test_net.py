"""Networks as Chains: which blobs are computed, how weights behave, what is refused."""

import copy
import os
import random
import re
import time
import tracemalloc

import numpy as np
import pytest

from minichain import Variable, no_backprop_mode, using_config
from minichain.caffe import CaffeFunction, load, save
from minichain.errors import DataError, FileError, InvalidArgument, InvalidType, MinichainError
from minichain.image import Preprocessing
from tests.caffe.encoding import blob, integer, layer, nested, old_layer, single, small_net

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
    assert net.layers == [('conv/a', ['data'], ['conv']), ('relu', ['conv'], ['conv']),
                          ('prob', ['conv'], ['prob'])]


def test_a_blob_changed_in_place_has_its_last_value_unless_the_layer_is_disabled(small):
    net = load(small)
    after, = net({'data': X}, ['conv'])
    before, = net({'data': X}, ['conv'], disable=['relu'])
    assert before.array.min() < -1
    np.testing.assert_allclose(
        after.array, np.where(before.array > 0, before.array, 0.25 * before.array), rtol=1e-6)


def test_a_given_blob_is_not_made_but_changed_in_place(small):
    given = -np.ones((1, 6, 2, 2), np.float32)
    conv, prob = load(small)(inputs={'conv': given}, outputs=['conv', 'prob'])
    np.testing.assert_array_equal(conv.array, 0.25 * given)
    np.testing.assert_allclose(prob.array, 1 / 6, rtol=1e-6)


def test_an_input_that_is_changed_in_place_is_still_an_input(tmp_path):
    net = text_net(tmp_path, """
        layer { name: "p" type: "Power" bottom: "x" top: "x" power_param { scale: 2 } }
        layer { name: "r" type: "ReLU" bottom: "x" top: "y" }""")
    assert net.input_names == ('x',) and net.blob_names == ('x', 'y')
    x, y = net({'x': X}, ['x', 'y'])
    np.testing.assert_array_equal(x.array, 2 * X)
    np.testing.assert_array_equal(y.array, np.maximum(2 * X, 0))


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
])
def test_wrong_names_are_refused_with_the_right_ones(small, arguments, message):
    with pytest.raises(InvalidArgument, match=message):
        load(small)(*arguments)


def test_an_input_of_a_wrong_shape_names_the_layer(small):
    with pytest.raises(InvalidType, match=r"layer 1 'conv/a' \(Convolution\) with data \(2, 3, 7"):
        load(small)({'data': X[:, :3]}, ['prob'])


UNSUPPORTED = """
    layer { name: "ok" type: "ReLU" bottom: "data" top: "ok" }
    layer { name: "mine" type: "Novel" bottom: "ok" top: "a" }
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
    for line in ("layer 1 'mine' (Novel): this type is not supported",
                 "layer 2 'new' (Pooling): pooling_param.pool has the unknown value 'MEDIAN'",
                 "layer 3 'lost' (ReLU): 1 bottom expected, got 0",
                 "layer 4 'odd' (ReLU): relu_param has unknown fields novel",
                 "layer 5 'fc' (InnerProduct): 2 blobs of weights expected, the file has 0"):
        assert line in text


def test_without_strictness_the_supported_part_can_be_used(tmp_path):
    net = text_net(tmp_path, UNSUPPORTED, strict=False)
    y, = net({'data': X}, ['ok'])
    np.testing.assert_array_equal(y.array, np.maximum(X, 0))
    with pytest.raises(DataError, match=r"(?s)2 of 6 layers.*'mine' \(Novel\).*'new'"):
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
        y, = net({'x': X}, ['x'])
        assert 0.3 < (y.array == 0).mean() < 0.7
        y, = net({'x': X}, ['x'], disable=['d'])
        np.testing.assert_array_equal(y.array, X)
    with using_config('train', False):
        y, = net({'x': X}, ['x'])
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
    'forward', 'params', 'name', 'preprocessing', 'input_names', '', 'a/b', '0', '_params'])
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
    photo = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    x = load(*paths).prepare(photo)
    expected = (photo[:, :, ::-1].transpose(2, 0, 1) - np.array([1, 2, 3])[:, None, None]) / 2
    np.testing.assert_allclose(x, expected, rtol=1e-6)
    with pytest.raises(InvalidArgument, match='preparation of images is not known'):
        load(small).prepare(photo)
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
    x, start = np.ones((1, 3, 9, 9), np.float32), time.process_time()
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
    assert peak < 1 << 29 and time.process_time() - start < 60


@pytest.mark.parametrize('path', [1, 0, True, 2.5, [], object()], ids=repr)
def test_what_is_no_path_is_refused_and_open_files_are_left_alone(small, path):
    for paths in ((path,), (small, path)):
        with pytest.raises(InvalidArgument, match='path of .*expected, got '):
            load(*paths)
    os.fstat(1)     # the file of that number is still open


def test_paths_may_be_bytes(small):
    net = load(os.fsencode(small))
    assert net.source == str(small) and net({'data': X}, ['prob'])[0].shape == (2, 6, 4, 5)


@pytest.mark.parametrize('arguments, message', [
    (({'data': X}, None), 'outputs: a list of names expected, got None'),
    (({'data': X}, 'prob'), "outputs: a list of names expected, got 'prob'"),
    (({'data': X}, [['prob']]), 'outputs: a list of names expected'),
    (({'data': X}, ['prob'], 3), 'disable: a list of names expected, got 3'),
    (([X], ['prob']), 'inputs, a dict {name: array}, expected, got list'),
    (({'data': None}, ['prob']), "input 'data': an array expected, got None"),
    (({'data': Variable(None)}, ['prob']), "input 'data': an array expected, got None"),
], ids=lambda value: value if isinstance(value, str) else '')
def test_arguments_of_other_types_are_refused(small, arguments, message):
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        load(small)(*arguments)


@pytest.mark.parametrize('kind', ['Data', 'DummyData', 'DenseImageData', 'VideoData'])
def test_layers_of_data_are_inputs_whatever_fork_reads_them(tmp_path, kind):
    net = text_net(tmp_path, f"""
        layer {{ name: "data" type: "{kind}" top: "data" top: "label" some_param {{ batch: 3 }} }}
        layer {{ name: "a" type: "AbsVal" bottom: "data" top: "a" }}""")
    assert net.input_names == ('data', 'label')
    np.testing.assert_array_equal(net({'data': X}, ['a'])[0].array, abs(X))


def test_weights_under_other_names_are_pointed_out(tmp_path, small):
    path = tmp_path / 'renamed.prototxt'
    path.write_text("""input: "data"
        layer { name: "conv_a" type: "Convolution" bottom: "data" top: "y"
                convolution_param { num_output: 6 kernel_size: 3 group: 2 } }""")
    with pytest.raises(DataError, match=r"(?s)'conv_a'.*the file has 0.*does not have: conv/a\. "
                                        'Do the names differ'):
        load(small, path)

"""Export: what is written computes what the model computed, by our reader and by OpenCV."""
import os

import numpy as np
import pytest

import minichain as mc
import minichain.functions as F
import minichain.links as L
import models
from minichain.caffe import load
from minichain.caffe.export import export
from minichain.caffe.network import read_network
from minichain.errors import FileError, InvalidArgument
from models.squeezenet import SqueezeNet

RANDOM = np.random.default_rng(0)
FILES = ['chainer_model.caffemodel', 'chainer_model.prototxt']


def normal(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def largest_difference(y, z):
    return abs(y - z).max() / max(abs(y).max(), 1e-30)


def run(model, *xs):
    with mc.using_config('train', False), mc.no_backprop_mode():
        return model(*map(mc.Variable, xs))


def read_back(folder, inputs, blob=None):
    """The blob that the exported files compute, by default the last."""
    net = load(*(folder / name for name in FILES))
    with mc.using_config('train', False), mc.no_backprop_mode():
        y, = net(inputs, [net.blob_names[-1] if blob is None else blob])
    return y.array


def read_by_opencv(folder, x):
    cv2 = pytest.importorskip('cv2', reason='OpenCV is the independent reader')
    if not hasattr(cv2.dnn, 'readNetFromCaffe'):
        pytest.skip('this OpenCV has no Caffe reader any more; versions below 5 do')
    net = cv2.dnn.readNetFromCaffe(*(str(folder / name) for name in FILES[::-1]))
    net.setInput(x)
    return net.forward()


def batch_norm(channels):
    link = L.BatchNormalization(channels)
    link.gamma.array[:], link.beta.array[:] = normal(channels), normal(channels)
    link.avg_mean[:], link.avg_var[:] = normal(channels), abs(normal(channels)) + .5
    return link


X = normal(2, 4, 7, 9)
W = normal(6, 2, 3, 3)
MATRIX, ROW, IMAGE = normal(9, 3), normal(4, 1, 9), normal(4, 7, 9)
CASES = {   # name -> (function of X, types of layers)
    'convolution': (L.Convolution2D(4, 6, (3, 2), (2, 1), (1, 0)), 'Convolution'),
    'grouped': (lambda x: F.convolution_2d(x, W, None, 1, 1, groups=2), 'Convolution'),
    'dilated': (L.DilatedConvolution2D(4, 6, 3, 1, 2, 2), 'Convolution'),
    'depthwise': (L.DepthwiseConvolution2D(4, 2, 3), 'Convolution'),
    'deconvolution': (L.Deconvolution2D(4, 6, 4, 2, 1), 'Deconvolution'),
    'deconvolution_grouped': (L.Deconvolution2D(4, 6, 3, 2, nobias=True, groups=2),
                              'Deconvolution'),
    'deconvolution_outsize': (lambda x: F.deconvolution_2d(x, W[:4], None, 2, outsize=(14, 18)),
                              'Deconvolution Slice Silence Slice Silence Power'),
    'unpooling': (lambda x: F.unpooling_2d(x, 2, cover_all=False), 'Deconvolution'),
    'linear': (L.Linear(4 * 7 * 9, 5), 'Flatten InnerProduct'),
    'matmul': (lambda x: F.matmul(x, MATRIX), 'InnerProduct'),
    'max_pooling': (lambda x: F.max_pooling_2d(x, 3, 2), 'Pooling'),
    'max_pooling_down': (lambda x: F.max_pooling_2d(x, (2, 3), 2, cover_all=False),
                         'Pooling Slice Silence Power'),
    'max_pooling_pad': (lambda x: F.max_pooling_2d(x, 3, 2, 1, cover_all=False), 'Pooling'),
    'average_pooling': (lambda x: F.average_pooling_2d(x, 3, 2, 1), 'Pooling'),
    'average_pooling_down': (lambda x: F.average_pooling_2d(x, 2),
                             'Pooling Slice Silence Slice Silence Power'),
    'average_pooling_inside': (
        lambda x: F.average_pooling_nd(x, 3, 2, 1, pad_value=None), 'Pooling Scale'),
    'global_average': (lambda x: F.mean(x, (2, 3)), 'Pooling Flatten'),
    'global_max': (lambda x: F.max(x, (2, 3), keepdims=True), 'Pooling'),
    'lrn': (lambda x: F.local_response_normalization(x, 3, 2, .1, .75), 'LRN Power'),
    'batch_norm': (batch_norm(4), 'BatchNorm Scale'),
    'batch_norm_axis': (L.BatchNormalization(axis=(0, 1, 2), size=9), 'Scale Scale Scale'),
    'relu': (F.relu, 'ReLU'),
    'leaky_relu': (lambda x: F.leaky_relu(x, .3), 'ReLU'),
    'clipped_relu': (lambda x: F.clipped_relu(x * 3, 2), 'Power ReLU Power ReLU Power'),
    'clip': (lambda x: F.clip(x, -.5, .25), 'Power ReLU Power Power ReLU Power'),
    'hard_sigmoid': (F.hard_sigmoid, 'Power ReLU Power ReLU Power'),
    'rrelu': (F.rrelu, 'ReLU'),
    'prelu': (L.PReLU((4,), .3), 'PReLU'),
    'prelu_shared': (L.PReLU((), .3), 'PReLU'),
    'elu': (lambda x: F.elu(x, .7), 'ELU'),
    'selu': (F.selu, 'ELU Power'),
    'sigmoid': (F.sigmoid, 'Sigmoid'),
    'tanh': (F.tanh, 'TanH'),
    'swish': (lambda x: x * F.sigmoid(x), 'Sigmoid Eltwise'),
    'softplus': (lambda x: F.softplus(x, 2.), 'Power BNLL Power'),
    'softmax': (F.softmax, 'Softmax'),
    'exp': (F.exp, 'Exp'),
    'expm1': (F.expm1, 'Exp Power'),
    'log': (lambda x: F.log(abs(x) + 1.), 'AbsVal Power Log'),
    'log1p': (lambda x: F.log1p(abs(x)), 'AbsVal Power Log'),
    'powers': (lambda x: F.sqrt(x ** 2 + 1) + 3 / (1.5 - F.rsqrt(F.square(x) + 1)),
               'Eltwise Power Power Eltwise Power Power Power Power Power Eltwise'),
    'power_of_two': (lambda x: 2 ** -x, 'Power Exp'),
    'add': (lambda x: F.relu(x) + F.tanh(x), 'ReLU TanH Eltwise'),
    'subtract': (lambda x: F.relu(x) - F.tanh(x), 'ReLU TanH Power Eltwise'),
    'divide': (lambda x: x / F.exp(x), 'Exp Power Eltwise'),
    'squared_difference': (lambda x: F.squared_difference(x, F.relu(x)),
                           'ReLU Power Eltwise Eltwise'),
    'maximum': (lambda x: F.maximum(x, F.minimum(-x, x * .5)),
                'Power Power Power Power Eltwise Power Eltwise'),
    'constants': (lambda x: 1 - x * ROW, 'Scale Power'),
    'quotient': (lambda x: IMAGE / (x * x + 1.), 'Eltwise Power Power Scale'),
    'bias': (lambda x: IMAGE + x - ROW, 'Scale Scale'),
    'scale': (L.Scale(1, (4,), True), 'Scale Scale'),
    'attention': (lambda x: x * F.sigmoid(F.mean(x, (2, 3), keepdims=True)),
                  'Pooling Sigmoid Flatten Scale'),
    'attention_broadcast': (
        lambda x: x * F.broadcast_to(F.mean(x, (2, 3))[:, :, None, None], x.shape),
        'Pooling Flatten Reshape Flatten Scale'),
    'attention_spatial': (lambda x: x + F.sum(x, 1, keepdims=True),
                          'Permute Reduction Reshape Tile Eltwise'),
    'concat': (lambda x: F.concat((x, F.relu(x)), 1), 'ReLU Concat'),
    'stack': (lambda x: F.stack((x[:, 0], x[:, 3]), 2),
              'Slice Silence Reshape Slice Silence Reshape Reshape Reshape Concat'),
    'split': (lambda x: F.concat(F.split_axis(x, [1, 3], 1)[::-1], 1), 'Slice Concat'),
    'separate': (lambda x: F.separate(x, 2)[3], 'Slice Silence Reshape'),
    'get_item': (lambda x: x[..., 1:-2, -1], 'Slice Silence Slice Silence Reshape'),
    'reshape': (lambda x: F.reshape(x, (2, 7, 36)), 'Reshape'),
    'transpose': (lambda x: F.transpose(x, (0, 2, 3, 1)), 'Permute'),
    'tile': (lambda x: F.tile(x, (1, 2, 1, 1)), 'Reshape Tile Reshape'),
    'maxout': (lambda x: F.maxout(x, 2), 'Reshape Slice Eltwise Reshape'),
    'normalize': (lambda x: F.normalize(x), None),
    'depth2space': (lambda x: F.depth2space(x, 2), 'Reshape Permute Reshape'),
    'dropout': (lambda x: F.dropout(F.relu(x)), 'ReLU'),
    'log_of_e': (lambda x: F.log10(x * x + 1), 'Eltwise Power Log Power'),
    'cast': (lambda x: F.cast(F.cast(x, 'float64') * 2, 'float32'), 'Power'),
}


@pytest.mark.parametrize('name', CASES)
def test_what_is_written_computes_the_same(name, tmp_path):
    function, types = CASES[name]
    expected = run(function, X).array
    export(function, [X], tmp_path)
    layers = [layer.type for layer in read_network(*(tmp_path / f for f in FILES)).layers[1:]]
    if types is not None:
        assert ' '.join(layers) == types
    y = read_back(tmp_path, {'data': X})
    assert y.shape == expected.shape
    assert largest_difference(expected, y) <= 1e-5


# Reduction, Tile and Bias of two blobs are none of OpenCV's layers, and it takes a Power with a
# shift behind another Power for one Power.
@pytest.mark.parametrize('name', sorted(
    set(CASES) - {'attention_spatial', 'normalize', 'tile', 'powers'}))
def test_opencv_computes_the_same(name, tmp_path):
    function, _ = CASES[name]
    export(function, [X], tmp_path)
    y = read_by_opencv(tmp_path, X)
    expected = run(function, X).array
    assert y.shape == expected.shape
    assert largest_difference(expected, y) <= 1e-5


class Net(mc.Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.conv1 = L.Convolution2D(None, 6, 3, pad=1)
            self.bn1 = batch_norm(6)
            self.body = mc.Sequential(L.Convolution2D(6, 6, 3, pad=1), F.relu)
            self.fc = L.Linear(None, 5)

    def forward(self, x):
        h = F.max_pooling_2d(F.relu(self.bn1(self.conv1(x))), 2)
        h = F.dropout(F.relu(h + self.body(self.body(h))))
        return F.softmax(self.fc(h))


def test_layers_and_weights_have_the_names_of_the_links(tmp_path):
    model = Net()
    export(model, [X], tmp_path, graph_name='small "net"')
    network = read_network(*(tmp_path / name for name in FILES))
    assert network.name == 'small "net"'
    assert [layer.name for layer in network.layers] == [
        'data', 'conv1', 'bn1', 'bn1/scale', 'relu', 'pooling', 'body/0/convolution', 'body/relu',
        'body/0/convolution_2', 'body/relu_2', 'eltwise', 'relu_2', 'fc/flatten', 'fc', 'softmax']
    net = load(*(tmp_path / name for name in FILES))
    assert net.input_names == ('data',)
    np.testing.assert_array_equal(net['conv1'].W.array, model.conv1.W.array)
    np.testing.assert_array_equal(net['fc'].b.array, model.fc.b.array)
    np.testing.assert_array_equal(net['bn1'].avg_mean, model.bn1.avg_mean)
    np.testing.assert_array_equal(net['bn1/scale'].W.array, model.bn1.gamma.array)


def test_batches_of_another_length_may_be_given(tmp_path):
    model = Net()
    export(model, [X], tmp_path)
    x = normal(5, *X.shape[1:])
    assert largest_difference(run(model, x).array, read_back(tmp_path, {'data': x})) <= 1e-5


def test_a_whole_network_computes_the_same_by_both_readers(tmp_path):
    model, x = SqueezeNet('1.1'), RANDOM.random((1, 3, 48, 48)).astype(np.float32)
    mc.exporters.caffe.export(model, [mc.Variable(x)], tmp_path)
    expected = run(model, x)['prob'].array
    assert largest_difference(expected, read_back(tmp_path, {'data': x}, 'prob')) <= 1e-5
    assert largest_difference(expected, read_by_opencv(tmp_path, x)) <= 1e-5


@pytest.mark.parametrize('name, size, layer', [
    ('mobilenet_v2', 48, 'fc'), ('efficientnet_b0', 48, 'fc'), ('inception_v3', 75, 'fc'),
    pytest.param('resnet50', 64, 'fc6', marks=pytest.mark.slow)])
def test_networks_of_the_zoo_make_the_way_there_and_back(tmp_path, name, size, layer):
    model = getattr(models, name)(n_classes=7)
    for link in model.links():
        if isinstance(link, L.BatchNormalization):
            link.avg_var[...] = RANDOM.random(link.avg_var.shape) + .3
    x = RANDOM.random((1, 3, size, size)).astype(np.float32)
    mc.exporters.caffe.export(Scores(model, layer), [x], tmp_path)
    y = run(Scores(model, layer), x).array
    assert y.std() > 1e-3 * abs(y).max()
    assert largest_difference(y, read_back(tmp_path, {'data': x})) <= 1e-4
    assert largest_difference(y, read_by_opencv(tmp_path, x)) <= 1e-4


class Scores(mc.Chain):
    def __init__(self, net, layer):
        super().__init__()
        self.layer = layer
        with self.init_scope():
            self.net = net

    def forward(self, x):
        return self.net(x, layers=[self.layer])[self.layer]


def test_chainers_path_leads_here():
    import minichain.exporters.caffe as room
    from minichain.exporters import caffe
    assert caffe.export is room.export is mc.exporters.caffe.export is export


def test_without_a_directory_nothing_is_written_and_the_description_is_returned(tmp_path):
    text = export(F.relu, [X])
    assert export(F.relu, (X,), tmp_path, export_params=False) == text
    assert [path.name for path in tmp_path.iterdir()] == ['chainer_model.prototxt']
    assert (tmp_path / 'chainer_model.prototxt').read_text() == text
    assert 'dim: 9' in text and 'type: "ReLU"' in text


def test_inputs_and_outputs_may_be_several(tmp_path):
    def model(x, factor):
        y = x * factor
        return {'product': y, 'again': y, 'first': F.split_axis(y, 2, 1)[0]}
    factor = normal(2, 4)[:, :, None, None]
    export(model, {'x': X, 'factor': factor}, tmp_path)
    inputs = {'x': X, 'factor': factor}
    for name, y in run(model, X, factor).items():
        assert largest_difference(y.array, read_back(tmp_path, inputs, name)) <= 1e-5
    export(lambda x, y: (x + y, F.relu(x)), [X, X[::-1]], tmp_path)
    inputs = {'data_0': X, 'data_1': X[::-1]}
    np.testing.assert_array_equal(read_back(tmp_path, inputs, 'output_0'), X + X[::-1])
    np.testing.assert_array_equal(read_back(tmp_path, inputs, 'output_1'), np.maximum(X, 0))


def test_words_are_embedded(tmp_path):
    model, ids = L.EmbedID(7, 3), np.array([[1, 6, 0], [2, 2, 5]], 'int32')
    export(model, [ids], tmp_path)
    np.testing.assert_array_equal(read_back(tmp_path, {'data': ids.astype('f')}),
                                  model.W.array[ids])


def test_convolutions_of_volumes(tmp_path):
    model, x = L.ConvolutionND(3, 2, 3, (2, 3, 1), (1, 2, 1), pad=(0, 1, 0)), normal(1, 2, 4, 6, 3)
    export(model, [x], tmp_path)
    assert largest_difference(run(model, x).array, read_back(tmp_path, {'data': x})) <= 1e-5


def test_what_caffe_has_not_is_refused_in_one_report_and_nothing_is_written(tmp_path):
    def model(x):
        for _ in range(7):
            x = F.flip(x, 3)
        x = F.max_pooling_2d(F.pad(x, 1, 'constant'), 3, 2)
        return F.log_softmax(F.convolution_2d(x, W[:, :1, :1, :1].repeat(6, 1), cover_all=True))
    with pytest.raises(InvalidArgument) as error:
        export(model, [X], tmp_path)
    report = str(error.value).splitlines()
    assert 'nothing was written' in report[0]
    assert [line.split(': ')[0].strip() for line in report[1:]] == [
        'flip, 7 x (step 0, step 1, step 2, step 3, step 4 and 2 more)', 'pad, 1 x (step 7)',
        'log_softmax, 1 x (step 10)']
    assert 'give pad to these' in report[2]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('model, message', [
    (lambda x: F.convolution_2d(x, W[:, :1].repeat(4, 1), stride=3, cover_all=True),
     'cover_all=False'),
    (lambda x: F.max_pooling_2d(x, 3, 4, 2), 'cover_all=False, or a smaller pad'),
    (lambda x: F.max_pooling_nd(x[:, :, 0], 2), 'Caffe pools over two axes'),
    (lambda x: F.convolution_nd(x[:, :, 0], W[:, :1, 0].repeat(4, 1)), 'two axes or more'),
    (lambda x: F.batch_normalization(x, np.ones(4, 'f'), np.ones(4, 'f')), 'uses its averages'),
    (lambda x: F.convolution_2d(x, x), 'weights are computed from the inputs'),
    (lambda x: x[:, ::2], 'without steps'),
    (lambda x: x[:, [0, 2]], 'no elements by arrays'),
    (lambda x: F.maximum(x, X), 'with one number'),
    (lambda x: F.concat((x, X), 1), 'operands is a constant'),
    (lambda x: x, 'it is an input'),
    (lambda x: mc.Variable(X) * 2, 'depends on none'),
    (lambda x: mc.Variable(x.array * 2) + 1, 'depends on none'),
    (lambda x: x * float(x.array.max()), "on other values of the inputs, the layer 'power'"),
    (lambda x: F.relu(x) if x.array.min() < X.min() / 2 else F.tanh(x), 'comes out differently'),
    (lambda x: None, 'no array'),
])
def test_a_refusal_says_what_to_do(model, message, tmp_path):
    with pytest.raises(InvalidArgument) as error:
        export(model, [X], tmp_path)
    assert message in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('args', [X, [], [1.5], ['x'], [None], [np.float32(1)], [X[:0]]])
def test_arguments_that_are_no_arrays_are_refused(args):
    with pytest.raises(InvalidArgument, match='args'):
        export(F.relu, args)


def test_files_are_both_written_or_both_as_before(tmp_path):
    with pytest.raises(FileError, match='missing'):
        export(F.relu, [X], tmp_path / 'missing')
    for name in FILES:
        folder = tmp_path / name.replace('.', '_')
        (folder / name).mkdir(parents=True)
        with pytest.raises(FileError, match='could not be written'):
            export(F.relu, [X], folder)
        assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize('model, directory, name, message', [
    (F.relu, 1, 'net', 'path of a folder, or None, expected for directory, got int'),
    (F.relu, [], 'net', 'path of a folder'),
    (None, None, 'net', 'a Link or another callable expected for model, got NoneType'),
    (F.relu, None, '\udcff', 'name: string expected')])
def test_arguments_of_other_types_are_refused(model, directory, name, message):
    with pytest.raises(InvalidArgument, match=message):
        export(model, [normal(1, 3, 4, 4)], directory, graph_name=name)


def test_the_directory_may_be_bytes(tmp_path):
    export(F.relu, [normal(1, 3, 4, 4)], os.fsencode(tmp_path))
    assert len(os.listdir(tmp_path)) == 2

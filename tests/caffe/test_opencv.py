"""Whole networks against OpenCV, which reads Caffe's files with Google's protobuf."""

import numpy as np
import pytest

from minichain import using_config
from minichain.caffe import load, save


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


def normal(*shape):
    return SOURCE.standard_normal(shape).astype(np.float32)


X, ROIS = normal(2, 4, 6, 6), np.array([[0, 0, 0, 5, 5], [1, 1, 2, 4, 3]], np.float32)
KERNEL = {'num_output': 4, 'kernel_size': [3], 'group': 4}


@pytest.mark.parametrize('kind, xs, parameters, blobs', [
    ('Crop', [X, normal(2, 4, 3, 4)], {'crop_param': {'axis': 2, 'offset': [1, 2]}}, []),
    ('MVN', [X], {}, []),
    ('MVN', [X], {'mvn_param': {'across_channels': True, 'normalize_variance': False}}, []),
    ('Normalize', [X], {'norm_param': {'across_spatial': False, 'channel_shared': False}},
     [np.abs(normal(4))]),
    ('Normalize', [X], {'norm_param': {'across_spatial': True, 'channel_shared': True}},
     [np.abs(normal(1))]),
    ('ShuffleChannel', [X], {'shuffle_channel_param': {'group': 2}}, []),
    ('ReLU6', [5 * X], {}, []), ('Swish', [X], {}, []), ('BNLL', [X], {}, []),
    ('ELU', [X], {'elu_param': {'alpha': 0.5}}, []),
    ('Power', [X ** 2], {'power_param': {'power': 0.5, 'scale': 2.0, 'shift': 1.0}}, []),
    ('Exp', [X], {'exp_param': {'base': 2.0, 'scale': 0.5, 'shift': 1.0}}, []),
    ('LRN', [X], {'lrn_param': {'local_size': 3, 'alpha': 2.0,
                                'norm_region': 'WITHIN_CHANNEL'}}, []),
    ('ConvolutionDepthwise', [X], {'convolution_param': KERNEL}, [normal(4, 1, 3, 3), normal(4)]),
    ('Deconvolution', [X], {'convolution_param': {
        'num_output': 6, 'kernel_size': [3], 'stride': [2], 'pad': [1], 'group': 2}},
     [normal(4, 3, 3, 3), normal(6)]),
    ('Interp', [X], {'interp_param': {'height': 9, 'width': 13}}, []),
    ('Eltwise', [X, normal(2, 4, 6, 6)], {'eltwise_param': {'coeff': [0.5, -2.0]}}, []),
    ('ROIPooling', [X, ROIS], {'roi_pooling_param': {'pooled_h': 2, 'pooled_w': 3}}, []),
    ('InnerProduct', [X], {'inner_product_param': {'num_output': 5, 'axis': 2}},
     [normal(5, 36), normal(5)]),
    ('Scale', [X, normal(2, 4)], {'scale_param': {'axis': 0, 'bias_term': False}}, []),
    ('Pooling', [X], {'pooling_param': {'pool': 'AVE', 'kernel_size': 3, 'stride': 2, 'pad': 1}},
     []),
    ('Pooling', [X], {'pooling_param': {'pool': 'MAX', 'kernel_size': 3, 'stride': 2,
                                        'ceil_mode': False}}, []),
    ('Softmax', [X], {'softmax_param': {'axis': 2}}, []),
])
def test_a_single_layer_equals_opencvs(tmp_path, kind, xs, parameters, blobs):
    names = [f'x{index}' for index in range(len(xs))]
    inputs = [{'name': name, 'type': 'Input', 'top': [name],
               'input_param': {'shape': [{'dim': list(x.shape)}]}}
              for name, x in list(zip(names, xs))[1:]]
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    save(*paths, [*inputs, {'name': 'layer', 'type': kind, 'bottom': names, 'top': ['y'],
                            'blobs': blobs, **parameters}], xs[0].shape, input_name='x0')
    peer = opencv_net(paths)
    for name, x in zip(names, xs):
        peer.setInput(x, name)
    expected = peer.forward('layer')
    with using_config('train', False):
        y, = load(*paths)(dict(zip(names, xs)), ['y'])
    np.testing.assert_allclose(y.array, expected.reshape(y.shape), rtol=1e-4, atol=1e-5)

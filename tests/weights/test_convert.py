"""Weights from one format into another compute the same."""
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import minichain.caffe
import models
from minichain import no_backprop_mode, using_config
from minichain.errors import DataError, FileError, InvalidArgument
from minichain.image import Preprocessing
from weights.convert import convert

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / 'shared' / 'data' / 'models'
random = np.random.default_rng(0)


def values(*shape):
    return random.normal(0, .5, shape).astype(np.float32)


@pytest.fixture
def caffe(tmp_path):
    """The paths of a small Caffe network with every kind of weight."""
    paths = str(tmp_path / 'net.caffemodel'), str(tmp_path / 'net.prototxt')

    def layer(name, kind, bottom, top, blobs=(), **more):
        return {'name': name, 'type': kind, 'bottom': [bottom], 'top': [top],
                **({'blobs': list(blobs)} if blobs else {}), **more}
    minichain.caffe.save(*paths, [
        layer('conv/a', 'Convolution', 'data', 'conv', [values(4, 3, 3, 3), values(4)],
              convolution_param={'num_output': 4, 'kernel_size': [3]}),
        layer('norm', 'BatchNorm', 'conv', 'norm', [values(4), values(4) ** 2 + 1, values(1) + 9]),
        layer('scale', 'Scale', 'norm', 'norm', [values(4), values(4)],
              scale_param={'bias_term': True}),
        layer('relu', 'PReLU', 'norm', 'norm', [values(4)]),
        layer('fc', 'InnerProduct', 'norm', 'fc', [values(5, 144)],
              inner_product_param={'num_output': 5, 'bias_term': False}),
        layer('prob', 'Softmax', 'fc', 'prob')], (1, 3, 8, 8), name='small',
        preprocessing=Preprocessing((8, 8), 'RGB', mean=(1, 2, 3)))
    return paths


def outputs(net, x):
    with using_config('train', False), no_backprop_mode():
        return [y.array for y in net({'data': x}, ['norm', 'prob'])]


def test_a_caffemodel_becomes_an_npz_with_its_own_names(caffe, tmp_path):
    convert(caffe[0], tmp_path / 'net.npz')
    with np.load(tmp_path / 'net.npz') as npz:
        assert {name: npz[name].shape for name in npz} == {
            'conv/a/W': (4, 3, 3, 3), 'conv/a/b': (4,), 'norm/avg_mean': (4,),
            'norm/avg_var': (4,), 'scale/W': (4,), 'scale/b': (4,), 'relu/W': (4,),
            'fc/W': (5, 144)}


def test_weights_come_back_from_npz_to_caffe_and_compute_the_same(caffe, tmp_path):
    convert(caffe[0], tmp_path / 'net.npz', prototxt=caffe[1])
    os.mkdir(tmp_path / 'back')
    convert(tmp_path / 'net.npz', tmp_path / 'back' / 'new.caffemodel', prototxt=caffe[1])
    assert sorted(os.listdir(tmp_path / 'back')) == ['new.caffemodel', 'new.prototxt']
    net = minichain.caffe.load(tmp_path / 'back' / 'new.caffemodel',
                               tmp_path / 'back' / 'new.prototxt')
    assert net.preprocessing == Preprocessing((8, 8), 'RGB', mean=(1, 2, 3))
    x = values(2, 3, 8, 8)
    for y, expected in zip(outputs(net, x), outputs(minichain.caffe.load(*caffe), x)):
        np.testing.assert_allclose(y, expected, 1e-5, 1e-6)


@pytest.mark.parametrize('change, message', [
    (lambda npz: npz.pop('relu/W'), '1 blobs of weights expected'),
    (lambda npz: npz.update({'more/W': np.ones(3, np.float32)}), 'more/W is of shape .3,.'),
    (lambda npz: npz.update({'fc/W': npz['fc/W'].astype(float) + 1e300}), 'fc/W .* float32'),
    (lambda npz: npz.update({'fc/W': npz['fc/W'][:4]}), 'shape'),
    (lambda npz: npz.update({'fc/W': np.array('text')}), 'fc/W: numbers expected')])
def test_an_npz_that_does_not_fit_the_prototxt_leaves_nothing(caffe, tmp_path, change, message):
    convert(caffe[0], tmp_path / 'net.npz')
    with np.load(tmp_path / 'net.npz') as npz:
        arrays = dict(npz)
    change(arrays)
    np.savez(tmp_path / 'net.npz', **arrays)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises((DataError, InvalidArgument), match=message):
        convert(tmp_path / 'net.npz', tmp_path / 'new.caffemodel', prototxt=caffe[1])
    assert sorted(os.listdir(tmp_path)) == before


def test_a_caffemodel_becomes_an_onnx_file_with_the_outputs_of_the_network(caffe, tmp_path):
    convert(caffe[0], tmp_path / 'net.onnx', prototxt=caffe[1])
    evaluator = ReferenceEvaluator(str(tmp_path / 'net.onnx'))
    assert evaluator.input_names == ['data'] and evaluator.output_names == ['prob']
    x = values(4, 3, 8, 8)
    y, = evaluator.run(None, {'data': x})
    np.testing.assert_allclose(y, outputs(minichain.caffe.load(*caffe), x)[1], 1e-4, 1e-6)


def test_an_onnx_file_becomes_an_npz_with_its_own_names(tmp_path):
    W = values(4, 3, 3, 3)
    graph = helper.make_graph(
        [helper.make_node('Conv', ['x', 'conv.weight'], ['h']),
         helper.make_node('Relu', ['h'], ['y'])], 'graph',
        [helper.make_tensor_value_info('x', 1, [1, 3, 8, 8])],
        [helper.make_tensor_value_info('y', 1, [1, 4, 6, 6])],
        [numpy_helper.from_array(W, 'conv.weight')])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8),
              tmp_path / 'net.onnx')
    convert(tmp_path / 'net.onnx', tmp_path / 'net.npz')
    with np.load(tmp_path / 'net.npz') as npz:
        assert list(npz) == ['conv.weight']
        np.testing.assert_array_equal(npz['conv.weight'], W)


@pytest.fixture
def squeezenet(tmp_path, monkeypatch):
    """A caffemodel of a network of models/, with few classes, and the network itself."""
    from_module = models.squeezenet1_1
    monkeypatch.setattr(models, 'tiny', lambda: from_module(n_classes=7), raising=False)
    monkeypatch.setattr(models, 'NAMES', (*models.NAMES, 'tiny'))
    net = models.tiny()
    layers = [{'name': net.caffe_layer(name.lstrip('/'))[0], 'type': 'Convolution',
               'bottom': ['data'], 'top': [name], 'blobs': [link.W.array, link.b.array],
               'convolution_param': {'num_output': len(link.b), 'kernel_size': [link.ksize]}}
              for name, link in net.namedlinks() if hasattr(link, 'W')]
    path = str(tmp_path / 'zoo.caffemodel')
    minichain.caffe.save(path, str(tmp_path / 'zoo.prototxt'), layers, (1, 3, 227, 227))
    return path, net


def test_weights_of_a_model_get_its_names(squeezenet, tmp_path):
    path, net = squeezenet
    convert(path, tmp_path / 'zoo.npz', model='tiny')
    expected = {name[1:]: parameter.array for name, parameter in net.namedparams()}
    assert len(expected) == 52 and 'fire2/squeeze1x1/W' in expected
    with np.load(tmp_path / 'zoo.npz') as npz:
        assert set(npz) == set(expected)
        for name in npz:
            np.testing.assert_array_equal(npz[name], expected[name])


@pytest.mark.slow
def test_a_model_becomes_an_onnx_file(squeezenet, tmp_path):
    path, net = squeezenet
    convert(path, tmp_path / 'zoo.onnx', model='tiny')
    x = values(1, 3, 227, 227)
    with using_config('train', False), no_backprop_mode():
        expected = net(x)['prob'].array
    y, = ReferenceEvaluator(str(tmp_path / 'zoo.onnx')).run(None, {'data': x})
    np.testing.assert_allclose(y, expected, 1e-4, 1e-6)


def test_the_bundled_network_goes_both_ways(tmp_path):
    source = [ROOT / 'weights' / f'scenes_cnn.{ending}' for ending in ('caffemodel', 'prototxt')]
    convert(source[0], tmp_path / 'a.npz', source[1])
    convert(tmp_path / 'a.npz', tmp_path / 'b.caffemodel', source[1])
    net, again = (minichain.caffe.load(*paths) for paths in (
        source, [tmp_path / 'b.caffemodel', tmp_path / 'b.prototxt']))
    weights = dict(again.namedparams())
    assert len(weights) > 5
    for name, parameter in net.namedparams():
        np.testing.assert_array_equal(weights[name].array, parameter.array)
    assert again.preprocessing == net.preprocessing


@pytest.mark.parametrize('name', ['mtcnn/det3', 'ultraface/RFB-320'])
def test_public_networks_become_onnx_files(tmp_path, name):
    source = SHARED / f'{name}.caffemodel'
    if not source.exists():
        pytest.skip(f'the public networks are not here ({source} is missing)')
    convert(source, tmp_path / 'net.onnx', source.with_suffix('.prototxt'))
    net = minichain.caffe.load(source, source.with_suffix('.prototxt'))
    onnxruntime = pytest.importorskip('onnxruntime', reason='runs the converted files')
    session = onnxruntime.InferenceSession(str(tmp_path / 'net.onnx'))
    names = [output.name for output in session.get_outputs()]
    x = values(1, 3, *((48, 48) if 'mtcnn' in name else (240, 320)))
    with using_config('train', False), no_backprop_mode():
        expected = net({net.input_names[0]: x}, names)
    for y, z in zip(session.run(None, {net.input_names[0]: x}), expected):
        assert np.abs(y - z.array).max() <= 1e-4 * np.abs(z.array).max()


@pytest.mark.parametrize('arguments, error', [
    (('a.npz', 'b.caffemodel'), 'without --prototxt'), (('a.pth', 'b.npz'), 'no such conversion'),
    (('a.npz', 'b.onnx'), 'no such conversion'), (('a.npz', 'b.npz'), 'no such conversion'),
    (('a.onnx', 'b.npz', 'c.prototxt'), 'no such conversion'),
    (('a.caffemodel', 'b.npz', 'c.prototxt', 'vgg16'), '--prototxt has no effect'),
    (('a.caffemodel', 'b.npz', None, 'vgg17'), 'no such network; there are .*vgg16')])
def test_conversions_that_there_are_not_say_so(arguments, error):
    with pytest.raises(InvalidArgument, match=error):
        convert(*arguments)


def test_missing_and_damaged_files_are_errors_of_the_family(caffe, tmp_path):
    (tmp_path / 'broken.npz').write_bytes(b'PK\x03\x04' + b'0' * 100)
    (tmp_path / 'broken.caffemodel').write_bytes(b'\xff' * 100)
    (tmp_path / 'broken.onnx').write_bytes(b'\xff' * 100)
    with pytest.raises(FileError):
        convert(tmp_path / 'missing.caffemodel', tmp_path / 'x.npz')
    for source, target, prototxt in (('broken.npz', 'x.caffemodel', caffe[1]),
                                     ('broken.caffemodel', 'x.npz', None),
                                     ('broken.onnx', 'x.npz', None)):
        with pytest.raises(DataError):
            convert(tmp_path / source, tmp_path / target, prototxt)
    assert not [name for name in os.listdir(tmp_path) if name.startswith('x')]


@pytest.mark.parametrize('target', ['missing/net.caffemodel', 'folder.caffemodel',
                                    'pipe.caffemodel', 'described.caffemodel'])
def test_a_target_that_cannot_be_written_is_left_alone(caffe, tmp_path, target):
    caffemodel, prototxt = caffe
    source = str(tmp_path / 'net.npz')
    convert(caffemodel, source, prototxt)
    (tmp_path / 'folder.caffemodel').mkdir()
    (tmp_path / 'described.prototxt').mkdir()
    os.mkfifo(tmp_path / 'pipe.caffemodel')
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(FileError, match='described.prototxt|' + target):
        convert(source, str(tmp_path / target), prototxt)
    assert sorted(os.listdir(tmp_path)) == before

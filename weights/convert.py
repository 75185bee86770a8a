"""Weights from one format into another: caffemodel, npz, ONNX."""
import os
import sys
import tempfile

import numpy as np

import minichain.caffe
import minichain.onnx
import models
from minichain.caffe.network import find_input_shape, read_network
from minichain.errors import DataError, FileError, InvalidArgument, MinichainError
from minichain.onnx.exporting import export
from minichain.serializers import save_npz
from minichain.serializers.npz import DictionarySerializer, open_model
from weights.registry import expect_file

CONVERSIONS = """\
  .caffemodel -> .npz          the network's own names, which are Caffe's ('conv1/W')
  .onnx -> .npz                the network's own names
  any of them -> .npz          with --model: the names of a network of models/, which for VGG,
                               GoogLeNet and ResNet are Chainer's
  .npz -> .caffemodel          with --prototxt; OUT gets a .prototxt of its name beside it
  .caffemodel -> .onnx         with the layers of the network as they are
  any of them -> .onnx         with --model: the probabilities of that network"""


def convert(source, target, prototxt=None, model=None):
    """Convert a file of weights; the formats are those of the endings, see CONVERSIONS.

    Args:
        source: path of the file to read.
        target: path of the file to write, whole or not at all.
        prototxt: path of the network's description, where a caffemodel is read or written.
        model: name of a network in ``models.NAMES``, whose weights the file holds.
    Raises:
        InvalidArgument: there is no such conversion, or no such model.
        FileError, DataError: the source is missing or damaged, or does not fit the model or
            the prototxt.
    """
    kinds = tuple(os.path.splitext(path)[1].lower() for path in (source, target))
    if kinds[0] in ('.caffemodel', '.npz', '.onnx') and kinds[1] in ('.npz', '.onnx') and model:
        if prototxt:
            raise InvalidArgument('--prototxt has no effect where --model says the structure; '
                                  'leave it out')
        if model not in models.NAMES:
            raise InvalidArgument(f'--model {model}: no such network; there are '
                                  f'{", ".join(models.NAMES)}')
        net = getattr(models, model)()
        net.load(source)
        if kinds[1] == '.npz':
            save_npz(target, net, compression=False)
        else:
            export_model(net, target)
    elif kinds == ('.caffemodel', '.npz') and not model:
        net = minichain.caffe.load(source, prototxt, strict=False)
        for name, problem in net.unusable.items():
            print(f'left out: layer {name}: {problem}', file=sys.stderr)
        save_npz(target, net, compression=False)
    elif kinds == ('.caffemodel', '.onnx') and not model:
        export_caffe(source, prototxt, target)
    elif kinds == ('.onnx', '.npz') and not (model or prototxt):
        save_npz(target, minichain.onnx.load(source), compression=False)
    elif kinds == ('.npz', '.caffemodel') and prototxt and not model:
        npz_to_caffe(source, prototxt, target)
    else:
        raise InvalidArgument(f'{source} -> {target}: no such conversion'
                              f'{" without --prototxt" if kinds[1] == ".caffemodel" else ""}. '
                              '`python -m weights convert --help` lists what there is')


def export_model(net, target):
    """Write a network of models/ as ONNX, from prepared images to probabilities."""
    x = example((1, 3, *net.preprocessing.size))
    export(lambda x: net(x)['prob'], x, target, input_names=['data'], output_names=['prob'],
           chain=net)


def export_caffe(source, prototxt, target):
    """Write a Caffe network as ONNX: the outputs are the blobs that no layer reads."""
    net = minichain.caffe.load(source, prototxt)
    layers = read_network(source, prototxt).layers
    shape = find_input_shape(layers)
    if shape is None or len(net.input_names) != 1:
        raise InvalidArgument(f'{net.source}: one input with four axes expected, there are '
                              f'{", ".join(net.input_names) or "none"}. Name a deploy.prototxt '
                              'with --prototxt')
    last_change = {top: layer for layer in layers for top in layer.top}
    read = {blob for layer in layers for blob in layer.bottom if last_change.get(blob) != layer}
    outputs = [name for name in net.blob_names if name not in read | set(net.input_names)]
    name, = net.input_names
    export(lambda x: net({name: x}, outputs), example((1, *shape[1:])), target,
           input_names=[name], output_names=outputs, chain=net)


def example(shape):
    """Return what looks like a prepared image, float32."""
    return np.random.default_rng(0).normal(0, 50, shape).astype(np.float32)


def npz_to_caffe(source, prototxt, target):
    """Write weights under Caffe's names as a caffemodel, its prototxt beside it.

    Raises:
        DataError: the names or shapes of the npz are not those of the prototxt.
        FileError: the target cannot be written.
    """
    network = read_network(prototxt)
    inputs = [layer for layer in network.layers if layer.type == 'Input']
    shape = find_input_shape(network.layers)
    if shape is None or len(inputs) != 1 or len(inputs[0].top) != 1:
        raise InvalidArgument(f'{prototxt}: one input with four axes expected. A deploy.prototxt '
                              'has one')
    arrays = read_numbers(source)
    layers = [{**layer, 'blobs': blobs_of(layer.name, arrays)} for layer in network.layers
              if layer.type != 'Input']
    folder, name = os.path.split(os.path.abspath(target))
    beside = os.path.splitext(name)[0] + '.prototxt'
    for new in (name, beside):
        expect_file(os.path.join(folder, new), ', which is not replaced')
    try:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            written = [os.path.join(temporary, new) for new in (name, beside)]
            minichain.caffe.save(*written, layers, shape, input_name=inputs[0].top[0],
                                 name=network.name, preprocessing=network.preprocessing)
            expect_same_names(arrays, minichain.caffe.load(*written), source, prototxt)
            for path, new in zip(written, (name, beside)):
                os.replace(path, os.path.join(folder, new))
    except OSError as error:
        if isinstance(error, MinichainError):
            raise
        raise FileError(f'{target}: could not be written ({error.strerror}). The folder must '
                        'exist and be writable, with room on the disk') from error


def read_numbers(source):
    """Return the arrays of an npz file, float32, in a dict."""
    arrays = {}
    with open_model(source) as npz, np.errstate(over='ignore'):
        for name in npz:
            array = npz[name]
            if array is None or array.dtype.kind not in 'fiu':
                found = 'nothing' if array is None else array.dtype
                raise DataError(f'{source}: {name}: numbers expected, got {found}')
            arrays[name] = array.astype(np.float32)
            if not np.array_equal(np.isfinite(array), np.isfinite(arrays[name])):
                raise DataError(f'{source}: {name} has numbers beyond float32, which a caffemodel '
                                'cannot hold')
    return arrays


def blobs_of(layer, arrays):
    """Return the blobs of a layer, in Caffe's order, from arrays named as ``caffe.load`` does."""
    def get(key):
        return arrays.get(f'{layer}/{key}')
    if get('avg_mean') is not None and get('avg_var') is not None:
        return [get('avg_mean'), get('avg_var'), np.ones(1, np.float32)]
    return [get(key) for key in 'Wb' if get(key) is not None]


def expect_same_names(arrays, net, source, prototxt):
    """Raise DataError unless a network has weights of just the names and shapes of the arrays."""
    serializer = DictionarySerializer()
    serializer.save(net)
    for name in arrays.keys() | serializer.target.keys():
        ours, theirs = arrays.get(name), serializer.target.get(name)
        if ours is None or theirs is None or ours.shape != theirs.shape:
            raise DataError(f'{source} does not fit {prototxt}: {name} is {describe(ours)} in '
                            f'the weights, {describe(theirs)} in the network')


def describe(array):
    return 'not there' if array is None else f'of shape {array.shape}'

"""Whole, small files of every format that is read, for `test_hostile_files` to damage."""
import io
import pathlib
import tempfile

import numpy as np
from PIL import Image

import minichain
import minichain.links as L

ROOT = pathlib.Path(__file__).parents[2]
RNG = np.random.default_rng(7)


def floats(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def seeds():
    """dict, kind -> list of the bytes of whole files."""
    return {'caffemodel': caffemodels(), 'prototxt': prototxts(), 'onnx': onnx_models(),
            'npz': npz_files(), 'image': images()}


def caffemodels():
    return [(ROOT / 'weights' / 'scenes_cnn.caffemodel').read_bytes()]


def prototxts():
    return [(ROOT / 'weights' / 'scenes_cnn.prototxt').read_bytes(), b"""
input: "data" input_dim: 1 input_dim: 2 input_dim: 9 input_dim: 9
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool" pooling_param {
  kernel_size: 2 stride: 2 pad: 0 pool: AVE } }
layer { name: "norm" type: "LRN" bottom: "pool" top: "norm" lrn_param { local_size: 3 } }
layer { name: "tile" type: "Tile" bottom: "norm" top: "tile" tile_param { axis: 1 tiles: 3 } }
layer { name: "flat" type: "Reshape" bottom: "tile" top: "flat" reshape_param {
  shape { dim: 0 dim: -1 } } }
layer { name: "soft" type: "Softmax" bottom: "flat" top: "soft" }
"""]


def onnx_models():
    from onnx import TensorProto, helper, numpy_helper

    def model(nodes, initializers, inputs, outputs):
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                  for name, shape in inputs.items()]
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
                   for name in outputs]
        graph = helper.make_graph(nodes, 'net', values, results, [
            numpy_helper.from_array(array, name) for name, array in initializers.items()])
        opsets = [helper.make_opsetid('', 17)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()

    make = helper.make_node
    cnn = model([
        make('Conv', ['x', 'W', 'b'], ['c'], kernel_shape=[3, 3], pads=[1, 1, 1, 1],
             strides=[2, 2], dilations=[1, 1], group=1),
        make('BatchNormalization', ['c', 's', 'b', 'm', 'v'], ['n'], epsilon=1e-5),
        make('Relu', ['n'], ['r']),
        make('MaxPool', ['r'], ['p'], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        make('Resize', ['p', '', 'scales'], ['u'], mode='linear'),
        make('Reshape', ['u', 'shape'], ['f']),
        make('Gemm', ['f', 'V', 'c2'], ['g'], transB=1),
        make('Softmax', ['g'], ['y'], axis=-1)],
        {'W': floats(4, 3, 3, 3), 'b': floats(4), 's': floats(4), 'm': floats(4),
         'v': abs(floats(4)), 'scales': np.array([1, 1, 2, 2], np.float32),
         'shape': np.array([1, -1]), 'V': floats(5, 256), 'c2': floats(5)},
        {'x': [1, 3, 16, 16]}, ['y'])
    rnn = model([
        make('LSTM', ['x', 'W', 'R', 'B'], ['Y', 'h', 'c'], hidden_size=3, direction='forward'),
        make('Squeeze', ['h', 'zero'], ['s']), make('Tile', ['s', 'repeats'], ['t']),
        make('Expand', ['t', 'shape'], ['e']), make('Gather', ['e', 'zero'], ['y'], axis=0)],
        {'W': floats(1, 12, 2), 'R': floats(1, 12, 3), 'B': floats(1, 24),
         'zero': np.array([0]), 'repeats': np.array([2, 3]), 'shape': np.array([5, 1, 1])},
        {'x': [4, 1, 2]}, ['y'])
    branch = helper.make_graph(
        [make('ConstantOfShape', ['length'], ['z'])], 'then', [],
        [helper.make_tensor_value_info('z', TensorProto.FLOAT, None)])
    other = helper.make_graph(
        [make('Neg', ['x'], ['w'])], 'else', [],
        [helper.make_tensor_value_info('w', TensorProto.FLOAT, None)])
    body = helper.make_graph(
        [make('Add', ['a', 'x'], ['b']), make('Identity', ['go'], ['on']),
         make('Identity', ['b'], ['scan'])], 'body',
        [helper.make_tensor_value_info('i', TensorProto.INT64, []),
         helper.make_tensor_value_info('go', TensorProto.BOOL, []),
         helper.make_tensor_value_info('a', TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info('on', TensorProto.BOOL, []),
         helper.make_tensor_value_info('b', TensorProto.FLOAT, None),
         helper.make_tensor_value_info('scan', TensorProto.FLOAT, None)])
    flow = model([
        make('Loop', ['trips', 'yes', 'x'], ['l', 'all'], body=body),
        make('If', ['yes'], ['c'], then_branch=branch, else_branch=other),
        make('Range', ['zero', 'limit', 'one'], ['r']), make('Pad', ['x', 'pads'], ['p']),
        make('CumSum', ['p', 'axis'], ['y'])],
        {'trips': np.array(3), 'yes': np.array(True), 'length': np.array([2, 3]),
         'zero': np.array(0.0, np.float32), 'limit': np.array(9.0, np.float32),
         'one': np.array(1.0, np.float32), 'pads': np.array([1, 1]), 'axis': np.array(0)},
        {'x': [4]}, ['y', 'all', 'c', 'r'])
    return [cnn, rnn, flow]


def npz_files():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / 'link.npz'
        minichain.serializers.save_npz(str(path), target())
        buffer = io.BytesIO()
        np.savez(buffer, **{'l1/W': floats(20, 30), 'l1/b': floats(20)})
        return [path.read_bytes(), buffer.getvalue()]


def target():
    """What the npz files are loaded into."""
    return minichain.Chain(l1=L.Linear(30, 20, initialW=0))


def images():
    pixels = RNG.integers(0, 255, (24, 31, 3), np.uint8)
    files = []
    for kind in ('JPEG', 'PNG', 'GIF', 'BMP', 'WEBP', 'TIFF', 'PPM'):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        files.append(buffer.getvalue())
    return files

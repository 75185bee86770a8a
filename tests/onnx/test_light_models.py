"""The classification networks of the onnx package, whose weights are constants in their files.

Constant weights hide mistakes: every channel is like every other. So the same networks run once
more with random weights, beside onnxruntime.
"""
import json
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import pytest
from onnx import numpy_helper

import minichain.onnx
from minichain import no_backprop_mode

DATA = Path(onnx.backend.test.__file__).parent / 'data'
NETWORKS = ('bvlc_alexnet', 'densenet121', 'inception_v1', 'inception_v2', 'resnet50',
            'shufflenet', 'squeezenet', 'vgg19', 'zfnet512')
LARGE = {'bvlc_alexnet', 'vgg19', 'zfnet512'}   # hundreds of megabytes of weights


def path_of(name):
    return DATA / 'light' / f'light_{name}.onnx'


def input_of(model, ramp=True, seed=0):
    """The image that a network takes: a ramp from 0 to 1 as the onnx package feeds it, or noise.
    """
    known = {tensor.name for tensor in model.graph.initializer}
    value, = (value for value in model.graph.input if value.name not in known)
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    if ramp:
        count = np.prod(shape)
        return value.name, (np.arange(count).reshape(shape) / count).astype('float32')
    return value.name, np.random.default_rng(seed).random(shape, 'float32')


@pytest.mark.parametrize('name', NETWORKS)
def test_a_network_gives_the_outputs_that_come_with_it(name):
    settings = json.loads((DATA / 'real' / f'test_{name}' / 'data.json').read_text())
    _, x = input_of(onnx.load(path_of(name)))
    tensor = onnx.load_tensor(str(path_of(name).with_suffix('')) + '_output_0.pb')
    with no_backprop_mode():
        y, = minichain.onnx.load(path_of(name))(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.array, numpy_helper.to_array(tensor),
                               settings['rtol'], settings['atol'])


def roles(graph):
    """What values are for: name -> (operator that reads it, place among its inputs).

    A weight that is only brought into another shape has the role of the result.
    """
    found = {}
    for node in reversed(graph.node):
        for place, name in enumerate(node.input):
            found[name] = found.get(node.output[0]) if node.op_type == 'Unsqueeze' \
                else (node.op_type, place)
    return found


def random_array(rng, shape, role):
    """Weights with which activations neither vanish nor explode."""
    if role in (('Conv', 1), ('Gemm', 1)):
        return rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    if role in (('BatchNormalization', 1), ('BatchNormalization', 4), ('Mul', 1)):
        return rng.uniform(.5, 1.5, shape)
    return rng.standard_normal(shape) * .1


def with_random_weights(model, seed):
    """The network with all its float weights as random initializers."""
    rng, graph, purposes = np.random.default_rng(seed), model.graph, roles(model.graph)
    shapes = {tensor.name: tuple(numpy_helper.to_array(tensor))
              for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT64}
    weights = {tensor.name: tuple(tensor.dims)
               for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    filled = [node for node in graph.node if node.op_type == 'ConstantOfShape']
    weights.update((node.output[0], shapes[node.input[0]]) for node in filled)
    assert filled
    for node in filled:
        graph.node.remove(node)
    kept = [tensor for tensor in graph.initializer if tensor.name not in weights]
    inputs = [value for value in graph.input if value.name not in {*weights, *shapes}]
    del graph.initializer[:], graph.input[:]
    graph.initializer.extend(kept)
    graph.input.extend(inputs)
    for name, shape in weights.items():
        array = random_array(rng, shape, purposes.get(name)).astype('float32')
        graph.initializer.append(numpy_helper.from_array(array, name))
    model.ir_version = 8    # from 4 on initializers need not be inputs, too
    return model


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in NETWORKS])
def test_a_network_with_random_weights_equals_that_in_onnxruntime(name):
    onnxruntime = pytest.importorskip('onnxruntime', reason='onnxruntime is the reference here')
    model = with_random_weights(onnx.load(path_of(name)), seed=1)
    image, x = input_of(model, ramp=False)
    last = model.graph.node[-1]
    logits = last.input[0]      # softmax makes large mistakes small
    if last.op_type == 'Softmax':
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(logits))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    expected = session.run(None, {image: x})
    del session
    with no_backprop_mode():
        outputs = minichain.onnx.load(model)(x)
    assert len(outputs) == len(expected)
    for y, value in zip(outputs, expected):
        assert np.abs(y.array - value).max() <= 1e-4 * np.abs(value).max()
    assert np.ptp(expected[-1]) > .1 * np.abs(expected[-1]).max()   # the classes differ

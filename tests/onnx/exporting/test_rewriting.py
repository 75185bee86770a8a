"""Networks that were read and cannot be traced: written as they were read, with other weights."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import minichain.onnx
from minichain.errors import InvalidArgument, InvalidType
from minichain.onnx.exporting.refusal import CannotExport
from tests.onnx.exporting.running import run

F32, I64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
W, B = np.arange(6, dtype=np.float32).reshape(2, 3), np.float32([1, 2, 3])
X = np.random.RandomState(0).standard_normal((4, 2)).astype(np.float32)
IDS = np.array([3, 0, 5, 1])


def value(name, kind=F32, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def looping():
    """y = (x W + b where the row's id is odd, else W's sum) added to itself as often as ids sum;
    the bias lies in the body, and n is a sum of integers."""
    body = helper.make_graph(
        [helper.make_node('Add', ['state', 'bias'], ['next']),
         helper.make_node('Identity', ['going'], ['going_on'])], 'body',
        [value('i', I64, []), value('going', BOOL, []), value('state', F32, None)],
        [value('going_on', BOOL, []), value('next', F32, None)],
        [numpy_helper.from_array(B, 'bias')])
    graph = helper.make_graph(
        [helper.make_node('ReduceSum', ['ids'], ['n'], keepdims=0),
         helper.make_node('Mod', ['ids', 'two'], ['odd']),
         helper.make_node('Cast', ['odd'], ['is_odd'], to=BOOL),
         helper.make_node('Unsqueeze', ['is_odd', 'one'], ['column']),
         helper.make_node('MatMul', ['x', 'W'], ['product']),
         helper.make_node('ReduceSum', ['W'], ['total'], keepdims=0),
         helper.make_node('Where', ['column', 'product', 'total'], ['start']),
         helper.make_node('Loop', ['n', 'yes', 'start'], ['y'], body=body)], 'looping',
        [value('x', F32, ['rows', 2]), value('ids', I64, ['rows'])],
        [value('y', F32, ['rows', 3])],
        [numpy_helper.from_array(W, 'W'), numpy_helper.from_array(np.array([1]), 'one'),
         numpy_helper.from_array(np.array(2), 'two'),
         numpy_helper.from_array(np.array(True), 'yes')])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 15)], ir_version=8)


def expected(W, B):
    start = np.where(IDS[:, None] % 2 == 1, X @ W, W.sum())
    return start + IDS.sum() * B


@pytest.mark.parametrize('runner', ['reference', 'onnxruntime', 'minichain'])
def test_loops_and_integers_stay_and_weights_are_those_of_now(runner):
    net = minichain.onnx.load(looping())
    net.W.array = 2 * W
    net.bias.array = B - 5
    proto = minichain.onnx.export(net, (X, IDS), metadata={'by': 'me'})
    assert [each.name for each in proto.graph.input] == ['x', 'ids']
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == 'rows'
    assert [(each.domain, each.version) for each in proto.opset_import] == [('', 15)]
    assert {each.key: each.value for each in proto.metadata_props} == {'by': 'me'}
    y, = run(proto, {'x': X, 'ids': IDS}, runner)
    np.testing.assert_allclose(y, expected(2 * W, B - 5), rtol=1e-5)
    y, = run(proto, {'x': X[:2], 'ids': IDS[:2]}, runner)
    np.testing.assert_allclose(y[0], X[0] @ W * 2 + 3 * (B - 5), rtol=1e-5)


def test_names_may_be_others_and_examples_given_by_name(tmp_path):
    net = minichain.onnx.load(looping())
    minichain.onnx.export(net, {'ids': IDS, 'x': X}, tmp_path / 'a.onnx',
                          input_names=['numbers', 'rows'], output_names=['sums'])
    proto = onnx.load(tmp_path / 'a.onnx')
    assert [each.name for each in proto.graph.input] == ['rows', 'numbers']
    assert [each.name for each in proto.graph.output] == ['sums']
    y, = run(proto, {'rows': X, 'numbers': IDS})
    np.testing.assert_allclose(y, expected(W, B), rtol=1e-5)


def test_functions_of_the_file_come_along_with_what_their_callers_say():
    inner = helper.make_function(
        'mine', 'leak', ['a'], ['b'], [
            helper.make_node('LeakyRelu', ['a'], ['b']),
            helper.make_node('CastLike', ['b', 'a'], ['c'])], [helper.make_opsetid('', 15)],
        ['alpha'])
    inner.node[0].attribute.add(name='alpha', ref_attr_name='alpha', type=1)
    outer = helper.make_function(
        'mine', 'twice', ['a'], ['d'], [
            helper.make_node('leak', ['a'], ['b'], domain='mine', alpha=.25),
            helper.make_node('leak', ['b'], ['d'], domain='mine', alpha=.5)],
        [helper.make_opsetid('', 15), helper.make_opsetid('mine', 1)])
    model = looping()
    model.graph.node.append(helper.make_node('twice', ['y'], ['z'], domain='mine'))
    model.graph.output[0].CopyFrom(value('z', F32, ['rows', 3]))
    model.functions.extend([inner, outer])
    model.opset_import.append(helper.make_opsetid('mine', 1))
    net = minichain.onnx.load(model)
    net.bias.array = -B
    proto = minichain.onnx.export(net, (X, IDS))
    y = expected(W, -B)
    for runner in ('reference', 'onnxruntime', 'minichain'):
        z, = run(proto, {'x': X, 'ids': IDS}, runner)
        np.testing.assert_allclose(z, np.where(y < 0, y / 8, y), rtol=1e-5)


def test_attributes_of_all_kinds_are_written():
    graph = helper.make_graph(
        [helper.make_node('ReduceSum', ['ids'], ['n'], keepdims=0),
         helper.make_node('Range', ['zero', 'n', 'step'], ['many']),
         helper.make_node('Constant', [], ['zero'], value_int=0),
         helper.make_node('Constant', [], ['step'], value=numpy_helper.from_array(np.array(1))),
         helper.make_node('Constant', [], ['text'], value_strings=['a', 'bc']),
         helper.make_node('Constant', [], ['floats'], value_floats=[1., 2.5]),
         helper.make_node('Constant', [], ['none']),
         helper.make_node('Cast', ['many'], ['some'], to=F32),
         helper.make_node('Concat', ['some', 'floats'], ['all'], axis=0),
         helper.make_node('Elu', ['all'], ['y'], alpha=2.)], 'kinds', [value('ids', I64, ['n'])],
        [value('y', F32, ['m']), value('text', TensorProto.STRING, [2]), value('none', I64, [0])])
    graph.node[6].attribute.add(name='value_ints', type=onnx.AttributeProto.INTS)
    net = minichain.onnx.load(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8))
    proto = minichain.onnx.export(net, IDS)
    y, text, none = run(proto, {'ids': IDS})
    np.testing.assert_array_equal(y, [0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2.5])
    assert text.tolist() == ['a', 'bc'] and none.shape == (0,)


def test_a_loop_is_not_taken_for_as_many_steps_as_the_example_has():
    net = minichain.onnx.load(looping())
    proto = minichain.onnx.export(net, {'x': X, 'ids': IDS}, batch_axis=None)
    y, = run(proto, {'x': X, 'ids': IDS * 2})
    np.testing.assert_allclose(y, W.sum() + np.tile(IDS.sum() * 2 * B, (4, 1)), rtol=1e-5)


def test_arithmetic_of_floats_outside_of_functions_stays_too():
    graph = helper.make_graph(
        [helper.make_node('Greater', ['x', 'zero'], ['p']),
         helper.make_node('Where', ['p', 'W', 'x'], ['y'])], 'graph',
        [value('x', F32, ['n', 3])], [value('y', F32, ['n', 3])],
        [numpy_helper.from_array(W[:1], 'W'), numpy_helper.from_array(np.float32(0), 'zero')])
    net = minichain.onnx.load(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 16)], ir_version=8))
    net.W.array = net.W.array + 7
    proto = minichain.onnx.export(net, W - 2)
    assert proto.opset_import[0].version == 16
    y, = run(proto, {'x': W - 2})
    np.testing.assert_array_equal(y, np.where(W > 2, W[:1] + 7, W - 2))


def test_what_else_cannot_be_followed_is_refused_as_ever():
    net = minichain.onnx.load(looping())
    with pytest.raises(CannotExport):
        minichain.onnx.export(lambda x, ids: net(x, ids), (X, IDS), batch_axis=None)
    with pytest.raises(InvalidArgument, match='output_names: 1 different'):
        minichain.onnx.export(net, (X, IDS), output_names=['a', 'b'])
    with pytest.raises(InvalidType, match=r'node 4.*MatMul.*\(4, 1\), \(2, 3\)'):
        minichain.onnx.export(net, (X[:, :1], IDS))


def test_sequences_are_followed_as_ever():
    graph = helper.make_graph(
        [helper.make_node('SequenceAt', ['s', 'i'], ['y'])], 'graph',
        [helper.make_tensor_sequence_value_info('s', F32, None), value('i', I64, [])],
        [value('y')])
    net = minichain.onnx.load(helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 16)], ir_version=8))
    proto = minichain.onnx.export(lambda x: net([x], np.array(0)), X)
    np.testing.assert_array_equal(run(proto, {'x': X})[0], X)

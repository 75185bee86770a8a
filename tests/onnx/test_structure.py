"""Models that are whole as files but not as models, and sources that are none, are refused."""
import io
import types

import numpy as np
import onnx
import onnx.defs
import pytest
from onnx import TensorProto, helper, numpy_helper

import minichain as mc
import minichain.onnx
from minichain.errors import DataError, FileError, InvalidArgument, InvalidType
from minichain.onnx.operators import OPERATORS
from minichain.onnx.operators.signatures import OPERATORS as SIGNATURES
from minichain.onnx.schema import NEWEST

X = np.ones((2, 3), np.float32)
# What versions before the first stable one had, and what our operators read.
EXPERIMENTAL = {('MeanVarianceNormalization', 'across_channels'): ['int'],
                ('MeanVarianceNormalization', 'normalize_variance'): ['int']}


def model(op_type, n_inputs=1, opset=17, n_outputs=1, **attributes):
    value = helper.make_tensor_value_info
    outputs = ['y', *(f'y{i}' for i in range(1, n_outputs))]
    graph = helper.make_graph(
        [helper.make_node(op_type, ['x'] * n_inputs, outputs, **attributes)], 'graph',
        [value('x', TensorProto.FLOAT, [None, None])], [value('y', TensorProto.FLOAT, None)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', opset)], ir_version=8)


def test_signatures_are_those_of_the_specification():
    expected = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain or schema.name not in OPERATORS:
            continue
        least, most, outputs, attributes = expected.setdefault(
            schema.name, (schema.min_input, schema.max_input, schema.max_output, {}))
        for name, attribute in schema.attributes.items():
            kind = str(attribute.type).rpartition('.')[2].lower()
            attributes.setdefault(name, set()).add(kind)
        expected[schema.name] = (min(least, schema.min_input), max(most, schema.max_input),
                                 max(outputs, schema.max_output), attributes)
    assert SIGNATURES.keys() == {name for name in OPERATORS if isinstance(name, str)}
    for name, (*numbers, attributes) in expected.items():
        least, most, outputs, known = SIGNATURES[name]
        numbers = [float('inf') if n > 1000 else n for n in numbers]
        assert [least, most, outputs] == numbers, name
        known = {key: kinds for key, kinds in known.items() if (name, key) not in EXPERIMENTAL}
        assert {key: sorted(kinds) for key, kinds in known.items()} == {
            key: sorted(kinds) for key, kinds in attributes.items()}, name
    for (name, key), kinds in EXPERIMENTAL.items():
        assert SIGNATURES[name][3][key] == kinds
    assert NEWEST >= onnx.defs.onnx_opset_version()


@pytest.mark.parametrize('wrong, said', [
    (model('Softmax', axs=0), "'axs'.*axis"), (model('Softmax', axis=1.5), "'axis'.*int.*1.5"),
    (model('Softmax', axis='1'), "'axis'.*int"), (model('Transpose', perm=1), "'perm'.*ints"),
    (model('Relu', 0), '1 inputs expected, got 0'), (model('Relu', 2), '1 inputs.*got 2'),
    (model('Clip', 4), '1 to 3 inputs'), (model('Relu', n_outputs=2), 'at most 1 output'),
    (model('Relu', opset=NEWEST + 1), f'1 to {NEWEST} are known.*{NEWEST + 1}'),
    (model('Relu', opset=9999), '9999'), (model('Relu', opset=0), 'wants 0'),
    (model('Relu', opset=-1), 'wants -1')])
def test_nodes_and_versions_that_nobody_knows_are_refused(wrong, said):
    with pytest.raises(DataError, match=said):
        minichain.onnx.load(wrong)


def test_whole_numbers_may_stand_for_floats():
    node = helper.make_node('LeakyRelu', ['x'], ['y'], alpha=2)
    graph = model('Relu')
    graph.graph.node[0].CopyFrom(node)
    y, = minichain.onnx.load(graph)(-X)
    np.testing.assert_array_equal(y.array, -2 * X)


def twice(change):
    graph = model('Softmax', axis=1)
    change(graph)
    return graph


@pytest.mark.parametrize('wrong, said', [
    (twice(lambda m: m.graph.node[0].attribute.append(helper.make_attribute('axis', 0))),
     "attribute 'axis' is there twice"),
    (twice(lambda m: m.graph.input.append(m.graph.input[0])), "input 'x' is there twice"),
    (twice(lambda m: m.graph.output.append(m.graph.output[0])), "output 'y' is there twice"),
    (twice(lambda m: m.graph.initializer.extend(
        numpy_helper.from_array(np.ones(n), 'w') for n in (1, 2))), "initializer 'w'.*twice"),
    (twice(lambda m: m.opset_import.append(helper.make_opsetid('ai.onnx', 9))), '17 and 9'),
    (twice(lambda m: m.graph.initializer.append(
        numpy_helper.from_array(np.ones(1, np.float32), 'a\0b'))), r'NUL.*a\\x00b')])
def test_names_that_are_there_twice_or_that_no_file_could_hold_are_refused(wrong, said):
    with pytest.raises(DataError, match=said):
        minichain.onnx.load(wrong)


def test_lengths_beside_a_zero_are_limited():
    graph = model('Relu')
    graph.graph.initializer.add(name='w', data_type=1, dims=[1 << 40, 0])
    with pytest.raises(DataError, match="'w'.*no array"):
        minichain.onnx.load(graph)


def test_an_open_file_is_a_source(tmp_path):
    data = model('Neg').SerializeToString()
    (tmp_path / 'neg.onnx').write_bytes(data)
    y, = minichain.onnx.load(io.BytesIO(data))(X)
    np.testing.assert_array_equal(y.array, -X)
    with open(tmp_path / 'neg.onnx', 'rb') as file:
        assert minichain.onnx.load(file)(X)[0].shape == X.shape


@pytest.mark.parametrize('source, said', [
    (io.StringIO('text'), 'binary mode.*str'), (3, 'int'), (None, 'NoneType'), ([], 'list')])
def test_other_sources_are_refused_by_their_type(source, said):
    with pytest.raises(InvalidType, match=said):
        minichain.onnx.load(source)


def test_a_file_that_cannot_be_read_is_an_error_of_the_family(tmp_path):
    with open(tmp_path / 'written', 'wb') as file:
        with pytest.raises(FileError, match='cannot be read'):
            minichain.onnx.load(file)


def test_inputs_that_are_no_arrays_are_refused_by_their_type():
    net = minichain.onnx.load(model('Neg'))
    foreign = types.SimpleNamespace(dtype='torch.float32', shape=(2, 3), ndim=2)
    with pytest.raises(InvalidType, match="'x'.*array.*SimpleNamespace"):
        net(foreign)
    with pytest.raises(InvalidType, match="'x'.*array.*dict"):
        net({'x': {'y': 1}})
    with pytest.raises(InvalidArgument, match="'x'.*float32.*None"):
        net(None)


def test_a_tensor_of_pytorch_is_refused_by_its_type():
    torch = pytest.importorskip('torch', reason='PyTorch is not installed')
    with pytest.raises(InvalidType, match=r'torch\.Tensor'):
        minichain.onnx.load(model('Neg'))(torch.ones(2, 3))


def test_inputs_may_be_a_dict_under_their_own_name():
    net = minichain.onnx.load(model('Neg'))
    y, = net(inputs={'x': X}, outputs=['y'])
    np.testing.assert_array_equal(y.array, -X)
    with pytest.raises(InvalidArgument, match="'z'"):
        net(inputs={'z': X})


def test_an_input_of_the_name_inputs_is_that_input():
    graph = model('Neg')
    graph.graph.input[0].name = graph.graph.node[0].input[0] = 'inputs'
    y, = minichain.onnx.load(graph)(inputs=X)
    np.testing.assert_array_equal(y.array, -X)


def test_external_data_of_an_impossible_name_are_refused_with_the_tensor(tmp_path):
    graph = model('Neg')
    tensor = graph.graph.initializer.add(name='w', data_type=1, dims=[1], data_location=1)
    tensor.external_data.add(key='location', value='a\0b')
    (tmp_path / 'm.onnx').write_bytes(graph.SerializeToString())
    with pytest.raises(DataError, match=r"'w'.*a\\x00b"):
        minichain.onnx.load(tmp_path / 'm.onnx')


def test_weights_that_are_called_alike_in_many_bodies_are_kept_apart():
    out = helper.make_tensor_value_info('b', TensorProto.FLOAT, None)
    nodes = []
    for number in range(4):
        body = helper.make_graph([helper.make_node('Mul', ['x', 'W'], ['b'])], 'body', [], [out], [
            numpy_helper.from_array(np.float32([number]), 'W')])
        nodes.append(helper.make_node('If', ['c'], [f'y{number}'], then_branch=body,
                                      else_branch=body))
    graph = helper.make_graph(
        nodes, 'graph', [helper.make_tensor_value_info('c', TensorProto.BOOL, []),
                         helper.make_tensor_value_info('x', TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info(f'y{n}', TensorProto.FLOAT, None) for n in range(4)])
    net = minichain.onnx.load(helper.make_model(graph))
    results = net(np.array(True), np.ones(1, np.float32))
    assert [float(y.array[0]) for y in results] == [0, 1, 2, 3]
    names = [name for name, _ in net.namedparams()]
    assert len(set(names)) == 8 and {'/W', '/W_', '/W_2'} <= set(names)
    assert isinstance(net, mc.Chain)


def test_outputs_are_names_and_variables_have_arrays():
    net = minichain.onnx.load(model('Relu'))
    name, = net.output_names
    for outputs in (name, 3, [[name]], [None]):
        with pytest.raises(InvalidArgument, match='outputs: a list of names expected'):
            net(np.ones((2, 3), 'float32'), outputs=outputs)
    with pytest.raises(InvalidArgument, match='a Variable with an array expected'):
        net(mc.Variable(None))

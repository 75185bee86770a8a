import os

import numpy as np
import onnx
import pytest

import minichain
import minichain.functions as F
import minichain.links as L
from minichain import Chain
from minichain.errors import FileError, InvalidArgument
from minichain.onnx.exporting import export
from tests import strict_cupy
from tests.onnx.exporting.running import RUNNERS, expect_same, operators, run

X = np.random.default_rng(0).standard_normal((4, 3), 'f')


class Net(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.fc = L.Linear(3, 4)
            self.norm = L.BatchNormalization(4)
            self.out = L.Linear(4, 2)

    def forward(self, image):
        return self.out(F.dropout(F.relu(self.norm(self.fc(image)))))


def shape_of(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize('runner', RUNNERS)
def test_a_network_is_exported_as_in_test_mode_under_its_names(runner):
    proto = expect_same(Net(), X, runner)
    assert operators(proto) == ['Gemm', 'BatchNormalization', 'Relu', 'Gemm']
    assert {weight.name for weight in proto.graph.initializer} == {
        'fc/W', 'fc/b', 'norm/gamma', 'norm/beta', 'norm/avg_mean', 'norm/avg_var', 'out/W',
        'out/b'}
    assert [node.name for node in proto.graph.node][0] == 'fc/Gemm'
    assert proto.graph.input[0].name == 'image' and proto.graph.output[0].name == 'output'
    assert shape_of(proto.graph.input[0]) == ['N', 3]
    assert shape_of(proto.graph.output[0]) == ['N', 2]


def test_the_file_is_that_which_is_returned_and_the_same_every_time(tmp_path):
    net = Net()
    proto = export(net, X, tmp_path / 'a.onnx')
    export(net, X, tmp_path / 'b.onnx')
    assert onnx.load(tmp_path / 'a.onnx') == proto
    assert (tmp_path / 'a.onnx').read_bytes() == (tmp_path / 'b.onnx').read_bytes()
    assert sorted(os.listdir(tmp_path)) == ['a.onnx', 'b.onnx']


def test_exporting_changes_nothing_in_the_model():
    net = Net()
    before = {path: p.array.copy() for path, p in net.namedparams()}
    mean = net.norm.avg_mean.copy()
    export(net, X)
    assert minichain.config.train
    assert all((p.array == before[path]).all() for path, p in net.namedparams())
    assert (net.norm.avg_mean == mean).all()


def test_names_may_be_chosen():
    proto = export(lambda x, y: (x + y, x - y), (X, X), input_names=['a', 'b'],
                   output_names=['sum', 'difference'])
    assert [i.name for i in proto.graph.input] == ['a', 'b']
    got = run(proto, {'a': X, 'b': X})
    np.testing.assert_array_equal(got[0], X + X)
    assert [o.name for o in proto.graph.output] == ['sum', 'difference']
    with pytest.raises(InvalidArgument, match='output_names: 2 different names'):
        export(lambda x, y: (x + y, x - y), (X, X), output_names=['sum'])
    with pytest.raises(InvalidArgument, match='of other names than the inputs'):
        export(lambda x: -x, X, output_names=['x'])


def test_keywords_and_nests_of_arrays_become_inputs():
    def code(pair, scale):
        return {'sum': pair[0] + pair[1] * scale, 'parts': pair}
    proto = export(code, {'pair': (X, X), 'scale': X})
    assert [i.name for i in proto.graph.input] == ['pair_0', 'pair_1', 'scale']
    assert [o.name for o in proto.graph.output] == ['sum', 'parts_0', 'parts_1']
    got = run(proto, {'pair_0': X, 'pair_1': 2 * X, 'scale': 3 * X})
    np.testing.assert_allclose(got[0], X + 6 * X * X, rtol=1e-6)


def test_methods_know_their_link_and_functions_are_told_it():
    net = Net()
    for code, chain in ((net.forward, None), (lambda x: net(x), net)):
        proto = export(code, X, chain=chain)
        assert 'fc/W' in {weight.name for weight in proto.graph.initializer}


@pytest.mark.parametrize('runner', RUNNERS)
def test_a_batch_on_another_axis_or_of_one_input_only(runner):
    proto = expect_same(lambda x: F.sum(x, axis=0), X, runner, batch_axis=1, rows=(2,))
    assert shape_of(proto.graph.input[0]) == [4, 'N']
    proto = export(lambda x, table: F.matmul(x, table), (X, np.eye(3, dtype='f')),
                   batch_axis={'x': 0})
    assert shape_of(proto.graph.input[1]) == [3, 3]
    got, = run(proto, {'x': X[:1], 'table': 2 * np.eye(3, dtype='f')}, runner)
    np.testing.assert_allclose(got, 2 * X[:1])


def test_a_model_for_one_batch_size_is_exported_with_it():
    def code(x):
        return x.reshape(2, 6)
    with pytest.raises(InvalidArgument, match='batch_axis=None'):
        export(code, X)
    proto = expect_same(code, X, batch_axis=None)
    assert shape_of(proto.graph.input[0]) == [4, 3]


def test_rows_made_by_the_model_follow_the_batch():
    proto = expect_same(lambda x: F.concat((x, np.zeros((x.shape[0], 2), 'f'))), X)
    assert 'Expand' in operators(proto)


def test_a_length_that_happens_to_be_the_batch_size_stays_fixed():
    for n in (2, 3, 5):   # batch sizes that are tried
        x = np.random.default_rng(n).standard_normal((n, n, n), 'f')
        expect_same(lambda x: F.broadcast_to(x[:, :1], x.shape).reshape(-1, x.shape[2]) * 2, x)


def test_what_numpy_computed_from_inputs_is_noticed():
    for code in (lambda x: x + x.array.max(), lambda x: x + x.array * 2,
                 lambda x: F.cast(x.array.argmax(axis=1), 'float32')):
        with pytest.raises(InvalidArgument, match='values of the inputs'):
            export(code, X)
    with pytest.raises(InvalidArgument, match='another path at step 0'):
        export(lambda x: -x if x.array[0, 0] == X[0, 0] else x * 2, X)


def test_random_numbers_are_noticed():
    with pytest.raises(InvalidArgument, match='at random'):
        export(lambda x: F.gaussian(x, x), X)


def test_everything_that_is_unsupported_is_reported_at_once_and_nothing_written(tmp_path):
    from minichain.functions.convolution import ConvolutionWeight
    from minichain.functions.windows import slide
    windows = slide('', (1,), (1,))

    class Odd(L.Linear):
        def forward(self, x):
            y = super().forward(x).reshape(-1, 3, 1)
            return ConvolutionWeight(windows, 1).apply((y, y))[0]
    net = minichain.Sequential(Odd(3, 3))
    net.append(lambda x: x.reshape(-1, 3) * x.array.sum())
    with pytest.raises(InvalidArgument) as caught:
        export(net, X, tmp_path / 'odd.onnx')
    report = str(caught.value).splitlines()
    assert len(report) == 3
    assert 'ConvolutionWeight, 1 x (step 2 in 0): it occurs in gradients' in report[1]
    assert '_ * ' in report[2]
    assert not list(tmp_path.iterdir())


def test_opsets_are_kept_and_too_old_ones_refused():
    for opset in (13, 15, 18, 21):
        proto = export(Net(), X, opset=opset)
        assert proto.opset_import[0].version == opset
        got, = run(proto, {'image': X})
        with minichain.using_config('train', False):
            assert got.shape == (4, 2)
    assert export(Net(), X).ir_version <= 8
    for opset in (12, '17', True):
        with pytest.raises(InvalidArgument, match='opset 13 to'):
            export(Net(), X, opset=opset)


def test_arguments_that_do_not_fit_are_named():
    with pytest.raises(InvalidArgument, match='at least one array'):
        export(Net(), ())
    with pytest.raises(InvalidArgument, match='one batch size expected'):
        export(lambda x, y: x, (X, X[:2]))
    with pytest.raises(InvalidArgument, match='no batch axis 2'):
        export(Net(), X, batch_axis=2)
    with pytest.raises(InvalidArgument, match="inputs \\['image'\\] expected"):
        export(Net(), X, batch_axis={'x': 0})
    with pytest.raises(FileError):
        export(Net(), X, '/nowhere/at/all.onnx')


def test_float16_and_float64():
    for dtype in ('float16', 'float64'):
        with minichain.using_config('dtype', np.dtype(dtype)):
            net = L.Linear(3, 2)
        expect_same(net, X.astype(dtype), 'onnxruntime',
                    tolerance=2e-3 if dtype == 'float16' else 1e-12)


def test_a_model_on_a_gpu_gives_the_same_file():
    net = Chain(net=Net(), table=L.EmbedID(5, 3, ignore_label=-1), lstm=L.LSTM(3, 3))

    def code(ids, rows):
        x = net.lstm(net.table(ids)) + net.lstm(rows[:, [0, 2, 1]])
        return net.net(x), x[:, 1:]
    examples = np.array([0, 2, 1, 2]), X
    expected = export(code, examples, chain=net)
    with strict_cupy.installed():
        net.to_device(0)
        examples = tuple(map(net.device.send, examples))
        assert export(code, examples, chain=net) == expected


@pytest.mark.parametrize('path', [1, 2.5, [], object()], ids=repr)
def test_a_target_that_is_no_path_is_refused(path):
    with pytest.raises(InvalidArgument, match='path of a file to write expected, got '):
        export(L.Linear(3, 2), np.ones((4, 3), 'float32'), path)


@pytest.mark.parametrize('options, message', [
    ({'output_names': 3}, 'output_names: 1 different names expected'),
    ({'input_names': ['\udcff']}, 'input_names: 1 different names expected'),
    ({'metadata': {'a': '\udcff'}}, 'a dict from text to text expected')])
def test_names_that_no_file_can_hold_are_refused(options, message):
    with pytest.raises(InvalidArgument, match=message):
        export(L.Linear(3, 2), np.ones((4, 3), 'float32'), **options)

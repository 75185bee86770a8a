"""What files note beside the network: how to prepare images, and where their data are."""
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import minichain.onnx
from minichain.errors import DataError, FileError, InvalidArgument
from minichain.image import Preprocessing

HOW = {'size': [4, 6], 'channels': 'grey', 'mean': [9.]}
PICTURE = np.random.RandomState(0).randint(0, 256, (8, 9, 3)).astype('uint8')


def write(folder, channels=3, metadata=None, group=1):
    """The path of a file with one convolution; `channels` is what the file says of its input."""
    value = helper.make_tensor_value_info
    W = np.ones((3, 3 // group, 1, 1), np.float32)
    graph = helper.make_graph(
        [helper.make_node('Conv', ['x', 'W'], ['y'], group=group)], 'graph',
        [value('x', TensorProto.FLOAT, ['n', channels, 'h', 'w'])],
        [value('y', TensorProto.FLOAT, None)], [numpy_helper.from_array(W, 'W')])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    path = folder / 'net.onnx'
    onnx.save(model, path)
    return path


@pytest.mark.parametrize('text, said', [
    ('{"size": [4, 6', 'column'), ('{"size": [4, 6], "chanels": "RGB"}', 'unknown chanels'),
    ('{"mean": [1, 2, 3]}', "'size'"), ('{"size": [4, 6], "mean": [1, 2]}', 'mean.*3 finite'),
    ('{"size": [4, 0]}', 'size'), ('{"size": [4, 6], "scale": 1e999}', 'scale'),
    (f'{{"size": [4, 6], "scale": 1{"0" * 400}}}', 'scale'),
    (' {"size": {"size": [4, 6]}}', 'size'), ('{"size":' + '[' * 200_000, 'recursion')])
def test_a_damaged_description_is_passed_over_with_a_warning_and_not_used(tmp_path, text, said):
    path = write(tmp_path, metadata={'preprocessing': text})
    expected = rf"(?s)net\.onnx: its metadata, the field 'preprocessing'.*({said})"
    with pytest.warns(UserWarning, match=expected):
        net = minichain.onnx.load(path)
    assert net.preprocessing is None and net.metadata == {'preprocessing': text}
    with pytest.raises(DataError, match=expected):
        net.prepare(PICTURE)
    net.preprocessing = Preprocessing((4, 6))
    assert net.prepare(PICTURE).shape == (3, 4, 6)


@pytest.mark.parametrize(
    'text', ['as usual', '', '[224, 224]', '3', 'null', '\0', 'é' * 1000, 'words ' * 50_000])
def test_what_others_note_under_that_name_is_theirs(tmp_path, text):
    net = minichain.onnx.load(write(tmp_path, metadata={'preprocessing': text}))
    assert net.preprocessing is None and net.metadata == {'preprocessing': text}
    with pytest.raises(InvalidArgument, match=r'net\.onnx.*not known'):
        net.prepare(PICTURE)


def test_metadata_that_are_no_text_or_there_twice_do_no_harm(tmp_path):
    path = write(tmp_path)
    entry = b'\x72\x0e\x0a\x05\xff\xfe\x00\x80\x81\x12\x05{"\xff\xc3('      # field 14
    path.write_bytes(path.read_bytes() + entry * 2 + b'\x72\x00')
    net = minichain.onnx.load(path)
    y, = net(np.ones((1, 3, 2, 2), np.float32))
    np.testing.assert_array_equal(y.array, np.full((1, 3, 2, 2), 3))


@pytest.mark.parametrize('channels, group', [(3, 1), ('c', 1), (None, 3)])
def test_grey_images_for_a_network_of_three_channels_are_refused_by_name(
        tmp_path, channels, group):
    metadata = {'preprocessing': json.dumps(HOW)}
    net = minichain.onnx.load(write(tmp_path, channels, metadata, group))
    assert net.preprocessing == Preprocessing((4, 6), 'grey', (9.,))
    with pytest.raises(InvalidArgument, match=r"net\.onnx.*1 channel, channels='grey'.* has 3"):
        net.prepare(PICTURE)


def test_grey_images_for_a_network_of_one_channel_are_prepared(tmp_path):
    metadata = {'preprocessing': json.dumps(HOW)}
    net = minichain.onnx.load(write(tmp_path, 1, metadata))
    assert net.prepare(PICTURE).shape == (1, 4, 6)
    net.preprocessing = Preprocessing((4, 6))
    with pytest.raises(InvalidArgument, match=r'net\.onnx.*3 channels.*has 1'):
        net.prepare(PICTURE)


@pytest.mark.parametrize('content, error', [(None, FileError), (b'', DataError)])
def test_external_data_that_are_missing_are_named_with_model_and_tensor(tmp_path, content, error):
    path = write(tmp_path)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location='net.data', size_threshold=0)
    assert minichain.onnx.load(path).W.array.sum() == 9
    (tmp_path / 'net.data').unlink()
    if content is not None:
        (tmp_path / 'net.data').write_bytes(content)
    with pytest.raises(error, match=r"net\.onnx.*'W'.*'net\.data'.*net\.data"):
        minichain.onnx.load(path)

"""Networks from ONNX files as image encoders, beside their formulas written out in NumPy."""
import hashlib
import json
import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import generate
import minichain
from minichain import command_line
from minichain.caffe.writer import save
from minichain.encoder_network import is_onnx
from minichain.errors import DataError, FileError, InvalidArgument, InvalidType
from minichain.image import CUSTOMS, Preprocessing, read_preprocessing
from minichain.image_encoder import ImageEncoder
from models.caption_generator import CaptionGenerator
from tests import tiny_captions
from tests.tiny_result import PREPROCESSING, inner_product, weights

HOW = PREPROCESSING.to_dict()


def write_onnx(folder, shape=('n', 3, 4, 6), metadata=None, tail=('Softmax',),
               flatten=('Flatten',), elements=TensorProto.FLOAT, name='tiny.onnx',
               hidden='hidden'):
    """Write conv 1x1, ReLU, Flatten, Gemm (`hidden`), ReLU, MatMul + bias, and a tail; its path.

    Args:
        flatten: operator, and the shape to which it reshapes if it is Reshape.
    """
    random, w = np.random.RandomState(1), weights()
    dtype = helper.tensor_dtype_to_np_dtype(elements)
    tensors = {'conv_W': w['conv1'][0], 'conv_b': w['conv1'][1], 'W7': w['fc7'][0],
               'b7': w['fc7'][1], 'W8': random.randn(8, 3).astype('f'), 'b8': np.ones(3, 'f')}
    tensors = {key: value.astype(dtype) for key, value in tensors.items()}
    reads = ['maps']
    if len(flatten) > 1:
        tensors['shape'] = np.array(flatten[1], 'int64')
        reads.append('shape')
    nodes = [helper.make_node('Conv', ['pixels', 'conv_W', 'conv_b'], ['sums']),
             helper.make_node('Relu', ['sums'], ['maps']),
             helper.make_node(flatten[0], reads, ['row']),
             helper.make_node('Gemm', ['row', 'W7', 'b7'], ['before'], transB=1),
             helper.make_node('Relu', ['before'], [hidden]),
             helper.make_node('MatMul', [hidden, 'W8'], ['product']),
             helper.make_node('Add', ['product', 'b8'], ['scores'])]
    last = 'scores'
    for i, kind in enumerate(tail):
        nodes.append(helper.make_node(kind, [last], [f'tail{i}']))
        last = f'tail{i}'
    graph = helper.make_graph(
        nodes, 'tiny', [helper.make_tensor_value_info('pixels', elements, shape)],
        [helper.make_tensor_value_info(last, elements, None)],
        [numpy_helper.from_array(value, key) for key, value in tensors.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    if metadata:
        helper.set_model_props(model, metadata)
    path = folder / name
    onnx.save(model, path)
    return path


def expected(x, shape='hidden'):
    W, b = weights()['conv1']
    maps = np.maximum(np.einsum('oc,nchw->nohw', W[:, :, 0, 0], x) + b[:, None, None], 0)
    W, b = weights()['fc7']
    return maps.mean((2, 3)) if shape == 'maps' else np.maximum(
        maps.reshape(len(x), -1) @ W.T + b, 0)


@pytest.fixture
def pictures():
    random = np.random.RandomState(0)
    return [random.randint(0, 256, (20 + i, 30, 3)).astype('uint8') for i in range(3)]


@pytest.mark.parametrize('tail', [(), ('Softmax',), ('Identity', 'LogSoftmax')])
def test_features_are_what_the_classifier_reads(tmp_path, pictures, tail):
    path = write_onnx(tmp_path, tail=tail, metadata={'preprocessing': json.dumps(HOW)})
    encoder = ImageEncoder(path)
    assert encoder.layer == 'hidden' and encoder.preprocessing == PREPROCESSING
    assert encoder.preparation.endswith(f'as {path} says')
    prepared = [encoder.prepare(picture) for picture in pictures]
    np.testing.assert_allclose(encoder.compute(prepared), expected(np.stack(prepared)), rtol=1e-4,
                               atol=1e-5)


def test_any_value_can_be_named_and_maps_are_averaged(tmp_path, pictures):
    encoder = ImageEncoder(write_onnx(tmp_path), layer='maps', preprocessing=PREPROCESSING)
    prepared = [encoder.prepare(picture) for picture in pictures]
    np.testing.assert_allclose(encoder.compute(prepared), expected(np.stack(prepared), 'maps'),
                               rtol=1e-4, atol=1e-5)
    with pytest.raises(InvalidArgument, match="no layer 'fc9'; there are sums, maps, row, before"):
        ImageEncoder(tmp_path / 'tiny.onnx', layer='fc9')
    for name in ('pixels', 'conv_W'):
        with pytest.raises(InvalidArgument, match='no layer'):
            ImageEncoder(tmp_path / 'tiny.onnx', layer=name)


def test_a_value_called_fc7_is_taken_first(tmp_path):
    assert ImageEncoder(write_onnx(tmp_path, hidden='fc7', tail=())).layer == 'fc7'


@pytest.mark.parametrize('flatten, calls', [(('Flatten',), [3, 1, 1, 1, 3, 3]),
                                            (('Reshape', (1, -1)), [3, 1, 1, 1, 1, 1, 1]),
                                            (('Reshape', (1, 96)), [3, 1, 1, 1, 1, 1, 1])])
def test_a_file_for_one_image_takes_several_at_once_where_that_is_the_same(
        tmp_path, pictures, flatten, calls):
    encoder = ImageEncoder(write_onnx(tmp_path, (1, 3, 4, 6), flatten=flatten),
                           preprocessing=PREPROCESSING)
    prepared, seen = [encoder.prepare(picture) for picture in pictures], []
    forward = encoder.net.forward

    def watch(x, **options):
        seen.append(len(x))
        return forward(x, **options)
    encoder.net.forward = watch
    for _ in range(2):
        np.testing.assert_allclose(encoder.compute(prepared), expected(np.stack(prepared)),
                                   rtol=1e-4, atol=1e-5)
    assert seen == calls


def test_a_file_for_two_images_gets_two_and_what_fills_up_is_cut_off(tmp_path, pictures):
    encoder = ImageEncoder(write_onnx(tmp_path, (2, 3, 4, 6), flatten=('Reshape', (2, 96))),
                           preprocessing=PREPROCESSING)
    prepared = [encoder.prepare(picture) for picture in pictures]
    np.testing.assert_allclose(encoder.compute(prepared), expected(np.stack(prepared)), rtol=1e-4,
                               atol=1e-5)


def test_half_precision_and_a_gpu(tmp_path, pictures):
    path = write_onnx(tmp_path, elements=TensorProto.FLOAT16)
    encoder = ImageEncoder(path, preprocessing=PREPROCESSING)
    prepared = [encoder.prepare(picture) for picture in pictures]
    features = encoder.compute(prepared)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected(np.stack(prepared)), rtol=.02, atol=.01)
    there = ImageEncoder(write_onnx(tmp_path, (1, 3, 4, 6), name='other.onnx'), device='sim',
                         preprocessing=PREPROCESSING)
    np.testing.assert_allclose(
        there.compute([there.prepare(picture) for picture in pictures]),
        expected(np.stack(prepared)), rtol=1e-3, atol=1e-4)


def test_without_a_word_on_preparation_it_is_a_guess_of_the_size_of_the_input(tmp_path):
    encoder = ImageEncoder(write_onnx(tmp_path))
    assert encoder.preprocessing == Preprocessing((4, 6), **CUSTOMS['torch'])
    assert 'a guess' in encoder.preparation and '--preprocessing would' in encoder.preparation
    for shape in (('n', 3, 'h', 'w'), (0, 3, 0, 6), (10 ** 12, 3, 10 ** 9, 10 ** 9)):
        path = write_onnx(tmp_path, shape, metadata={'preprocessing': 'as usual'})
        assert ImageEncoder(path).preprocessing.size == (224, 224)


def test_a_damaged_word_on_preparation_is_refused_unless_another_is_given(tmp_path):
    path = write_onnx(tmp_path, metadata={'preprocessing': '{"size": [4, '})
    said = r"tiny\.onnx: its metadata, the field 'preprocessing'.*--preprocessing"
    with pytest.warns(UserWarning, match=said), pytest.raises(DataError, match=said):
        ImageEncoder(path)
    with pytest.warns(UserWarning, match=said):
        assert ImageEncoder(path, preprocessing=PREPROCESSING).preprocessing == PREPROCESSING


def test_grey_images_for_a_network_of_three_channels_are_refused(tmp_path):
    W, b = np.ones((2, 72), 'f'), np.zeros(2, 'f')
    save(tmp_path / 'a.caffemodel', tmp_path / 'a.prototxt', [inner_product('e', 'data', W, b)],
         (1, 3, 4, 6))
    for path in (write_onnx(tmp_path), tmp_path / 'a.caffemodel'):
        with pytest.raises(InvalidArgument, match="1 channel, channels='grey'.* has 3"):
            ImageEncoder(path, preprocessing=Preprocessing((4, 6), 'grey'))


def test_a_custom_can_be_named_for_caffe_too(tmp_path):
    path = write_onnx(tmp_path)
    assert ImageEncoder(path, preprocessing='caffe').preprocessing == Preprocessing(
        (4, 6), 'BGR', (104, 117, 123))
    assert ImageEncoder(path, preprocessing=json.dumps(HOW)).preprocessing == PREPROCESSING
    W, b = np.ones((2, 72), 'f'), np.zeros(2, 'f')
    save(tmp_path / 'a.caffemodel', tmp_path / 'a.prototxt', [inner_product('e', 'data', W, b)],
         (1, 3, 4, 6))
    encoder = ImageEncoder(tmp_path / 'a.caffemodel', preprocessing='torch')
    assert encoder.preprocessing == Preprocessing((4, 6), **CUSTOMS['torch'])
    assert encoder.preparation.endswith('as it was named')


@pytest.mark.parametrize('text', ['tensorflow', '{"size": [0, 1]}', '[]', '{', '9' * 5000])
def test_what_describes_no_preprocessing_is_refused(text):
    with pytest.raises(InvalidArgument, match='preprocessing: caffe, torch, or JSON'):
        read_preprocessing(text, (4, 6))


def test_a_name_needs_a_size():
    with pytest.raises(InvalidArgument, match="does not say its input's size"):
        read_preprocessing('caffe')


@pytest.mark.parametrize('shape', [('n', 4, 6, 3), ('n', 3, 4), None, ('n', 'c', 4, 6)])
def test_a_network_that_reads_no_images_is_refused(tmp_path, shape):
    with pytest.raises(DataError, match='a network for images expected'):
        ImageEncoder(write_onnx(tmp_path, shape))


def test_files_are_known_by_name_or_content(tmp_path):
    path = write_onnx(tmp_path)
    renamed = path.rename(tmp_path / 'weights.bin')
    assert is_onnx(str(renamed)) and not is_onnx(str(tmp_path / 'none.caffemodel'))
    assert ImageEncoder(renamed).layer == 'hidden'
    assert ImageEncoder(bytes(renamed)).description['weights'] == str(renamed)
    with pytest.raises(FileError, match='none.onnx'):
        ImageEncoder(tmp_path / 'none.onnx')
    with pytest.raises(InvalidArgument, match='the path of a caffemodel or an ONNX file'):
        ImageEncoder(None)
    with pytest.raises(InvalidArgument, match='leave out --prototxt'):
        ImageEncoder(renamed, prototxt=tmp_path / 'a.prototxt')


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='no named pipes here')
def test_a_pipe_is_not_read(tmp_path):
    pipe = tmp_path / 'cnn'
    os.mkfifo(pipe)
    file = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        os.write(file, b'\x08')
        with pytest.raises(FileError, match='a regular file expected'):
            ImageEncoder(pipe)
        assert os.read(file, 1) == b'\x08'
    finally:
        os.close(file)


@pytest.mark.parametrize('number', ['n', 2])
@pytest.mark.parametrize('operator, options', [
    ('SequenceConstruct', {}), ('ReduceSum', {'keepdims': 0}),
    ('Cast', {'to': TensorProto.STRING})])
def test_a_layer_that_gives_no_numbers_for_each_image_is_refused(tmp_path, pictures, number,
                                                                 operator, options):
    path = write_onnx(tmp_path, (number, 3, 4, 6), tail=())
    model = onnx.load(path)
    model.graph.node.append(helper.make_node(operator, ['scores'], ['other'], **options))
    onnx.save(model, path)
    encoder = ImageEncoder(path, layer='other', preprocessing=PREPROCESSING)
    with pytest.raises(InvalidType, match="layer 'other' gives no numbers for each image"):
        encoder.compute([encoder.prepare(picture) for picture in pictures])


def test_operators_behind_the_layer_need_not_be_known(tmp_path, pictures):
    path = write_onnx(tmp_path, tail=('Detect',))
    encoder = ImageEncoder(path, layer='hidden', preprocessing=PREPROCESSING)
    prepared = [encoder.prepare(picture) for picture in pictures]
    np.testing.assert_allclose(encoder.compute(prepared), expected(np.stack(prepared)), rtol=1e-4,
                               atol=1e-5)
    encoder = ImageEncoder(path, preprocessing=PREPROCESSING)
    with pytest.raises(DataError, match='Detect.*this operator is not supported'):
        encoder.compute(prepared)


def test_other_external_data_make_another_network(tmp_path):
    path, data = write_onnx(tmp_path), tmp_path / 'tiny.data'
    alone = ImageEncoder(path).key['sha256']
    assert alone == hashlib.sha256(path.read_bytes()).hexdigest()
    onnx.save(onnx.load(path), path, save_as_external_data=True, location=data.name,
              size_threshold=0)
    before = ImageEncoder(path)
    assert before.key['sha256'] == hashlib.sha256(path.read_bytes() + data.read_bytes()
                                                  ).hexdigest()
    assert ImageEncoder.from_description(before.description).key == before.key
    damaged = bytearray(data.read_bytes())
    damaged[0] ^= 1
    data.write_bytes(damaged)
    assert ImageEncoder(path).key != before.key     # or features of the old one would be taken
    with pytest.raises(DataError, match='got another one'):
        ImageEncoder.from_description(before.description)
    data.unlink()
    with pytest.raises(FileError, match='tiny.data'):
        ImageEncoder.from_description(before.description)
    data.mkdir()
    with pytest.raises(FileError, match=r'a device\. Name the file with --weights'):
        ImageEncoder.from_description(before.description)


def test_the_description_makes_the_same_encoder(tmp_path, pictures):
    encoder = ImageEncoder(write_onnx(tmp_path), layer='before', preprocessing=PREPROCESSING)
    again = ImageEncoder.from_description(json.loads(json.dumps(encoder.description)))
    assert (again.layer, again.preprocessing, again.key) == (
        'before', PREPROCESSING, encoder.key)


def test_a_loaded_model_prepares_images_as_its_metadata_say(tmp_path, pictures):
    net = minichain.onnx.load(write_onnx(tmp_path, metadata={
        'preprocessing': json.dumps(HOW), 'author': 'nobody'}))
    assert net.metadata == {'preprocessing': json.dumps(HOW), 'author': 'nobody'}
    np.testing.assert_array_equal(net.prepare(pictures[0]), PREPROCESSING.apply(pictures[0]))
    silent = minichain.onnx.load(write_onnx(tmp_path))
    with pytest.raises(InvalidArgument, match='the preparation of images is not known'):
        silent.prepare(pictures[0])


def test_train_py_and_generate_py_look_with_it(tmp_path, capsys):
    arguments = tiny_captions.arguments(tmp_path)
    arguments[arguments.index('--weights') + 1] = str(write_onnx(tmp_path, (1, 3, 4, 6)))
    assert tiny_captions.run(*arguments, '--preprocessing', json.dumps(HOW)) == 0
    assert '4 x 6 BGR, warp, mean 104 117 123, scale 0.01; as it was named' in (
        capsys.readouterr().out)
    photo, folder = tmp_path / 'data' / 'test0.png', tmp_path / 'onnx'
    model = ['--model', str(tmp_path / 'out')]
    assert command_line.run('generate.py', generate.main, [str(photo), *model]) == 0
    caption = capsys.readouterr().out
    assert 'test0.png' in caption
    assert command_line.run('generate.py', generate.main, [*model, '--export', str(folder)]) == 0
    look = onnx.load(folder / 'encoder.onnx')
    assert {entry.key: json.loads(entry.value) for entry in look.metadata_props
            if entry.key == 'preprocessing'} == {'preprocessing': HOW}


def test_a_captioner_of_a_network_for_one_image_is_not_exported_with_it(tmp_path):
    encoder = ImageEncoder(write_onnx(tmp_path, (1, 3, 4, 6), flatten=('Reshape', (1, 96))),
                           preprocessing=PREPROCESSING)
    model = CaptionGenerator(n_vocabulary=9, n_feature=8, n_embed=3, n_hidden=4)
    with pytest.raises(InvalidArgument, match='takes a fixed number of images at a time'):
        minichain.onnx.export_captioner(model, tmp_path / 'onnx', encoder)

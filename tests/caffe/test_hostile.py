"""Files that mean harm: each is refused, or computes within bounds of time and memory."""

import random
import time
import tracemalloc

import numpy as np
import pytest

from minichain import no_backprop_mode, using_config
from minichain.caffe import load, save
from minichain.errors import DataError, InvalidArgument, MinichainError

X = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
W = np.random.default_rng(1).standard_normal((4, 3, 3, 3)).astype(np.float32)
b = np.ones(4, np.float32)
GIBIBYTE = 1 << 30


def call(paths, inputs=X):
    """Loads a network, computes all of its last tops, and returns how it went."""
    tracemalloc.start()
    start = time.process_time()
    try:
        with no_backprop_mode(), using_config('train', False), np.errstate(all='ignore'):
            net = load(*paths)
            net(dict.fromkeys(net.input_names, inputs), net.blob_names[-1:])
        return 'net'
    except (MinichainError, ValueError, OSError):
        return 'refused'
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < GIBIBYTE
        assert time.process_time() - start < 10


def write(tmp_path, layers):
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    save(*paths, [{'name': f'layer{number}', **layer} for number, layer in enumerate(layers)],
         X.shape, input_name='x')
    return paths


def layer(kind, top='y', bottom='x', blobs=(), **parameters):
    bottoms = bottom if isinstance(bottom, list) else [bottom]
    return {'type': kind, 'bottom': bottoms, 'top': [top], 'blobs': list(blobs), **parameters}


HUGE = 1 << 31
ABSURD = {
    'outputs': layer('Convolution', blobs=[W, b], convolution_param={
        'num_output': HUGE, 'kernel_size': [3]}),
    'outputs that overflow': layer('InnerProduct', blobs=[W, b], inner_product_param={
        'num_output': 1 << 62}),
    'a kernel': layer('Convolution', blobs=[W, b], convolution_param={
        'num_output': 4, 'kernel_size': [10 ** 9]}),
    'a kernel of pooling': layer('Pooling', pooling_param={'kernel_size': 10 ** 9}),
    'a window with padding': layer('Pooling', pooling_param={
        'kernel_h': 60_000, 'kernel_w': 1, 'pad_h': 59_999, 'pad_w': 0, 'stride_h': 1,
        'stride_w': 1, 'pool': 'AVE'}),
    'padding': layer('Convolution', blobs=[W, b], convolution_param={
        'num_output': 4, 'kernel_size': [3], 'pad': [60_000]}),
    'padding that the stride hides': layer('Convolution', blobs=[W, b], convolution_param={
        'num_output': 4, 'kernel_size': [3], 'pad': [60_000], 'stride': [60_000]}),
    'a stride backwards': layer('Deconvolution', blobs=[W.swapaxes(0, 1), b], convolution_param={
        'num_output': 4, 'kernel_size': [3], 'stride': [60_000]}),
    'dilation backwards': layer('Deconvolution', blobs=[W.swapaxes(0, 1), b], convolution_param={
        'num_output': 4, 'kernel_size': [3], 'dilation': [60_000]}),
    'columns': layer('Im2col', convolution_param={'kernel_size': [3], 'pad': [30_000]}),
    'tiles': layer('Tile', tile_param={'tiles': 10 ** 9}),
    'tiles that overflow': layer('Tile', tile_param={'tiles': 1 << 62}),
    'a zoom': layer('Interp', interp_param={'zoom_factor': 10 ** 6}),
    'a height': layer('Interp', interp_param={'height': 10 ** 9, 'width': 1}),
    'weights of a resizing': layer('Interp', interp_param={'height': 20_000_000, 'width': 1}),
    'a scale': layer('Upsample', upsample_param={'scale': HUGE}),
    'planes': layer('Upsample', bottom=['x', 'x'], upsample_param={
        'upsample_h': 1 << 20, 'upsample_w': 1 << 20}),
    'a shape': layer('Reshape', reshape_param={'shape': {'dim': [1 << 40, 1 << 40]}}),
    'a shape of nothing': layer('Reshape', reshape_param={'shape': {'dim': [0, 0, 0, 0, 0]}}),
    'a neighbourhood': layer('LRN', lrn_param={'local_size': HUGE + 1}),
    'regions': layer('ROIPooling', bottom=['x', 'r'], roi_pooling_param={
        'pooled_h': HUGE, 'pooled_w': HUGE}),
    'regions in groups': layer('PSROIPooling', bottom=['x', 'r'], psroi_pooling_param={
        'output_dim': 3, 'group_size': HUGE, 'spatial_scale': 1.}),
    'a pyramid': layer('SPP', spp_param={'pyramid_height': HUGE}),
    'blocks': layer('Reorg', reorg_param={'stride': HUGE}),
    'classes': layer('DetectionOutput', bottom=['x', 'x', 'p'], detection_output_param={
        'num_classes': HUGE}),
    'priors of one cell': layer('PriorBox', bottom=['x', 'x'], prior_box_param={
        'min_size': [1.] * 1000}),
    'proposals of one cell': layer('Proposal', bottom=['x', 'x', 'x'], proposal_param={
        'scale': [1.] * 1000}),
    'a recurrent state': layer('LSTM', bottom=['x', 'x'], blobs=[W, b, W], recurrent_param={
        'num_output': HUGE}),
    'a table': layer('Embed', blobs=[W, b], embed_param={'num_output': HUGE, 'input_dim': HUGE}),
    'a choice': layer('ArgMax', argmax_param={'top_k': HUGE}),
    'an offset': layer('Crop', bottom=['x', 'x'], crop_param={'offset': [HUGE]}),
    'an axis': layer('Softmax', softmax_param={'axis': -HUGE}),
    'groups': layer('Convolution', blobs=[W, b], convolution_param={
        'num_output': 4, 'kernel_size': [3], 'group': HUGE}),
    'shuffled groups': layer('ShuffleChannel', shuffle_channel_param={'group': HUGE}),
    'a parameter': layer('Parameter', blobs=[W], parameter_param={'shape': {'dim': [HUGE] * 3}}),
}
ABSURD['a parameter']['bottom'] = []


@pytest.mark.parametrize('what', ABSURD)
def test_absurd_sizes_are_refused_at_the_latest_when_called(tmp_path, what):
    assert call(write(tmp_path, [ABSURD[what]])) == 'refused'


def chain(kind, count, **parameters):
    return [layer(kind, f'b{number + 1}', f'b{number}' if number else 'x', **parameters)
            for number in range(count)]


GROWING = {
    'tiles of tiles': chain('Tile', 40, tile_param={'tiles': 4}),
    'zooms of zooms': chain('Interp', 12, interp_param={'zoom_factor': 3}),
    'paddings of paddings': chain('Convolution', 9, blobs=[W[:3], b[:3]], convolution_param={
        'num_output': 3, 'kernel_size': [3], 'pad': [1000]}),
    'a blob joined with itself again and again': [
        layer('Concat', f'b{number + 1}', [f'b{number}' if number else 'x'] * 8)
        for number in range(30)],
    'many large blobs at once': [
        *(layer('Tile', f't{number}', tile_param={'tiles': 60_000}) for number in range(40)),
        layer('Eltwise', 'y', [f't{number}' for number in range(40)])],
    'hundreds of passes over a large blob': [
        layer('Tile', 't', tile_param={'tiles': 60_000}),
        layer('Eltwise', 'y', ['t'] * 5000)],
}


@pytest.mark.parametrize('what', GROWING)
def test_what_grows_step_by_step_is_refused(tmp_path, what):
    assert call(write(tmp_path, GROWING[what])) == 'refused'


def test_a_network_that_grows_as_decoders_do_is_not(tmp_path):
    z = np.ones((1, 64, 1, 1), np.float32)
    layers = [layer('Deconvolution', f'b{number + 1}', f'b{number}' if number else 'x', [
        np.ones((64, 64, 4, 4), np.float32)], convolution_param={
            'num_output': 64, 'kernel_size': [4], 'stride': [4], 'bias_term': False})
        for number in range(4)]
    assert call(write(tmp_path, layers), z) == 'net'        # 64 numbers become four million


@pytest.mark.parametrize('text', [
    'layer { name: "a" type: "ReLU" bottom: "a" top: "a" }',
    """layer { name: "a" type: "Power" bottom: "b" top: "a" }
       layer { name: "b" type: "Power" bottom: "a" top: "b" }""",
    """layer { name: "a" type: "Eltwise" bottom: "a" bottom: "b" top: "b" }
       layer { name: "b" type: "Eltwise" bottom: "b" bottom: "a" top: "a" }"""])
def test_layers_that_wait_for_each_other_run_once_in_the_order_of_the_file(tmp_path, text):
    path = tmp_path / 'net.prototxt'
    path.write_text(text)
    assert call([path]) == 'net'
    net = load(path)
    with pytest.raises(InvalidArgument, match='needs the blob'):
        net({}, net.blob_names[-1:])


def test_an_input_of_no_image_or_no_sample_is_refused_or_empty(tmp_path):
    for shape in ((0, 3, 8, 8), (1, 3, 0, 8), (1, 0, 8, 8), (1,), ()):
        x = np.zeros(shape, np.float32)
        for what in (layer('Pooling', pooling_param={'kernel_size': 2}),
                     layer('Convolution', blobs=[W, b], convolution_param={
                         'num_output': 4, 'kernel_size': [3]}),
                     layer('Interp', interp_param={'zoom_factor': 2}), layer('MVN'),
                     layer('ArgMax'), layer('Reduction'), layer('Tile', tile_param={'tiles': 2}),
                     layer('LRN', lrn_param={'norm_region': 'WITHIN_CHANNEL'}),
                     layer('Upsample'), layer('InnerProduct', blobs=[W, b], inner_product_param={
                         'num_output': 4}), layer('Normalize', blobs=[b[:1]]),
                     layer('SoftmaxWithLoss', bottom=['x', 'x']), layer('Softmax'),
                     layer('EuclideanLoss', bottom=['x', 'x']), layer('Flatten'),
                     layer('HingeLoss', bottom=['x', 'x']), layer('Slice'), layer('LRN'),
                     layer('LSTM', bottom=['x', 'x'], blobs=[W, b, np.ones((4, 1), np.float32)],
                           recurrent_param={'num_output': 1})):
            call(write(tmp_path, [what]), x)


WHOLE = [
    layer('Convolution', 'c', blobs=[W, b], convolution_param={
        'num_output': 4, 'kernel_size': [3], 'stride': [1], 'pad': [1], 'dilation': [1]}),
    layer('Pooling', 'p', 'c', pooling_param={'kernel_size': 2, 'stride': 2, 'round_mode':
                                              'FLOOR'}),
    layer('Upsample', 'u', 'p', upsample_param={'scale': 2}),
    layer('Tile', 't', 'u', tile_param={'tiles': 2, 'axis': 1}),
    layer('Interp', 'i', 't', interp_param={'zoom_factor': 2}),
    layer('Crop', 'r', ['i', 'u'], crop_param={'axis': 2, 'offset': [1]}),
    layer('ShuffleChannel', 's', 'r', shuffle_channel_param={'group': 2}),
    layer('MVN', 'm', 's', mvn_param={'eps': 0.5}),
    layer('Deconvolution', 'd', 'm', blobs=[np.ones((8, 1, 2, 2), np.float32)],
          convolution_param={'num_output': 8, 'kernel_size': [2], 'stride': [2], 'group': 8,
                             'bias_term': False}),
    layer('Permute', 'o', 'd', permute_param={'order': [2, 0, 1, 3]}),
    layer('Reshape', 'q', 'o', reshape_param={'shape': {'dim': [0, 1, -1]}}),
    layer('Slice', 'v', 'q', slice_param={'axis': 2, 'slice_point': []}),
    layer('LSTM', 'l', ['q', 'k'], blobs=[np.ones((8, 128), np.float32) / 99,
                                          np.ones(8, np.float32), np.ones((8, 2), np.float32)],
          recurrent_param={'num_output': 2}),
    layer('ArgMax', 'a', 'l', argmax_param={'top_k': 2, 'axis': 2}),
    layer('Embed', 'e', 'a', blobs=[np.ones((2, 3), np.float32), np.ones(3, np.float32)],
          embed_param={'num_output': 3, 'input_dim': 2}),
    layer('Reduction', 'y', 'e', reduction_param={'operation': 'MEAN', 'axis': 1}),
]
WHOLE.insert(11, layer('Threshold', 'w', 'q'))
WHOLE.insert(12, layer('Reduction', 'k', 'w', reduction_param={'axis': 2, 'operation': 'MEAN'}))


def dense(name, bottom, outputs, kernel=1):
    return layer('Convolution', name, bottom, blobs=[
        np.random.default_rng(outputs).standard_normal((outputs, 3, kernel, kernel)).astype('f'),
        np.zeros(outputs, np.float32)], convolution_param={
            'num_output': outputs, 'kernel_size': [kernel], 'pad': [kernel // 2]})


DETECTOR = [
    dense('l', 'x', 16), layer('Permute', 'lp', 'l', permute_param={'order': [0, 2, 3, 1]}),
    layer('Flatten', 'lf', 'lp'), dense('c', 'x', 12),
    layer('Permute', 'cp', 'c', permute_param={'order': [0, 2, 3, 1]}),
    layer('Flatten', 'cf', 'cp'),
    layer('PriorBox', 'pr', ['x', 'x'], prior_box_param={
        'min_size': [3.], 'max_size': [5.], 'aspect_ratio': [2.], 'variance': [.1, .1, .2, .2]}),
    layer('DetectionOutput', 'd', ['lf', 'cf', 'pr'], detection_output_param={
        'num_classes': 3, 'keep_top_k': 50, 'code_type': 'CENTER_SIZE',
        'nms_param': {'nms_threshold': .4, 'top_k': 100}, 'confidence_threshold': .01}),
    dense('s', 'x', 4, 3), dense('m', 'x', 8, 3),
    layer('Power', 'i', 'x', power_param={'scale': 0.1, 'shift': 100.}),
    layer('Proposal', 'r', ['s', 'm', 'i'], proposal_param={
        'ratio': [1.], 'scale': [2., 4.], 'min_size': 0, 'post_nms_topn': 30}),
    layer('ROIPooling', 'a', ['x', 'r'], roi_pooling_param={
        'pooled_h': 3, 'pooled_w': 2, 'spatial_scale': .0625}),
    layer('PSROIPooling', 'e', ['m', 'r'], psroi_pooling_param={
        'output_dim': 2, 'group_size': 2, 'spatial_scale': .0625}),
    layer('SPP', 'v', 'm', spp_param={'pyramid_height': 3}),
    layer('Reorg', 'g', 'm', reorg_param={'stride': 2}),
    *(layer('Reduction', f'{name}1', name) for name in 'daevg'),
    layer('Eltwise', 'y', [f'{name}1' for name in 'daevg'])]


@pytest.mark.parametrize('layers', [WHOLE, DETECTOR], ids=['many layers', 'a detector'])
@pytest.mark.parametrize('seed, count', [
    (5, 100), pytest.param(6, 1000, marks=pytest.mark.slow)])
def test_flipped_bits_and_cuts_of_a_net_are_survived(tmp_path, layers, seed, count):
    paths, source, outcomes = write(tmp_path, layers), random.Random(seed), []
    whole = [path.read_bytes() for path in paths]
    assert call(paths) == 'net'
    binary = [place for place, byte in enumerate(whole[0]) if byte]
    for _ in range(count):
        model, text = map(bytearray, whole)
        target, places = source.choice(((model, binary), (text, range(len(text)))))
        for _ in range(source.choice((1, 1, 2, 5))):
            place = source.choice(places)
            if target is text and source.random() < 0.7:
                target[place] = ord(source.choice('0123456789-"{}'))
            else:
                target[place] ^= 1 << source.randrange(8)
        if source.random() < 0.1:
            del target[source.randrange(len(target)):]
        for path, data in zip(paths, (model, text)):
            path.write_bytes(data)
        outcomes.append(call(paths if source.random() < 0.6 else paths[:1]))
    assert 0.1 < outcomes.count('net') / count < 0.9


@pytest.mark.parametrize('text', [
    'layer { blobs { shape { dim: 4000000000 dim: 4000000000 } data: 1 } }',
    'layer { blobs { num: -1 channels: -1 height: 1 width: 1 data: 1 } }',
    'layer { ' * 5000, 'layer: [' * 5000, 'a { b < ' * 40_000, '#' + 'x' * 1_000_000,
    'input: "x" input_dim: [1, 3, 99999999999, 99999999999] '
    'layer { type: "ReLU" bottom: "x" top: "y" }',
    'layer { name: "' + 'n' * 100_000 + '" type: "ReLU" bottom: "x" top: "y" }',
])
def test_texts_without_measure_end_soon(tmp_path, text):
    path = tmp_path / 'net.prototxt'
    path.write_text(text)
    call([path])


def test_weights_that_do_not_fit_are_counted_before_anything_is_computed(tmp_path):
    paths = write(tmp_path, [layer('Convolution', blobs=[W[:, :2], b], convolution_param={
        'num_output': 5, 'kernel_size': [3]})])
    with pytest.raises(DataError, match='1 of 2 layers cannot be used'):
        load(*paths)

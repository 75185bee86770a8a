"""Whole detectors in the manner of public files, small and with random weights, against OpenCV."""

import numpy as np
import pytest

from minichain import no_backprop_mode, using_config
from minichain.caffe import load
from tests.caffe import encoding
from tests.caffe.test_opencv import opencv_net


class Files:
    """A prototxt and the weights of its layers, written layer by layer."""

    def __init__(self, seed, **shapes):
        self.source, self.inputs, self.weights, self.channels = (
            np.random.default_rng(seed), shapes, [], {})
        self.text = ''
        for name, shape in shapes.items():
            self.text += f'input: "{name}"\ninput_shape {{ {self.dims(shape)} }}\n'
            self.channels[name] = shape[1]

    def dims(self, shape):
        return ' '.join(f'dim: {length}' for length in shape)

    def layer(self, kind, name, bottoms, options='', channels=None, top=None, blobs=()):
        bottoms = bottoms.split()
        self.text += f'layer {{ name: "{name}" type: "{kind}" top: "{top or name}" ' + ' '.join(
            f'bottom: "{bottom}"' for bottom in bottoms) + f' {options} }}  # {name}\n'
        self.channels[top or name] = channels or self.channels[bottoms[0]]
        if blobs:
            self.weights.append(encoding.layer(name, kind, blobs=list(map(encoding.blob, blobs))))
        return top or name

    def random(self, *shape, scale=1.):
        return (self.source.standard_normal(shape) * scale).astype(np.float32)

    def convolution(self, name, bottom, outputs, kernel=1, stride=1, group=1, relu=True, scale=1.):
        inputs = self.channels[bottom] // group
        self.layer('Convolution', name, bottom, f'convolution_param {{ num_output: {outputs} '
                   f'kernel_size: {kernel} stride: {stride} pad: {kernel // 2} group: {group} }}',
                   outputs, blobs=[
                       self.random(outputs, inputs, kernel, kernel,
                                   scale=scale * (2 / inputs / kernel ** 2) ** .5),
                       self.random(outputs, scale=.1)])
        return self.layer('ReLU', f'{name}/relu', name, top=name) if relu else name

    def write(self, tmp_path):
        paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
        paths[0].write_bytes(b''.join(self.weights))
        paths[1].write_bytes(self.text.replace('\n', '\r\n').encode())
        return paths


def compare(tmp_path, files, xs, blobs):
    """Yields pairs of results, ours and OpenCV's; it fills up those of few boxes with zeros.

    Args:
        blobs: dict, name of a blob -> name of the layer that makes it.
    """
    paths = files.write(tmp_path)
    with no_backprop_mode(), using_config('train', False):
        ys = load(*paths)(xs, list(blobs))
    peer = opencv_net(paths)
    for name, x in xs.items():
        peer.setInput(x, name)
    for y, name in zip(ys, blobs.values()):
        yield y.array, peer.forward(name)


def expect_close(y, expected):
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4 * abs(expected).max())


def test_a_single_shot_detector_finds_what_opencv_finds(tmp_path):
    files, x = Files(0, data=(1, 3, 96, 120)), 'data'
    x = files.convolution('conv0', x, 8, 3, 2)
    for number, (stride, outputs) in enumerate(((1, 8), (2, 16), (2, 16), (2, 24)), 1):
        x = files.convolution(f'conv{number}/dw', x, files.channels[x], 3, stride,
                              files.channels[x])
        x = files.convolution(f'conv{number}', x, outputs)
    files.layer('Normalize', 'norm', 'conv3', 'norm_param { across_spatial: false '
                'channel_shared: false scale_filler { type: "constant" value: 2 } }',
                blobs=[2 + files.random(16, scale=.1)])
    parts = {'loc': [], 'conf': [], 'priors': []}
    for bottom, size in (('norm', 20), ('conv4', 50)):
        for kind, outputs in (('loc', 16), ('conf', 12)):
            y = files.convolution(f'{bottom}_{kind}', bottom, outputs, 3, relu=False, scale=.5)
            y = files.layer('Permute', f'{y}_perm', y,
                            'permute_param { order: 0 order: 2 order: 3 order: 1 }')
            parts[kind].append(files.layer('Flatten', f'{y}_flat', y))
        parts['priors'].append(files.layer('PriorBox', f'{bottom}_priors', f'{bottom} data', f"""
            prior_box_param {{ min_size: {size} max_size: {2 * size} aspect_ratio: 2
                clip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 }}"""))
    for name, axis in (('loc', 1), ('conf', 1), ('priors', 2)):
        files.layer('Concat', name, ' '.join(parts[name]), f'concat_param {{ axis: {axis} }}')
    files.layer('Reshape', 'rows', 'conf', 'reshape_param { shape { dim: 0 dim: -1 dim: 3 } }')
    files.layer('Softmax', 'prob', 'rows', 'softmax_param { axis: 2 }')
    files.layer('Flatten', 'scores', 'prob')
    files.layer('DetectionOutput', 'found', 'loc scores priors', """include { phase: TEST }
        detection_output_param { num_classes: 3 share_location: true background_label_id: 0
            nms_param { nms_threshold: 0.45 top_k: 100 } code_type: CENTER_SIZE keep_top_k: 50
            save_output_param { output_directory: "folder" label_map_file: "labels" }
            variance_encoded_in_target: false confidence_threshold: 0.3 }""")
    xs = {'data': files.random(1, 3, 96, 120)}
    *pairs, (found, expected) = compare(tmp_path, files, xs, {
        name: name for name in ('loc', 'scores', 'priors', 'found')})
    for y, other in pairs:
        expect_close(y, other)
    expected = expected[0, 0][expected[0, 0, :, 2] > 0]
    found, expected = (rows[np.argsort(-rows[:, 2])] for rows in (found[0, 0], expected))
    expect_close(found, expected)
    assert len(expected) > 20


def regions_of(files, x, size):
    """The part of a network that proposes regions, as `rois`."""
    x = files.convolution('rpn/3x3', x, 16, 3)
    files.convolution('rpn_score', x, 18, relu=False, scale=.3)
    files.convolution('rpn_box', x, 36, relu=False, scale=.1)
    files.layer('Reshape', 'pairs', 'rpn_score',
                'reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } }')
    files.layer('Softmax', 'rpn_prob', 'pairs')
    files.layer('Reshape', 'rpn_scores', 'rpn_prob',
                'reshape_param { shape { dim: 0 dim: 18 dim: -1 dim: 0 } }')
    files.layer('Proposal', 'proposal', 'rpn_scores rpn_box im_info', """proposal_param {
        ratio: 0.5 ratio: 1 ratio: 2 scale: 4 scale: 8 scale: 16 min_size: 0 }""", top='rois')
    return {'data': files.random(1, 3, *size), 'im_info': np.array([[*size, 1]], np.float32)}


def trunk(files):
    x = files.convolution('conv1', 'data', 8, 7, 2)
    files.layer('Pooling', 'pool1', x, 'pooling_param { pool: MAX kernel_size: 3 stride: 2 }')
    return files.convolution('conv3', files.convolution('conv2', 'pool1', 16, 3, 2), 16, 3, 2)


def compare_regions(tmp_path, files, xs, blobs):
    for y, expected in compare(tmp_path, files, xs, blobs):
        assert len(y) > 20
        expect_close(y, expected[:len(y)])


def test_a_detector_of_two_stages_equals_opencvs(tmp_path):
    files = Files(1, data=(1, 3, 128, 160), im_info=(1, 3))
    x = trunk(files)
    xs = regions_of(files, x, (128, 160))
    files.layer('ROIPooling', 'pool5', f'{x} rois', """roi_pooling_param {
        pooled_w: 6 pooled_h: 6 spatial_scale: 0.0625 }""")
    for name, bottom, outputs, inputs in (
            ('fc6', 'pool5', 32, 16 * 36), ('score', 'fc6', 5, 32), ('box', 'fc6', 20, 32)):
        files.layer('InnerProduct', name, bottom,
                    f'inner_product_param {{ num_output: {outputs} }}', blobs=[
                        files.random(outputs, inputs, scale=inputs ** -.5), files.random(outputs)])
    files.layer('Softmax', 'prob', 'score')
    compare_regions(tmp_path, files, xs, {'rois': 'proposal', 'prob': 'prob', 'box': 'box'})


def test_a_detector_with_maps_for_each_part_equals_opencvs(tmp_path):
    files = Files(2, data=(1, 3, 128, 160), im_info=(1, 3))
    x = trunk(files)
    xs = regions_of(files, x, (128, 160))
    for name, outputs in (('cls', 5), ('bbox', 8)):
        files.convolution(f'rfcn_{name}', x, outputs * 9, relu=False)
        files.layer('PSROIPooling', f'parts_{name}', f'rfcn_{name} rois', f"""
            psroi_pooling_param {{ spatial_scale: 0.0625 output_dim: {outputs} group_size: 3 }}""")
        files.layer('Pooling', f'mean_{name}', f'parts_{name}',
                    'pooling_param { pool: AVE kernel_size: 3 stride: 3 }')
    files.layer('Softmax', 'prob', 'mean_cls')
    files.layer('Reshape', 'rows', 'prob', 'reshape_param { shape { dim: -1 dim: 5 } }')
    compare_regions(tmp_path, files, xs, {
        'rois': 'proposal', 'rows': 'rows', 'mean_bbox': 'mean_bbox'})


def test_the_second_stage_sees_the_maxima_of_a_region(tmp_path):
    files = Files(3, data=(1, 3, 64, 64), rois=(1, 5))
    files.layer('ROIPooling', 'pool', 'data rois', """roi_pooling_param {
        pooled_w: 2 pooled_h: 1 spatial_scale: 0.5 }""")
    W, b = files.random(4, 6), files.random(4)
    files.layer('InnerProduct', 'y', 'pool', 'inner_product_param { num_output: 4 }', blobs=[W, b])
    x = files.random(1, 3, 64, 64)
    rois = np.array([[0, 10, 20, 25, 40]], np.float32)      # 5..13 (12.5 is rounded), 10..20
    y, = load(*files.write(tmp_path))({'data': x, 'rois': rois}, ['y'])
    maxima = np.stack([x[0, :, 10:21, 5:10].max((1, 2)), x[0, :, 10:21, 9:14].max((1, 2))], 1)
    np.testing.assert_allclose(y.array[0], W @ maxima.ravel() + b, rtol=1e-4, atol=1e-5)


def test_files_that_opencv_shrank_to_half_floats_are_read(tmp_path):
    files = Files(4, data=(1, 3, 33, 35))
    x = trunk(files)
    files.layer('InnerProduct', 'y', x, 'inner_product_param { num_output: 4 }',
                blobs=[files.random(4, 16 * 2 * 3, scale=.1), files.random(4)])
    paths, x = files.write(tmp_path), files.random(1, 3, 33, 35)
    whole, = load(*paths)({'data': x}, ['y'])
    opencv_net(paths)       # or there is none, and this is skipped
    cv2 = pytest.importorskip('cv2', reason='OpenCV writes these files')
    small = tmp_path / 'small.caffemodel'
    cv2.dnn.shrinkCaffeModel(str(paths[0]), str(small))
    assert small.stat().st_size < .6 * paths[0].stat().st_size
    y, = load(small, paths[1])({'data': x}, ['y'])
    peer = opencv_net((small, paths[1]))
    peer.setInput(x)
    expect_close(y.array, peer.forward('y'))
    np.testing.assert_allclose(y.array, whole.array, rtol=1e-2, atol=1e-2)
    assert abs(y.array - whole.array).max() > 0

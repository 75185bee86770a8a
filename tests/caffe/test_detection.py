"""Layers of detectors, against loops that follow their papers, and against OpenCV."""

import itertools
import math

import numpy as np
import pytest

from minichain import Variable, using_config
from minichain.caffe import load, save
from minichain.caffe.layers import boxes, regions
from minichain.errors import DataError
from tests.caffe.test_opencv import opencv_net

SOURCE = np.random.default_rng(21)


def normal(*shape):
    return SOURCE.standard_normal(shape).astype(np.float32)


def write(tmp_path, kind, xs, tops=1, **parameters):
    """Files of one layer; the names of its inputs and results."""
    names, results = [f'x{index}' for index in range(len(xs))], [f'y{i}' for i in range(tops)]
    inputs = [{'name': name, 'type': 'Input', 'top': [name],
               'input_param': {'shape': [{'dim': list(x.shape)}]}}
              for name, x in list(zip(names, xs))[1:]]
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    save(*paths, [*inputs, {'name': 'layer', 'type': kind, 'bottom': names, 'top': results,
                            **parameters}], xs[0].shape, input_name='x0')
    return paths, names, results


def opencv(tmp_path, kind, xs, **parameters):
    paths, names, _ = write(tmp_path, kind, xs, **parameters)
    net = opencv_net(paths)
    for name, x in zip(names, xs):
        net.setInput(x, name)
    return net.forward('layer')


# Priors

PRIORS = {
    'of the default size': {'min_size': [30.], 'max_size': [60.], 'aspect_ratio': [2., 3.],
                            'variance': [.1, .1, .2, .2], 'clip': False},
    'clipped, with steps': {'min_size': [30.], 'aspect_ratio': [2., 1., 2.], 'flip': False,
                            'clip': True, 'step': 16., 'offset': .25, 'variance': [.3]},
    'of two sizes': {'min_size': [30., 40.], 'max_size': [60., 80.], 'aspect_ratio': [2.],
                     'variance': [.1], 'clip': False, 'step_h': 10., 'step_w': 12.},
}


def priors_by_loops(p, height, width, picture):
    steps = (p.get('step_h', p.get('step', picture[0] / height)),
             p.get('step_w', p.get('step', picture[1] / width)))
    ratios = [1.]
    for ratio in p.get('aspect_ratio', []):
        if ratio not in ratios:
            ratios += [ratio, 1 / ratio] if p.get('flip', True) else [ratio]
    rows = []
    for y, x in itertools.product(range(height), range(width)):
        middle = (x + p.get('offset', .5)) * steps[1], (y + p.get('offset', .5)) * steps[0]
        sides = []
        for index, size in enumerate(p['min_size']):
            sides.append((size, size))
            if 'max_size' in p:
                sides.append((math.sqrt(size * p['max_size'][index]),) * 2)
            sides += [(size * math.sqrt(r), size / math.sqrt(r)) for r in ratios[1:]]
        for w, h in sides:
            rows.append([(middle[0] - w / 2) / picture[1], (middle[1] - h / 2) / picture[0],
                         (middle[0] + w / 2) / picture[1], (middle[1] + h / 2) / picture[0]])
    boxes = np.array(rows)
    variance = np.resize(p['variance'], boxes.shape)
    return np.stack([boxes.clip(0, 1) if p.get('clip') else boxes, variance]).reshape(1, 2, -1)


@pytest.mark.parametrize('what', PRIORS)
def test_priors_are_boxes_around_every_cell(run, tmp_path, what):
    xs, p = [normal(1, 4, 5, 6), normal(1, 3, 100, 120)], PRIORS[what]
    y = run('PriorBox', xs, prior_box_param=p)
    np.testing.assert_allclose(y, priors_by_loops(p, 5, 6, (100, 120)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('what', PRIORS)
def test_priors_equal_opencvs(run, tmp_path, what):
    xs, p = [normal(1, 4, 5, 6), normal(1, 3, 100, 120)], PRIORS[what]
    y = run('PriorBox', xs, prior_box_param=p)
    np.testing.assert_allclose(y, opencv(tmp_path, 'PriorBox', xs, prior_box_param=p),
                               rtol=1e-5, atol=1e-6)


def test_priors_take_the_size_of_the_image_that_the_file_states(run):
    xs, p = [normal(1, 4, 5, 6), normal(1, 3, 100, 120)], {'min_size': [9.], 'variance': [.1]}
    y = run('PriorBox', xs, prior_box_param={**p, 'img_h': 50, 'img_w': 80})
    np.testing.assert_allclose(y, priors_by_loops(p, 5, 6, (50, 80)), rtol=1e-5, atol=1e-6)
    y = run('PriorBox', xs, prior_box_param={**p, 'img_size': 70})
    np.testing.assert_allclose(y, priors_by_loops(p, 5, 6, (70, 70)), rtol=1e-5, atol=1e-6)


# Detections

def overlap(a, b, extra=0):
    width = min(a[2], b[2]) - max(a[0], b[0]) + extra
    height = min(a[3], b[3]) - max(a[1], b[1]) + extra
    if width <= 0 or height <= 0:
        return 0
    area = [(box[2] - box[0] + extra) * (box[3] - box[1] + extra) for box in (a, b)]
    return width * height / (sum(area) - width * height)


def decoded(kind, prior, delta, variance):
    if kind == 'CORNER':
        return prior + delta * variance
    size = prior[2:] - prior[:2]
    if kind == 'CORNER_SIZE':
        return prior + delta * variance * np.tile(size, 2)
    middle = (prior[:2] + prior[2:]) / 2 + variance[:2] * delta[:2] * size
    size = size * np.exp(variance[2:] * delta[2:])
    return np.concatenate([middle - size / 2, middle + size / 2])


def detections_by_loops(p, locations, scores, priors):
    classes, nms = p['num_classes'], p['nms_param']
    scores = scores.reshape(len(scores), -1, classes)
    count, shared = scores.shape[1], p.get('share_location', True)
    locations = locations.reshape(len(scores), count, 1 if shared else classes, 4)
    priors = priors.reshape(-1, count, 4).astype(float)
    rows = []
    for image in range(len(scores)):
        found = []
        for kind in range(classes):
            if kind == p.get('background_label_id', 0):
                continue
            boxes = [decoded(p.get('code_type', 'CORNER'), priors[0, k],
                             locations[image, k, 0 if shared else kind].astype(float),
                             np.ones(4) if p.get('variance_encoded_in_target') else priors[1, k])
                     for k in range(count)]
            of_kind, limit, kept = scores[image, :, kind], nms['nms_threshold'], []
            order = [k for k in np.argsort(-of_kind, kind='stable')
                     if of_kind[k] > p.get('confidence_threshold', -np.inf)]
            for k in order[:nms['top_k'] if nms.get('top_k', -1) >= 0 else None]:
                if all(overlap(boxes[k], boxes[other]) <= limit for other in kept):
                    kept.append(k)
                    if limit > .5:
                        limit *= nms.get('eta', 1)
            found += [(of_kind[k], [image, kind, of_kind[k], *boxes[k]]) for k in kept]
        if p.get('keep_top_k', -1) >= 0:
            least = sorted((score for score, _ in found), reverse=True)[:p['keep_top_k']]
            found = [row for row in found if row[0] in least]
        rows += [row for _, row in found]
    return np.array(rows, np.float32)


def detection_inputs(classes, shared=True, encoded=False, count=60):
    corners = np.sort(SOURCE.random((1, 1, count, 2, 2)), axis=3).reshape(1, 1, -1)
    variances = np.tile([.1, .1, .2, .2], count).reshape(1, 1, -1)
    priors = np.concatenate([corners] if encoded else [corners, variances], 1)
    scores = SOURCE.random((2, count, classes))
    scores /= scores.sum(2, keepdims=True)
    return [normal(2, count * 4 * (1 if shared else classes)) / 2,
            scores.reshape(2, -1).astype(np.float32), priors.astype(np.float32)]


DETECTIONS = {
    'as in SSD': {'code_type': 'CENTER_SIZE', 'keep_top_k': 20, 'confidence_threshold': .2,
                  'nms_param': {'nms_threshold': .45, 'top_k': 30}},
    'of corners': {'code_type': 'CORNER', 'keep_top_k': 200, 'confidence_threshold': .3,
                   'nms_param': {'nms_threshold': .45, 'top_k': -1}},
    'with boxes of each class': {
        'code_type': 'CENTER_SIZE', 'share_location': False, 'keep_top_k': 50,
        'confidence_threshold': .1, 'variance_encoded_in_target': True, 'background_label_id': 2,
        'nms_param': {'nms_threshold': .3}},
}
OWN = {     # OpenCV does not do these as SSD does
    'without background and threshold': {
        'code_type': 'CORNER', 'keep_top_k': 15, 'background_label_id': -1,
        'nms_param': {'nms_threshold': .6}},
    'all that is left': {'nms_param': {'nms_threshold': .4}, 'confidence_threshold': .3},
    'of corners and sizes': {'code_type': 'CORNER_SIZE', 'keep_top_k': 40,
                             'nms_param': {'nms_threshold': .5}},
    'with a falling threshold': {'code_type': 'CENTER_SIZE', 'keep_top_k': 200,
                                 'nms_param': {'nms_threshold': .9, 'eta': .9}},
}


def detect(run, p):
    xs = detection_inputs(4, p.get('share_location', True), p.get('variance_encoded_in_target'))
    return xs, run('DetectionOutput', xs, detection_output_param={'num_classes': 4, **p})


@pytest.mark.parametrize('what', [*DETECTIONS, *OWN])
def test_detections_are_the_best_boxes_that_do_not_overlap(run, what):
    p = {**DETECTIONS, **OWN}[what]
    xs, y = detect(run, p)
    expected = detections_by_loops({'num_classes': 4, **p}, *xs)
    assert y.shape == (1, 1, len(expected), 7) and len(expected) > 10
    np.testing.assert_allclose(y[0, 0], expected, rtol=1e-4, atol=1e-5)


def sorted_rows(rows):
    return rows[np.lexsort((-rows[:, 2], rows[:, 0]))]


@pytest.mark.parametrize('what', DETECTIONS)
def test_detections_equal_opencvs(run, tmp_path, what):
    p = {'num_classes': 4, 'share_location': True, 'background_label_id': 0,
         **DETECTIONS[what]}      # OpenCV knows no default of these
    xs, y = detect(run, p)
    expected = opencv(tmp_path, 'DetectionOutput', xs, detection_output_param=p)[0, 0]
    expected = expected[expected[:, 2] > 0]        # filled up with zeros there
    np.testing.assert_allclose(sorted_rows(y[0, 0]), sorted_rows(expected), rtol=1e-4, atol=1e-5)


def test_where_nothing_is_found_there_is_one_row_for_each_image(run):
    _, y = detect(run, {'confidence_threshold': 2., 'keep_top_k': 9})
    assert y.tolist() == [[[[0] + [-1] * 6, [1] + [-1] * 6]]]


def test_scores_that_are_no_numbers_are_no_detections(run):
    locations, scores, priors = detection_inputs(4)
    y = run('DetectionOutput', [locations * np.nan, scores * np.nan, priors],
            detection_output_param={'num_classes': 4})
    assert (y[0, 0, :, 1:] == -1).all()


# Proposals

def proposals_by_loops(p, scores, deltas, information):
    ratios, scales = p.get('ratio', [.5, 1, 2]), p.get('scale', [8, 16, 32])
    anchors = []
    for ratio, scale in itertools.product(ratios, scales):
        width = round(math.sqrt(256 / ratio))
        height = round(width * ratio)
        anchors.append([7.5 - (width * scale - 1) / 2, 7.5 - (height * scale - 1) / 2,
                        7.5 + (width * scale - 1) / 2, 7.5 + (height * scale - 1) / 2])
    found, count = [], len(anchors)
    for y, x, k in itertools.product(*map(range, scores.shape[2:]), range(count)):
        left, top, right, bottom = np.array(anchors[k]) + [x * 16, y * 16] * 2
        dx, dy, dw, dh = deltas[0, 4 * k:4 * k + 4, y, x].astype(float)
        w, h = right - left + 1, bottom - top + 1
        cx, cy = left + w / 2 + dx * w, top + h / 2 + dy * h
        w, h = w * math.exp(dw), h * math.exp(dh)
        box = [min(max(cx - w / 2, 0), information[0, 1] - 1),
               min(max(cy - h / 2, 0), information[0, 0] - 1),
               min(max(cx + w / 2, 0), information[0, 1] - 1),
               min(max(cy + h / 2, 0), information[0, 0] - 1)]
        least = p.get('min_size', 16) * information[0, 2]
        if box[2] - box[0] + 1 >= least and box[3] - box[1] + 1 >= least:
            found.append((-scores[0, count + k, y, x], box))
    kept = []
    for score, box in sorted(found)[:p.get('pre_nms_topn', 6000)]:
        if all(overlap(box, other, 1) <= p.get('nms_thresh', .7) for _, other in kept):
            kept.append((score, box))
    kept = kept[:p.get('post_nms_topn', 300)]
    return np.array([[0, *box] for _, box in kept]), np.array([[-score] for score, _ in kept])


PROPOSALS = [{'min_size': 0}, {'min_size': 0, 'pre_nms_topn': 50, 'post_nms_topn': 10,
                               'nms_thresh': .5, 'scale': [2., 4.], 'ratio': [.5, 2.]}]


def proposal_inputs(p):
    count = len(p.get('scale', [1] * 3)) * len(p.get('ratio', [1] * 3))
    return [SOURCE.random((1, 2 * count, 5, 7)).astype(np.float32), normal(1, 4 * count, 5, 7) / 3,
            np.array([[80, 110, 1.5]], np.float32)]


@pytest.mark.parametrize('p', [*PROPOSALS, {}])
def test_proposals_are_the_likely_boxes_that_do_not_overlap(run, p):
    xs = proposal_inputs(p)
    y, scores = run('Proposal', xs, tops=2, proposal_param=p)
    expected = proposals_by_loops(p, *xs)
    assert len(y) > 5
    np.testing.assert_allclose(y, expected[0], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(scores, expected[1])


@pytest.mark.parametrize('p', PROPOSALS)
def test_proposals_equal_opencvs(run, tmp_path, p):
    xs = proposal_inputs(p)
    p = {'ratio': [.5, 1., 2.], 'scale': [8., 16., 32.], **p}
    y = run('Proposal', xs, proposal_param=p)
    expected = opencv(tmp_path, 'Proposal', xs, proposal_param=p)
    assert not expected[len(y):].any()
    np.testing.assert_allclose(y, expected[:len(y)], rtol=1e-4, atol=1e-3)


PYTHON = """
    input: "s" input: "d" input: "i"
    layer { name: "proposal" type: "Python" bottom: "s" bottom: "d" bottom: "i" top: "rois"
      python_param { module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "%s" } }"""


@pytest.mark.parametrize('text, p', [
    ("'feat_stride': 16", {}), ("{'feat_stride': 16, 'scales': (4, 8)}", {'scale': [4., 8.]}),
    ('feat_stride: 16\\nscales: [2, 4, 8]\\nratios: [1]\\n',
     {'scale': [2., 4., 8.], 'ratio': [1.]}),
    ('', {})])
def test_the_layer_of_python_that_proposes_regions_is_known(tmp_path, text, p):
    path = tmp_path / 'test.prototxt'
    path.write_text(PYTHON % text)
    xs = proposal_inputs(p)
    y, = load(path)(dict(zip('sdi', xs)), ['rois'])
    np.testing.assert_allclose(y.array, proposals_by_loops(p, *xs)[0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize('text, reason', [
    (PYTHON % "'feat_stride': 16, 'anchors': [1]", 'param_str: feat_stride, scales and ratios'),
    (PYTHON % "'feat_stride': '16'", 'param_str: feat_stride'),
    (PYTHON % 'feat_stride: 1.6.1', 'param_str: feat_stride'),
    (PYTHON.replace('ProposalLayer', 'AnchorLayer') % '', "'AnchorLayer' of the Python module"),
    (PYTHON.replace('bottom: "i"', '') % '', '3 bottoms and 1 or 2 tops')])
def test_other_python_is_refused_by_name(tmp_path, text, reason):
    path = tmp_path / 'test.prototxt'
    path.write_text(text)
    with pytest.raises(DataError, match=reason):
        load(path)


def test_of_no_likely_box_there_are_no_regions_and_what_follows_is_empty(tmp_path):
    paths = tmp_path / 'net.caffemodel', tmp_path / 'net.prototxt'
    save(*paths, [
        {'name': 'p', 'type': 'Proposal', 'bottom': ['s', 'd', 'i'], 'top': ['rois'],
         'proposal_param': {'min_size': 1000}},
        {'name': 'r', 'type': 'ROIPooling', 'bottom': ['x', 'rois'], 'top': ['r'],
         'roi_pooling_param': {'pooled_h': 2, 'pooled_w': 2, 'spatial_scale': .0625}},
        {'name': 'c', 'type': 'PSROIPooling', 'bottom': ['x', 'rois'], 'top': ['c'],
         'psroi_pooling_param': {'output_dim': 2, 'group_size': 2, 'spatial_scale': .0625}},
        {'name': 'f', 'type': 'InnerProduct', 'bottom': ['r'], 'top': ['f'],
         'inner_product_param': {'num_output': 3}, 'blobs': [normal(3, 32), normal(3)]},
        {'name': 'prob', 'type': 'Softmax', 'bottom': ['f'], 'top': ['prob']}],
         (1, 18, 5, 7), input_name='s')
    xs = dict(zip('sdi', proposal_inputs({})), x=normal(1, 8, 5, 7))
    shapes = [y.shape for y in load(*paths)(xs, ['rois', 'r', 'c', 'prob'])]
    assert shapes == [(0, 5), (0, 8, 2, 2), (0, 2, 2, 2), (0, 3)]


# Regions

def rounded(x):
    return math.floor(abs(x) + .5) * (1 if x >= 0 else -1)


def random_regions(images, size, count=60):
    corners = np.sort(SOURCE.random((count, 2, 2)) * size, axis=1).reshape(count, 4)
    corners[::2] = np.rint(corners[::2] / 8) * 8        # halves of a pixel at 1/16
    number = SOURCE.integers(0, images, (count, 1))
    return np.concatenate([number, corners], 1).astype(np.float32)


def test_roi_pooling_rounds_halves_up_as_c_does(run):
    x = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8)
    rois = np.array([[0, 8, 0, 8, 0], [0, 40, 0, 40, 0], [0, 24, 0, 24, 0]], np.float32)
    y = run('ROIPooling', [x, rois], roi_pooling_param={
        'pooled_h': 1, 'pooled_w': 1, 'spatial_scale': .0625})
    assert y.ravel().tolist() == [1, 3, 2]


def test_roi_pooling_of_many_regions_equals_opencvs(run, tmp_path):
    xs = [normal(2, 3, 13, 14), random_regions(2, 210)]
    p = {'pooled_h': 7, 'pooled_w': 7, 'spatial_scale': .0625}
    y = run('ROIPooling', xs, roi_pooling_param=p)
    np.testing.assert_array_equal(y, opencv(tmp_path, 'ROIPooling', xs, roi_pooling_param=p))


def test_many_regions_are_pooled_some_at_a_time(run, monkeypatch):
    xs, p = [normal(2, 3, 6, 7), random_regions(2, 100, 20)], {'pooled_h': 2, 'pooled_w': 3}
    y = run('ROIPooling', xs, roi_pooling_param={**p, 'spatial_scale': .0625})
    monkeypatch.setattr(regions, 'AT_A_TIME', 700)      # some of 210 numbers each
    again = run('ROIPooling', xs, roi_pooling_param={**p, 'spatial_scale': .0625})
    np.testing.assert_array_equal(y, again)


def psroi_by_loops(x, rois, outputs, size, scale):
    y = np.zeros((len(rois), outputs, size, size))
    for r, d, i, j in itertools.product(range(len(rois)), range(outputs), range(size),
                                        range(size)):
        image, left, top, right, bottom = map(rounded, rois[r])
        left, top = left * scale, top * scale
        width, height = max((right + 1) * scale - left, .1), max((bottom + 1) * scale - top, .1)
        rows, columns = ([min(max(edge, 0), length) for edge in (
            math.floor(k * extent / size + start), math.ceil((k + 1) * extent / size + start))]
            for k, extent, start, length in ((i, height, top, x.shape[2]),
                                             (j, width, left, x.shape[3])))
        seen = x[image, (d * size + i) * size + j, slice(*rows), slice(*columns)]
        y[r, d, i, j] = seen.mean() if seen.size else 0
    return y


PSROI = {'output_dim': 2, 'group_size': 4, 'spatial_scale': .0625}


def test_psroi_pooling_takes_the_mean_of_each_bin_from_channels_of_its_own(run):
    xs = [normal(3, 32, 13, 14), random_regions(3, 250, 30)]
    y = run('PSROIPooling', xs, psroi_pooling_param=PSROI)
    np.testing.assert_allclose(y, psroi_by_loops(*xs, 2, 4, .0625), rtol=1e-4, atol=1e-5)


def test_psroi_pooling_equals_opencvs(run, tmp_path):
    xs = [normal(2, 32, 13, 14), random_regions(2, 250)]
    y = run('PSROIPooling', xs, psroi_pooling_param=PSROI)
    expected = opencv(tmp_path, 'PSROIPooling', xs, psroi_pooling_param=PSROI)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('kind, channels, parameters', [
    ('ROIPooling', 2, {'roi_pooling_param': {
        'pooled_h': 2, 'pooled_w': 3, 'spatial_scale': .0625}}),
    ('PSROIPooling', 18, {'psroi_pooling_param': {**PSROI, 'group_size': 3}})])
def test_regions_hand_gradients_to_their_pixels(tmp_path, kind, channels, parameters):
    x, rois = normal(2, channels, 6, 7), random_regions(2, 100, 5)
    paths, names, tops = write(tmp_path, kind, [x, rois], **parameters)
    net, direction = load(*paths), normal(*x.shape)

    def call(x):
        with using_config('train', False):
            return net(dict(zip(names, (x, rois))), tops)[0]
    v = Variable(x)
    y = call(v)
    weights = normal(*y.shape)
    y.grad = weights
    y.backward()
    slope = sum((call(x + sign * 1e-3 * direction).array * weights).astype(float).sum() * sign
                for sign in (1, -1)) / 2e-3
    np.testing.assert_allclose((v.grad * direction).sum(), slope, rtol=1e-2, atol=1e-2)


# What is refused

BOX, IMAGE = normal(1, 4, 5, 6), normal(1, 3, 100, 120)
REFUSED = [
    ('PriorBox', [BOX, IMAGE], {}, 'min_size: 1 to 256'),
    ('PriorBox', [BOX, IMAGE], {'prior_box_param': {'min_size': [-1.]}}, 'min_size'),
    ('PriorBox', [BOX, IMAGE], {'prior_box_param': {'min_size': [9.], 'max_size': [8.]}},
     'a max_size above each min_size'),
    ('PriorBox', [BOX, IMAGE], {'prior_box_param': {'min_size': [9.], 'variance': [.1, .1]}},
     '1 or 4 numbers of variance'),
    ('PriorBox', [BOX, IMAGE], {'prior_box_param': {'min_size': [9.], 'step': 2., 'step_h': 2.}},
     'step, or step_h and step_w'),
    ('PriorBox', [BOX, IMAGE], {'prior_box_param': {'min_size': [9.], 'img_w': 2}},
     'img_size, or img_h and img_w'),
    ('PriorBox', [BOX, IMAGE], {'prior_box_param': {'min_size': [9.], 'aspect_ratio': [2.] * 999}},
     'aspect_ratio: 0 to 256'),
    ('DetectionOutput', [BOX, IMAGE], {}, '3 bottom expected, got 2'),
    ('DetectionOutput', [BOX, IMAGE, BOX], {}, 'num_classes'),
    ('DetectionOutput', [BOX, IMAGE, BOX], {'detection_output_param': {'num_classes': 2}},
     r'priors \(1, 2, 4 P\)'),
    ('DetectionOutput', [BOX, IMAGE, normal(1, 2, 40)], {'detection_output_param': {
        'num_classes': 2}}, '4 numbers and 2 scores of each of 10 priors'),
    ('Proposal', [BOX, IMAGE, BOX], {'proposal_param': {'feat_stride': 0}}, 'feat_stride'),
    ('Proposal', [BOX, IMAGE, BOX], {'proposal_param': {'post_nms_topn': 0}}, 'post_nms_topn'),
    ('Proposal', [BOX, IMAGE, BOX], {}, r'scores \(1, 18, H, W\)'),
    ('PSROIPooling', [BOX, random_regions(1, 9, 2)], {}, 'output_dim'),
    ('PSROIPooling', [BOX, random_regions(1, 9, 2)], {'psroi_pooling_param': PSROI}, '32 chan'),
    ('ROIPooling', [BOX, random_regions(1, 9, 2) * np.nan], {'roi_pooling_param': {
        'pooled_h': 2, 'pooled_w': 2}}, 'regions of images'),
    ('ROIPooling', [BOX, np.full((2, 5), [0, 1, 1, 2, np.inf], np.float32)],
     {'roi_pooling_param': {'pooled_h': 2, 'pooled_w': 2}}, 'finite corners'),
]


@pytest.mark.parametrize('kind, xs, parameters, reason', REFUSED)
def test_options_and_shapes_that_make_no_sense_are_named(tmp_path, kind, xs, parameters, reason):
    with pytest.raises(DataError, match=reason):
        paths, names, tops = write(tmp_path, kind, xs, **parameters)
        load(*paths)(dict(zip(names, xs)), tops)


def test_boxes_that_never_overlap_are_not_compared_for_hours(tmp_path, monkeypatch):
    monkeypatch.setattr(boxes, 'MAX_COMPARISONS', 1 << 22)
    count = 10_000
    corner = np.arange(count)[:, None] * np.ones(4) + [0, 0, .5, .5]
    priors = np.stack([corner, np.ones((count, 4))]).reshape(1, 2, -1).astype(np.float32)
    xs = [np.zeros((1, 4 * count), np.float32), np.ones((1, 2 * count), np.float32), priors]
    paths, names, tops = write(tmp_path, 'DetectionOutput', xs,
                               detection_output_param={'num_classes': 2})
    with pytest.raises(DataError, match='comparisons'):
        load(*paths)(dict(zip(names, xs)), tops)
    paths, names, tops = write(tmp_path, 'DetectionOutput', xs, detection_output_param={
        'num_classes': 2, 'keep_top_k': 100})
    assert load(*paths)(dict(zip(names, xs)), tops)[0].shape == (1, 1, 100, 7)

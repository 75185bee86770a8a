"""Layers of detectors: SSD's PriorBox and DetectionOutput, Faster R-CNN's Proposal."""
import math
import re

import numpy as np

from minichain.autograd import as_variable
from minichain.backend import get_device_from_array, to_cpu
from minichain.caffe.geometry import expect_image, planned
from minichain.caffe.layers.boxes import grid, moved, positive, suppress
from minichain.caffe.schema import message
from minichain.errors import DataError


def prior_box(layer, blobs):
    """Boxes around the cells of a feature map, in parts of the image, and their variances.

    Liu et al. 2016, "SSD: Single shot multibox detector", arXiv:1512.02325.
    """
    p = layer.prior_box_param
    sizes, variance = shapes_of_priors(p), positive('variance', p.variance or [.1])
    image, step = (pair_of(p, *names) for names in (
        ('img_size', 'img_h', 'img_w'), ('step', 'step_h', 'step_w')))
    if len(variance) not in (1, 4):
        raise DataError(f'1 or 4 numbers of variance expected, got {p.variance}')

    def forward(x, picture):
        expect_image(x)
        expect_image(picture)
        (height, width), whole = x.shape[2:], image or picture.shape[2:]
        step_y, step_x = step or (whole[0] / height, whole[1] / width)
        middle = grid(height, width, step_y, step_x) + np.array([step_x, step_y] * 2) * p.offset
        boxes = (middle + np.concatenate([-sizes, sizes], 1) / 2) / np.array(whole[::-1] * 2)
        boxes = np.clip(boxes, 0, 1) if p.clip else boxes
        y = np.stack([boxes, np.broadcast_to(variance, boxes.shape)])
        return sent(y.reshape(1, 2, boxes.size), x)

    def plan(x, picture):
        numbers = math.prod(x[2:]) * sizes.size * 2
        return (1, 2, numbers), 8 * numbers
    return planned(forward, plan)


def shapes_of_priors(p):
    """(Width, height) of the boxes of one cell, (K, 2), in pixels of the image."""
    ratios, least = [1.], positive('min_size', p.min_size)
    largest = positive('max_size', p.max_size, 0)
    for ratio in positive('aspect_ratio', p.aspect_ratio, 0):
        if all(abs(ratio - other) >= 1e-6 for other in ratios):
            ratios += [ratio, 1 / ratio] if p.flip else [ratio]
    if largest.size and (largest.size != least.size or not bool((largest > least).all())):
        raise DataError('a max_size above each min_size expected, got '
                        f'{p.max_size!s:.100} and {p.min_size!s:.100}')
    shapes = []
    for place, size in enumerate(least):
        shapes.append((size, size))
        if largest.size:
            shapes.append(((size * largest[place]) ** .5,) * 2)
        shapes += [(size * ratio ** .5, size / ratio ** .5) for ratio in ratios[1:]]
    return np.array(shapes)


def pair_of(p, both, first, second):
    """A pair of lengths that is given as one number or as two; None where it is not."""
    if both in p and (first in p or second in p) or (first in p) != (second in p):
        raise DataError(f'{both}, or {first} and {second}, expected')
    values = [p[name] for name in ((both, both) if both in p else (first, second)) if name in p]
    return tuple(positive(both, values).tolist()) if values else None


def sent(array, like):
    """A result, computed in main memory, as float32 where a Variable lies."""
    return as_variable(get_device_from_array(like.array).send(array.astype(np.float32)))


def detection_output(layer, blobs):
    """Rows (image, class, score, left, top, right, bottom) of what SSD has found, (1, 1, K, 7).

    Of an image in which nothing is found there is a row of -1, if that is so of all images.
    """
    p, nms = layer.detection_output_param, layer.detection_output_param.nms_param
    classes, threshold, eta = p.num_classes, nms.nms_threshold, nms.eta
    places = 1 if p.share_location else classes
    keep, top = (number if number >= 0 else 1 << 31 for number in (p.keep_top_k, nms.top_k))
    if nms.unknown or not classes or not threshold >= 0 or not 0 < eta <= 1:
        raise DataError('num_classes, nms_threshold and eta above 0, and eta not above 1, '
                        f'expected, got {classes}, {threshold} and {eta}; unknown fields of '
                        f'nms_param: {", ".join(map(str, nms.unknown)) or "none"}')

    def shape_of(shape, prior):
        """(Samples, number of priors)."""
        count = math.prod(prior) // (4 if p.variance_encoded_in_target else 8)
        if not count or len(prior) != 3 or prior[2] != 4 * count:
            raise DataError(f'priors (1, 2, 4 P) expected, got {prior}')
        return shape[0] if shape else 0, count

    def forward(locations, scores, priors):
        samples, count = shape_of(locations.shape, priors.shape)
        shapes = (samples, count, places, 4), (samples, count, classes)
        if (locations.size, scores.size) != tuple(map(math.prod, shapes)):
            raise DataError(f'{4 * places} numbers and {classes} scores of each of {count} priors '
                            f'expected, got {locations.shape} and {scores.shape}')
        deltas, found = (to_cpu(x.array).reshape(shape) for x, shape in zip(
            (locations, scores), shapes))
        priors = to_cpu(priors.array).reshape(-1, count, 1, 4)
        with np.errstate(all='ignore'):
            variances = 1 if p.variance_encoded_in_target else priors[1]
            boxes = DECODERS[p.code_type](priors[0], deltas, variances)
            rows = detections(boxes, found)
        if not len(rows):
            rows = np.full((samples, 7), -1.)
            rows[:, 0] = range(samples)
        return sent(rows.reshape(1, 1, len(rows), 7), locations)

    def detections(boxes, scores):
        """Rows of boxes (N, P, 1 or C, 4) with scores (N, P, C)."""
        limit = p.confidence_threshold if 'confidence_threshold' in p else -np.inf
        image, kind, place = np.nonzero(scores.swapaxes(1, 2) > limit)
        counted = kind != p.background_label_id
        found = np.stack([image, kind, place])[:, counted]
        found = found[:, np.lexsort((-score_of(scores, found), found[1], found[0]))]
        group = found[0] * classes + found[1]
        found = found[:, ranks(group) < top]
        kept = suppress(box_of(boxes, found), found[0] * classes + found[1], threshold, keep,
                        eta=eta)
        found = found[:, kept]
        best = np.lexsort((-score_of(scores, found), found[0]))
        found = found[:, np.sort(best[ranks(found[0][best]) < keep])]
        return np.concatenate([found[:2].T, score_of(scores, found)[:, None],
                               box_of(boxes, found)], axis=1)

    def score_of(scores, found):
        image, kind, place = found
        return scores[image, place, kind]

    def box_of(boxes, found):
        image, kind, place = found
        return boxes[image, place, 0 if p.share_location else kind]

    def plan(locations, scores, priors):
        samples, count = shape_of(locations, priors)
        return ((1, 1, samples * max(1, min(keep, count * classes)), 7),
                samples * count * (12 * places + 24 * classes))
    return planned(forward, plan)


def ranks(group):
    """Which place each element has in its group; groups lie one after the other."""
    return np.arange(group.size) - np.searchsorted(group, group)


def corner(priors, deltas, variances):
    return priors + deltas * variances


def corner_size(priors, deltas, variances):
    size = priors[..., 2:] - priors[..., :2]
    return priors + deltas * variances * np.concatenate([size, size], axis=-1)


DECODERS = {'CORNER': corner, 'CENTER_SIZE': moved, 'CORNER_SIZE': corner_size}


def proposal(layer, blobs):
    """Regions (0, left, top, right, bottom) that may hold an object, and their scores.

    Ren et al. 2015, "Faster R-CNN", arXiv:1506.01497.
    """
    p, scored = layer.proposal_param, len(layer.top) == 2
    stride, base = positive('feat_stride, base_size', [p.feat_stride, p.base_size])
    ratios = positive('ratio', p.ratio or [.5, 1, 2])
    scales = positive('scale', p.scale or [8, 16, 32])
    if not p.pre_nms_topn or not p.post_nms_topn or not p.nms_thresh >= 0 or not p.min_size >= 0:
        raise DataError('pre_nms_topn and post_nms_topn above 0, nms_thresh and min_size not '
                        f'below, expected, got {p.pre_nms_topn}, {p.post_nms_topn}, '
                        f'{p.nms_thresh} and {p.min_size}')
    anchors = anchors_of(base, ratios, scales)

    def expect(scores, deltas, information):
        count = len(anchors)
        if (len(scores) != 4 or scores[:2] != (1, 2 * count)
                or deltas != (1, 4 * count, *scores[2:]) or math.prod(information) < 3):
            raise DataError(f'scores (1, {2 * count}, H, W), numbers (1, {4 * count}, H, W) of '
                            f'{count} anchors, and (height, width, scale) of the image expected, '
                            f'got {scores}, {deltas} and {information}')

    def forward(scores, deltas, information):
        expect(scores.shape, deltas.shape, information.shape)
        height, width = scores.shape[2:]
        likely = to_cpu(scores.array)[0, len(anchors):].transpose(1, 2, 0).ravel()
        steps = to_cpu(deltas.array)[0].transpose(1, 2, 0).reshape(-1, 4)
        rows, columns, scale = (float(n) for n in to_cpu(information.array).ravel()[:3])
        boxes = (grid(height, width, stride, stride) + anchors).reshape(-1, 4).astype(np.float32)
        with np.errstate(all='ignore'):
            boxes = moved(boxes, steps, extra=1)
            boxes = np.clip(boxes, 0, np.array([columns, rows] * 2, np.float32) - 1)
            large = (boxes[:, 2:] - boxes[:, :2] + 1 >= np.float32(p.min_size * scale)).all(1)
            large &= likely == likely
            boxes, likely = boxes[large], likely[large]
            order = np.argsort(-likely, kind='stable')[:p.pre_nms_topn]
            kept = order[suppress(boxes[order], np.zeros(order.size, np.int64), p.nms_thresh,
                                  p.post_nms_topn, extra=1)]
        regions = np.concatenate([np.zeros((kept.size, 1)), boxes[kept]], axis=1)
        y = sent(regions, scores)
        return (y, sent(likely[kept][:, None], scores)) if scored else y

    def plan(scores, deltas, information):
        expect(scores, deltas, information)
        count = len(anchors) * math.prod(scores[2:])
        return (min(p.post_nms_topn, count), 5), 40 * count
    return planned(forward, plan)


def anchors_of(base, ratios, scales):
    """Boxes around the first cell, (A, 4), for each ratio of height to width all scales.

    The sides of each ratio are rounded to whole pixels before they are scaled.
    """
    width = np.rint((base * base / ratios) ** .5)
    sides = np.stack([width, np.rint(width * ratios)], axis=1)
    sides = (sides[:, None] * scales[:, None]).reshape(-1, 2)
    middle = (base - 1) / 2
    return np.concatenate([middle - (sides - 1) / 2, middle + (sides - 1) / 2], axis=1)


NUMBERS = r'[\[(]([\d.,\s]*)[\])]'
OPTION = re.compile(rf"""\s*["']?(\w+)["']?\s*:\s*(?:{NUMBERS}|([\d.]+))\s*,?\s*""")


def python(layer, blobs):
    """The one layer in Python that public files have: proposals, `rpn.proposal_layer`.

    Its other options stand in the configuration that its authors use for tests.
    """
    p = layer.python_param
    if (p.module.rpartition('.')[2], p.layer) != ('proposal_layer', 'ProposalLayer'):
        raise DataError(f'the class {p.layer!r:.100} of the Python module {p.module!r:.100} is '
                        'code, which is not in the file. Give its tops as inputs')
    text, place, options = p.param_str.strip().removeprefix('{').removesuffix('}'), 0, {}
    while match := OPTION.match(text, place):
        name, many, one = match.groups()
        try:
            numbers = [float(number) for number in (one or many).split(',') if number.strip()]
        except ValueError:
            break
        place, options[{'scales': 'scale', 'ratios': 'ratio'}.get(name, name)] = match.end(), (
            numbers if one is None else numbers[0])
    unknown = set(options) - {'scale', 'ratio', 'feat_stride'}
    many = [isinstance(value, list) != (name != 'feat_stride') for name, value in options.items()]
    if text[place:].strip() or unknown or any(many):
        raise DataError(f'param_str: feat_stride, scales and ratios expected, got {text!r:.100}')
    if len(layer.bottom) != 3 or len(layer.top) not in (1, 2):
        raise DataError(f'3 bottoms and 1 or 2 tops expected, got {layer.bottom} and {layer.top}')
    layer['proposal_param'] = message('ProposalParameter', options)
    return proposal(layer, blobs)

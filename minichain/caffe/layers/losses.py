"""Caffe's losses and accuracy, as a network for training ends in."""

import numpy as np

import minichain.functions as F
from minichain.autograd import as_variable
from minichain.caffe.geometry import canonical
from minichain.errors import DataError


def softmax_with_loss(layer, blobs):
    p, axis = layer.loss_param, layer.softmax_param.axis
    if axis != 1:
        raise DataError(f'softmax over axis 1 is supported, not {axis}')
    ignored = p.ignore_label if 'ignore_label' in p else -1

    def forward(x, t):
        t = labels(t, (len(x), *x.shape[2:]))
        total = F.softmax_cross_entropy(x, t, normalize=False, ignore_label=ignored) * len(x)
        return total / normalizer(p, 'VALID', x, (t != ignored).sum(), t.size)
    return forward


def labels(t, shape):
    """Class numbers, which Caffe keeps as floats with axes of length 1, as int32 of a shape."""
    array = t.array
    if array.size != np.prod(shape):
        raise DataError(f'labels of shape {shape} expected, got {array.shape}')
    return array.reshape(shape).astype(np.int32)


def normalizer(p, default, x, valid, full):
    """What a loss is divided by, as `normalization` or the older `normalize` say."""
    mode = default
    if 'normalization' in p:
        mode = p.normalization
    elif 'normalize' in p:
        mode = 'VALID' if p.normalize else 'BATCH_SIZE'
    counts = {'FULL': full, 'VALID': valid, 'BATCH_SIZE': len(x), 'NONE': 1}
    return max(1.0, float(counts[mode]))


def euclidean_loss(layer, blobs):
    def forward(x, t):
        difference = x - F.reshape(t, x.shape)
        return F.sum(difference * difference) / (2 * max(1, len(x)))
    return forward


def sigmoid_cross_entropy_loss(layer, blobs):
    p = layer.loss_param

    def forward(x, t):
        t = F.reshape(t, x.shape)
        total = F.sum(F.softplus(x) - x * t)
        return total / normalizer(p, 'BATCH_SIZE', x, x.size, x.size)
    return forward


def accuracy(layer, blobs):
    p = layer.accuracy_param

    def forward(x, t):
        xp = x.xp
        scores = xp.moveaxis(x.array, canonical(p.axis, x.ndim), -1)
        t = labels(t, scores.shape[:-1])
        true = xp.take_along_axis(scores, t[..., None] % scores.shape[-1], -1)
        counted = t != p.ignore_label if 'ignore_label' in p else t == t
        right = ((scores > true).sum(-1) < p.top_k) & counted
        return as_variable(xp.asarray(right.sum() / max(1, counted.sum()), x.dtype))
    return forward

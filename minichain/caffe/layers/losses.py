"""Caffe's losses and accuracy, as a network for training ends in."""
import numpy as np

import minichain.functions as F
from minichain.autograd import as_variable
from minichain.caffe.geometry import canonical
from minichain.errors import DataError

LEAST_PROBABILITY = 1e-20


def softmax_with_loss(layer, blobs):
    p = layer.loss_param
    ignored = p.ignore_label if 'ignore_label' in p else -1

    def forward(x, t):
        axis = canonical(layer.softmax_param.axis, x.ndim)
        scores = F.moveaxis(x, axis, -1)
        t = labels(t, scores.shape[:-1]).ravel()
        rows = F.reshape(scores, (t.size, scores.shape[-1]))
        total = F.sum(F.softmax_cross_entropy(rows, t, ignore_label=ignored, reduce='no'))
        loss = total / normalizer(p, 'VALID', outer(x, axis), (t != ignored).sum(), t.size)
        return loss if len(layer.top) == 1 else (loss, F.softmax(x, axis))
    return forward


def labels(t, shape):
    """Class numbers, which Caffe keeps as floats with axes of length 1, as int32 of a shape."""
    array = t.array
    if array.size != np.prod(shape):
        raise DataError(f'labels of shape {shape} expected, got {array.shape}')
    if not bool((abs(array) < 1 << 31).all()):
        raise DataError('labels expected, whole numbers; one is none')
    return array.reshape(shape).astype(np.int32)


def outer(x, axis):
    """How many samples there are in front of an axis."""
    return int(np.prod(x.shape[:axis]))


def normalizer(p, default, samples, valid, full):
    """What a loss is divided by, as `normalization` or the older `normalize` say."""
    mode = default
    if 'normalization' in p:
        mode = p.normalization
    elif 'normalize' in p:
        mode = 'VALID' if p.normalize else 'BATCH_SIZE'
    counts = {'FULL': full, 'VALID': valid, 'BATCH_SIZE': samples, 'NONE': 1}
    return max(1.0, float(counts[mode]))


def expect_samples(x):
    if not x.ndim or not len(x):
        raise DataError(f'an input of at least one sample expected, got {x.shape}')
    return len(x)


def euclidean_loss(layer, blobs):
    def forward(x, t):
        difference = x - F.reshape(t, x.shape)
        return F.sum(difference * difference) / (2 * expect_samples(x))
    return forward


def sigmoid_cross_entropy_loss(layer, blobs):
    p = layer.loss_param

    def forward(x, t):
        t = F.reshape(t, x.shape)
        losses = F.softplus(x) - x * t
        valid = x.size
        if 'ignore_label' in p:
            counted = (t.array != p.ignore_label).astype(x.dtype)
            losses, valid = losses * counted, counted.sum()
        return F.sum(losses) / normalizer(p, 'BATCH_SIZE', expect_samples(x), valid, x.size)
    return forward


def hinge_loss(layer, blobs):
    norm = layer.hinge_loss_param.norm

    def forward(x, t):
        x = F.reshape(x, (expect_samples(x), x.size // len(x)))
        return F.hinge(x, labels(t, x.shape[:1]), norm)
    return forward


def contrastive_loss(layer, blobs):
    """Loss of pairs that are alike where the third bottom is 1; `legacy_version` has margin - d^2.
    """
    p = layer.contrastive_loss_param
    if not p.margin > 0:
        raise DataError(f'a margin above 0 expected, got {p.margin}')

    def forward(x0, x1, y):
        shape = expect_samples(x0), x0.size // len(x0)
        x0, x1 = F.reshape(x0, shape), F.reshape(x1, shape)
        alike = labels(y, shape[:1])
        if not p.legacy_version:
            return F.contrastive(x0, x1, (alike != 0).astype(alike.dtype), p.margin)
        difference, alike = x0 - x1, (alike != 0).astype(x0.dtype)
        squared = F.sum(difference * difference, 1)
        return F.mean(squared * alike + F.relu(p.margin - squared) * (1 - alike)) / 2
    return forward


def infogain_loss(layer, blobs):
    """-sum over k of H[label, k] log softmax(x)[k], with the matrix H as third bottom."""
    p, axis = layer.loss_param, layer.infogain_loss_param.axis
    if len(layer.bottom) != 3:
        raise DataError('the matrix as third bottom expected; a file with it (source) is not read')

    def forward(x, t, H):
        scores = F.moveaxis(x, canonical(axis, x.ndim), -1)
        count = scores.shape[-1]
        t = labels(t, scores.shape[:-1]).ravel()
        counted = t != p.ignore_label if 'ignore_label' in p else t == t
        if H.size != count * count or not bool((~counted | (t >= 0) & (t < count)).all()):
            raise DataError(f'labels from 0 to {count - 1} and a matrix {(count, count)} expected')
        weights = H.array.reshape(count, count)[t * counted] * counted[:, None]
        logarithms = F.log_softmax(F.reshape(scores, (t.size, count)))
        logarithms = F.maximum(logarithms, x.xp.full_like(
            logarithms.array, np.log(LEAST_PROBABILITY)))
        total = -F.sum(logarithms * weights.astype(x.dtype))
        return total / normalizer(p, 'VALID', outer(x, canonical(axis, x.ndim)), counted.sum(),
                                  t.size)
    return forward


def multinomial_logistic_loss(layer, blobs):
    """Mean of -log x[label], for probabilities x."""
    def forward(x, t):
        x = F.reshape(x, (expect_samples(x), x.size // len(x)))
        t = labels(t, x.shape[:1])
        if not bool(((t >= 0) & (t < x.shape[1])).all()):
            raise DataError(f'labels from 0 to {x.shape[1] - 1} expected')
        true = F.select_item(x, t)
        least = x.xp.full_like(true.array, LEAST_PROBABILITY)
        return -F.mean(F.log(F.maximum(true, least)))
    return forward


def accuracy(layer, blobs):
    p = layer.accuracy_param

    def forward(x, t):
        xp = x.xp
        scores = xp.moveaxis(x.array, canonical(p.axis, x.ndim), -1)
        classes = scores.shape[-1]
        t = labels(t, scores.shape[:-1])
        true = xp.take_along_axis(scores, t[..., None] % classes, -1)
        counted = t != p.ignore_label if 'ignore_label' in p else t == t
        right = ((scores > true).sum(-1) < p.top_k) & counted
        y = as_variable(xp.asarray(right.sum() / max(1, counted.sum()), x.dtype))
        if len(layer.top) == 1:
            return y
        one_hot = (t[..., None] == xp.arange(classes)) & counted[..., None]
        one_hot = one_hot.reshape(-1, classes)
        rates = (one_hot & right.reshape(-1, 1)).sum(0) / xp.maximum(one_hot.sum(0), 1)
        return y, as_variable(rates.astype(x.dtype))
    return forward

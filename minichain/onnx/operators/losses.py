"""Losses of classification: the negative logarithm of the probability of the right class."""
import minichain.functions as F
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.errors import DataError
from minichain.onnx.operators.values import on_one_device


def negative_log_likelihood(node, x, t, weight=None):
    """-weight[t] x[n, t, ...], summed, or averaged by the weights, or each.

    Args:
        x: log-probabilities, (N, C, ...), float.
        t: numbers of classes, (N, ...); `ignore_index` marks what does not count.
        weight: of the classes, (C,).
    Raises:
        DataError: shapes do not fit, or a class does not exist.
    """
    if x.ndim < 2 or t.shape != x.shape[:1] + x.shape[2:]:
        raise DataError(f'x of the shape (N, C, ...) and classes of the shape (N, ...) expected, '
                        f'got {x.shape} and {t.shape}')
    if weight is not None and weight.shape != x.shape[1:2]:
        raise DataError(f'{x.shape[1]} weights expected, got the shape {weight.shape}')
    _, t = on_one_device(x, t)
    xp, ignored = get_array_module(x, t), node.get('ignore_index')
    counted = xp.ones(t.shape, bool) if ignored is None else t != ignored
    if not bool((~counted | (t >= 0) & (t < x.shape[1])).all()):
        raise DataError(f'classes from 0 to {x.shape[1] - 1} expected, got {int(t.min())} to '
                        f'{int(t.max())}')
    t = xp.where(counted, t, 0)
    index = [xp.arange(length).reshape((-1,) + (1,) * (t.ndim - 1 - axis))
             for axis, length in enumerate(t.shape)]
    picked = F.get_item(x, (index[0], t, *index[1:]))
    factor = counted.astype(x.dtype)
    if weight is not None:
        factor = as_array(weight)[t].astype(x.dtype) * factor
    loss = -F.where(counted, picked, xp.zeros((), x.dtype)) * factor
    reduction = node.get('reduction', 'mean')
    if reduction == 'none':
        return loss
    return F.sum(loss) / factor.sum() if reduction == 'mean' else F.sum(loss)


def softmax_cross_entropy(node, x, t, weight=None):
    log_probability = F.log_softmax(x, 1)
    loss = negative_log_likelihood(node, log_probability, t, weight)
    return loss, log_probability


OPERATORS = {
    'NegativeLogLikelihoodLoss': negative_log_likelihood,
    'SoftmaxCrossEntropyLoss': softmax_cross_entropy,
}

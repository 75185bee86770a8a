"""Cross entropy of softmax(x) against labels, in one function and one copy of ``x``.

The exponentials that the loss needs are kept and turned into the gradient in place. Rows are gone
through in blocks that fit a processor's cache, so that ``x`` is read from memory once.
"""
from functools import partial

import numpy as np

from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module, get_device_from_array
from minichain.configuration import thread_state
from minichain.errors import InvalidArgument, InvalidType, OutOfRange
from minichain.functions._axis import sum_dtype
from minichain.functions.broadcast import broadcast_to
from minichain.functions.reshape import reshape, transpose
from minichain.functions.softmax import log_softmax, softmax
from minichain.functions.sum import sum
from minichain.gpu import softmax_cross_entropy as by_kernels
from minichain.gpu.dispatch import fused
from minichain.type_check import expect_float, expect_integer, expect_same_module, expect_shape

LABEL = 'softmax_cross_entropy'
BLOCK = 1 << 18   # numbers that the CPU goes through at once
FEW = 64          # classes below which NumPy goes through columns faster than through rows


class SoftmaxCrossEntropy(Primitive):
    """Losses of the rows of x, (N, V), or their weighted sum.

    Args:
        t: labels, (N,). Those of ignored rows are not looked at.
        kept: bool, (N,); False for ignored rows.
        weights: by which the losses are multiplied, (N,); 0 for ignored rows.
        add_up: whether to return the sum.
        cache_score: keep the exponentials from forward to backward.
    """

    label = LABEL

    def __init__(self, t, kept, weights, add_up, cache_score):
        self.t, self.kept, self.weights, self.add_up = t, kept, weights, add_up
        self.cache_score, self.gradient = cache_score, None

    def check_type_forward(self, in_types):
        x, = in_types
        expect_float(LABEL, x=x)
        if row_losses.fuses(x):
            return
        out = self.kept & ((self.t < 0) | (self.t >= x.shape[1]))
        if out.any():
            row = int(out.argmax())
            raise OutOfRange(f'{LABEL}: labels from 0 to {x.shape[1] - 1}, or ignore_label, '
                             f'expected for {x.shape[1]} classes, got {int(self.t[row])} in row '
                             f'{row} of {len(self.t)}')

    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        losses, self.gradient = row_losses(x, self.t, self.kept, self.cache_score)
        losses = losses * self.weights
        return (losses.sum() if self.add_up else losses).astype(x.dtype),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        if not thread_state.on_arrays:
            xp = get_array_module(x)
            target = xp.zeros(x.shape, x.dtype)
            target[xp.arange(x.shape[0]), xp.where(self.kept, self.t, 0)] = 1
            gy = broadcast_to(grads[0], self.t.shape) * self.weights
            return broadcast_to(reshape(gy, (-1, 1)), x.shape) * (softmax(x) - target),
        gradient, self.gradient = self.gradient, None   # a second backward computes it again
        if gradient is None:
            _, gradient = row_losses(x, self.t, self.kept, True)
        return gradient(grads[0] * self.weights),


@fused(by_kernels.row_losses)
def row_losses(x, t, kept, keep):
    """Compute the losses of rows.

    Args:
        x: scores, (N, V). t: labels, (N,). kept: bool, (N,); the losses of other rows are 0.
        keep: whether the gradient will be wanted.
    Returns:
        (losses, gradient): (N,), and a function that takes the gradient of the losses, (N,), 0
        where not ``kept``, and returns that of ``x``, once; None unless ``keep``.
    """
    xp, on_cpu = get_array_module(x), isinstance(x, np.ndarray)
    rows, classes = x.shape
    dtype, by_columns = sum_dtype(x.dtype), on_cpu and classes < FEW
    exponentials = xp.empty(x.shape, dtype, 'F' if by_columns else 'C') if keep else None
    totals, picked = xp.empty(rows, dtype), xp.empty(rows, dtype)
    labels = xp.where(kept, t, 0)
    step = max(1, BLOCK // classes) if on_cpu else max(1, rows)
    for start in range(0, rows, step):
        block = slice(start, start + step)
        scores = np.asfortranarray(x[block]) if by_columns else x[block]
        y = xp.subtract(scores, scores.max(axis=1, keepdims=True),
                        out=exponentials[block] if keep else None, dtype=dtype)
        picked[block] = y[xp.arange(len(y)), labels[block]]
        xp.exp(y, out=y)
        totals[block] = y.sum(axis=1)
    losses = xp.where(kept, xp.log(totals) - picked, 0)
    return losses, partial(_gradient, exponentials, totals, labels) if keep else None


def _gradient(exponentials, totals, labels, gy):
    """Turn the exponentials of scores into the gradient of the scores."""
    exponentials *= (gy / totals)[:, None]
    exponentials[get_array_module(gy).arange(len(gy)), labels] -= gy
    return exponentials


def softmax_cross_entropy(x, t, normalize=True, cache_score=True, class_weight=None,
                          ignore_label=-1, reduce='mean', enable_double_backprop=False,
                          soft_target_loss='cross-entropy'):
    """Negative log likelihood of the labels:  -log softmax(x)[t], in nats.

    Args:
        x: scores before the softmax, (N, V, ...), float.
        t: labels from 0 to V - 1, (N, ...), integer; or soft targets, constants of the shape and
            dtype of ``x``, for which only ``reduce`` and ``soft_target_loss`` count.
        normalize: the mean is over all labels that are not ignored, else the sum over N.
        cache_score: keep the exponentials for the backward pass; False saves memory.
        class_weight: array of V factors by which losses are multiplied, by label; None: 1.
        ignore_label: the label whose loss and gradient are 0.
        reduce: 'mean', or 'no' for the loss of every label.
        enable_double_backprop: without effect, the gradient always has gradients.
        soft_target_loss: 'cross-entropy', -sum t log p, or 'kl-divergence', sum t log(t / p).
    Returns:
        a number, shape (), 0 if all labels are ignored; or the losses, (N, ...).
    Raises:
        InvalidType: shapes or dtypes do not fit, or a label is out of range. (Where kernels run,
            the host does not wait for the GPU: the loss is NaN.)
        InvalidArgument: unknown ``reduce`` or ``soft_target_loss``.
    """
    if reduce not in ('mean', 'no'):
        raise InvalidArgument(f"{LABEL}: reduce 'mean' or 'no' expected, got {reduce!r}")
    t = as_array(t)
    expect_same_module(LABEL, (as_array(x), t))
    if t.dtype.kind == 'f':
        return _soft_target(x, t, reduce, soft_target_loss)
    expect_integer(LABEL, t=t)
    if x.ndim < 2 or x.shape[1] == 0:
        raise InvalidType(f'{LABEL}: x of shape (N, V, ...) with V > 0 expected, got {x.shape}')
    shape, classes = x.shape[:1] + x.shape[2:], x.shape[1]
    expect_shape(LABEL, shape, t=t)
    xp, dtype = get_array_module(x), sum_dtype(x.dtype)
    if x.ndim > 2:
        x = reshape(transpose(x, (0, *range(2, x.ndim), 1)), (t.size, classes))
    t = t.reshape(-1)
    kept = t != ignore_label
    weights = kept.astype(dtype)
    if class_weight is not None:
        class_weight = get_device_from_array(x).send(as_array(class_weight)).astype(dtype)
        expect_shape(LABEL, (classes,), class_weight=class_weight)
        weights *= class_weight[xp.clip(t, 0, classes - 1)]
    if reduce == 'mean':
        weights /= xp.maximum(kept.sum(), 1).astype(dtype) if normalize else max(1, shape[0])
    y, = SoftmaxCrossEntropy(t, kept, weights, reduce == 'mean', cache_score).apply((x,))
    return y if reduce == 'mean' else reshape(y, shape)


def _soft_target(x, t, reduce, kind):
    if kind not in ('cross-entropy', 'kl-divergence'):
        raise InvalidArgument(f"{LABEL}: soft_target_loss 'cross-entropy' or 'kl-divergence' "
                              f'expected, got {kind!r}')
    expect_shape(LABEL, x.shape, t=t)
    losses = -sum(log_softmax(x) * t, axis=1)
    if kind == 'kl-divergence':   # the small number is for targets of 0
        losses = losses + (t * get_array_module(t).log(t + t.dtype.type(1e-7))).sum(axis=1)
    return losses if reduce == 'no' else sum(losses) / max(1, losses.size)

"""Cross entropy of softmax(x) against labels, in one function and one copy of ``x``.

The exponentials that the loss needs are kept and turned into the gradient in place. Rows are gone
through in blocks that fit a processor's cache, so that ``x`` is read from memory once.
"""
import numpy as np

from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module, get_device_from_array
from minichain.configuration import thread_state
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions._axis import sum_dtype
from minichain.functions.broadcast import broadcast_to
from minichain.functions.reshape import reshape, transpose
from minichain.functions.softmax import log_softmax, softmax
from minichain.functions.sum import sum
from minichain.type_check import expect_float, expect_integer, expect_same_module, expect_shape

LABEL = 'softmax_cross_entropy'
BLOCK = 1 << 18   # numbers that the CPU goes through at once


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
        self.cache_score, self.exponentials = cache_score, None

    def check_type_forward(self, in_types):
        x, = in_types
        expect_float(LABEL, x=x)
        out = self.kept & ((self.t < 0) | (self.t >= x.shape[1]))
        if out.any():
            row = int(out.argmax())
            raise InvalidType(f'{LABEL}: labels from 0 to {x.shape[1] - 1}, or ignore_label, '
                              f'expected for {x.shape[1]} classes, got {int(self.t[row])} in row '
                              f'{row} of {len(self.t)}')

    def exponentiate(self, x, out):
        """Return the sums of exp(x - max x) by row, and x[t] - max x; fill ``out`` if given."""
        xp = get_array_module(x)
        rows, classes = x.shape
        dtype = sum_dtype(x.dtype)
        totals, picked = xp.empty(rows, dtype), xp.empty(rows, dtype)
        labels = xp.where(self.kept, self.t, 0)
        step = max(1, BLOCK // classes) if isinstance(x, np.ndarray) else max(1, rows)
        for start in range(0, rows, step):
            block = slice(start, start + step)
            y = xp.subtract(x[block], x[block].max(axis=1, keepdims=True),
                            out=None if out is None else out[block], dtype=dtype)
            picked[block] = y[xp.arange(len(y)), labels[block]]
            xp.exp(y, out=y)
            totals[block] = y.sum(axis=1)
        return totals, picked

    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        xp = get_array_module(x)
        if self.cache_score:
            self.exponentials = xp.empty(x.shape, sum_dtype(x.dtype))
        self.totals, picked = self.exponentiate(x, self.exponentials)
        losses = xp.where(self.kept, xp.log(self.totals) - picked, 0) * self.weights
        return (losses.sum() if self.add_up else losses).astype(x.dtype),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        xp = get_array_module(x)
        labels, rows = xp.where(self.kept, self.t, 0), xp.arange(x.shape[0])
        if not thread_state.on_arrays:
            target = xp.zeros(x.shape, x.dtype)
            target[rows, labels] = 1
            gy = broadcast_to(grads[0], self.t.shape) * self.weights
            return broadcast_to(reshape(gy, (-1, 1)), x.shape) * (softmax(x) - target),
        gx, self.exponentials = self.exponentials, None   # a second backward computes them again
        if gx is None:
            gx = xp.empty(x.shape, sum_dtype(x.dtype))
            self.exponentiate(x, gx)
        gy = grads[0] * self.weights
        gx *= (gy / self.totals)[:, None]
        gx[rows, labels] -= gy
        return gx,


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
        InvalidType: shapes or dtypes do not fit, or a label is out of range.
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

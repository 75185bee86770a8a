"""Scores and their cross entropy as one function, which holds one array of the scores' size.

It computes ``softmax_cross_entropy(linear(x, W, b), t)``, its specification: with that the scores
of a batch of captions, (words, V), lie in memory twice and are gone through three times more. Read
softmax_cross_entropy.py first.
"""
import numpy as np

from minichain.autograd import Primitive, as_array, grad
from minichain.backend import get_array_module
from minichain.configuration import config, thread_state
from minichain.cpu.threads import share
from minichain.errors import InvalidType
from minichain.functions.identity import identity
from minichain.functions.linear import linear, operands
from minichain.functions.matmul import product
from minichain.functions.softmax_cross_entropy import BLOCK, softmax_cross_entropy
from minichain.gpu import softmax_cross_entropy as by_kernels
from minichain.gpu.casts import storage_dtype
from minichain.gpu.dispatch import fused
from minichain.gpu.products import are_matrices, sum_of_rows
from minichain.type_check import (
    expect_float,
    expect_integer,
    expect_ndim,
    expect_same_dtype,
    expect_same_module,
    expect_shape,
)

LABEL = 'linear_softmax_cross_entropy'
ROWS = 512   # scored at once where no gradient is wanted; fewer make a slower matrix product
_COST = 48   # multiplications of a matrix product that take as long as the gradient of one score


class LinearSoftmaxCrossEntropy(Primitive):
    """Mean loss; the gradient of the scores is made in their place while they are in the cache."""

    label = LABEL
    rounded = None      # x and W, where products read copies of them

    def __init__(self, t, ignore_label):
        self.t, self.ignore_label = t, ignore_label
        self.kept = t != ignore_label

    def check_type_forward(self, in_types):
        x, W = in_types[:2]
        expect_ndim(LABEL, 2, x=x, W=W)
        expect_float(LABEL, x=x, W=W)
        expect_same_dtype(LABEL, x=x, W=W, b=in_types[-1])
        expect_shape(LABEL, (None, W.shape[1]), x=x)
        expect_shape(LABEL, x.shape[:1], t=self.t)
        if len(in_types) == 3:
            expect_shape(LABEL, W.shape[:1], b=in_types[2])
        if to_gradient.fuses(x):
            return
        out = self.kept & ((self.t < 0) | (self.t >= W.shape[0]))
        if out.any():
            row = int(out.argmax())
            raise InvalidType(f'{LABEL}: labels from 0 to {W.shape[0] - 1}, or ignore_label, '
                              f'expected for {W.shape[0]} classes, got {int(self.t[row])} in row '
                              f'{row} of {len(self.t)}')

    def forward(self, arrays):
        self.retain_inputs(tuple(range(len(arrays))))
        x, W, *b = arrays
        xp, rows = get_array_module(x), len(x)
        scale = 1 / xp.maximum(self.kept.sum(), 1).astype(x.dtype)
        losses = xp.empty(rows, x.dtype)
        # The gradient of all scores is kept; without a backward pass they are there in parts.
        step = rows if config.enable_backprop else ROWS
        dtype = storage_dtype() if score.fuses(x) else x.dtype
        self.gscores = xp.empty((min(step, rows), len(W)), dtype)
        read = operands(x, W)
        if read[0].dtype != x.dtype:
            self.rounded = read
        for start in range(0, rows, max(1, step)):
            part = slice(start, start + step)
            scores = self.gscores[:len(x[part])]
            left = score(read[0][part], read[1], b, scores)
            losses[part] = to_gradient(scores, left, self.t[part], self.kept[part], scale)
        return (losses.sum() * scale).astype(x.dtype),

    def backward(self, indexes, grads):
        if not thread_state.on_arrays:
            return self.replayed(indexes, grads)
        x, W = self.rounded or self.get_retained_inputs()[:2]
        gy, = grads
        xp = get_array_module(x)

        def gradient(i):
            if i == 2 and self.rounded:
                return sum_of_rows(self.gscores)
            if i == 2:
                return product(xp.ones((1, len(x)), x.dtype), self.gscores, False, False)[0]
            return product(self.gscores, *((x, True, False) if i else (W, False, False)))
        results = [gradient(i) for i in indexes]
        if xp is np and gy == 1:    # as of a loss that is learned from; a GPU had to wait to know
            return results
        for result in results:
            result *= gy
        return results

    def replayed(self, indexes, grads):
        """Gradients with a history: of the specification."""
        inputs = identity(*self.get_retained_inputs())   # nodes of their own
        loss = softmax_cross_entropy(linear(*inputs), self.t, ignore_label=self.ignore_label)
        return grad([loss], [inputs[i] for i in indexes], grads, enable_double_backprop=True)


@fused(by_kernels.score, libraries=('cublasLt',), accepts=are_matrices)
def score(x, W, b, out):
    """Fill ``out`` with x @ W.T, and return the list ``b`` if that is still to be added.

    On a GPU it is added here, on the CPU later, while the scores are in the cache.
    """
    product(x, W, False, True, out)
    return b


@fused(by_kernels.to_gradient)
def to_gradient(scores, b, t, kept, scale):
    """Turn scores in place into the gradient of  scale * sum of losses; return the losses.

    Args:
        scores: (N, V), without ``b``, a list of one bias (V,) or none.
        t: labels, (N,). kept: bool, (N,); losses and gradients of other rows are 0.
        scale: a number without axes, in the dtype of the scores, on their device.
    """
    xp = get_array_module(scores)
    losses = xp.empty(len(scores), scores.dtype)
    labels, weights = xp.where(kept, t, 0), kept.astype(scores.dtype) * scale
    step = max(1, BLOCK // scores.shape[1] if xp is np else len(scores))

    def work(starts):
        for start in starts:
            part = slice(start, start + step)
            y, picked = scores[part], (xp.arange(len(losses[part])), labels[part])
            if b:
                y += b[0]
            y -= y.max(axis=1, keepdims=True)
            losses[part] = -y[picked]
            xp.exp(y, out=y)
            totals = y.sum(axis=1)
            losses[part] += xp.log(totals)
            y *= (weights[part] / totals)[:, None]
            y[picked] -= weights[part]

    starts = range(0, len(scores), step)
    share(work, starts, _COST * scores.size) if xp is np else work(starts)
    losses *= kept
    return losses


def linear_softmax_cross_entropy(x, W, b, t, ignore_label=-1):
    """Mean cross entropy, in nats, of the scores of an affine map:

        softmax_cross_entropy(linear(x, W, b), t)

    with half the memory: the scores are turned into their gradient where they lie.

    Args:
        x: (N, I), float.
        W: (V, I), dtype of ``x``.
        b: (V,), dtype of ``x``, or None.
        t: labels from 0 to V - 1, (N,), integer.
        ignore_label: the label whose loss and gradient are 0; the mean is over the others.
    Returns:
        a number, shape (), 0 if all labels are ignored.
    Raises:
        InvalidType: shapes or dtypes do not fit, or a label is out of range. (Where kernels run,
            the host does not wait for the GPU: the loss is NaN.)
    """
    t = as_array(t)
    expect_same_module(LABEL, (as_array(x), t))
    expect_integer(LABEL, t=t)
    if x.dtype == np.float16:   # in which exponentials do not add up
        return softmax_cross_entropy(linear(x, W, b), t, ignore_label=ignore_label)
    if W.shape[0] == 0:
        raise InvalidType(f'{LABEL}: W of shape (V, I) with V > 0 expected, got {W.shape}')
    operands = (x, W) if b is None else (x, W, b)
    return LinearSoftmaxCrossEntropy(t, ignore_label).apply(operands)[0]

"""Cross entropy of softmax with its gradient: see ``kernels/softmax_cross_entropy.cu``."""
import functools

import numpy as np

from minichain.backend import get_array_module
from minichain.gpu.embedding import NO_LABEL, as_int32
from minichain.gpu.error_flag import new_error_flag
from minichain.gpu.launcher import kernel, storage
from minichain.gpu.products import affine

SHARED = 48 * 1024   # bytes in which a block keeps its row
MOST_BLOCKS = 65536


def softmax_cross_entropy(x, labels, losses, scale, error, ignore_label=-1):
    """Compute losses, and replace scores by gradients:

        losses = log(sum exp(x)) - x[label],   x = scale (softmax(x) - onehot(label))

    Args:
        x: scores, (N, V), float32 or bfloat16; gradients after. Fast if V is a multiple of 8.
        labels: from 0 to V - 1, (N,), int32.
        losses: filled, (N,), float32; 0 for ignored rows.
        scale: factor of the gradients, (1,), float32, on the device: 1 / (labels that count).
        error: flag of :func:`~minichain.gpu.error_flag.new_error_flag`; a label that is not there
            makes its loss NaN and its gradient 0.
        ignore_label: the label whose loss and gradient are 0.
    """
    rows, classes = x.shape
    kept = min(classes, SHARED // x.itemsize)
    kernel(f'softmax_cross_entropy_{storage(x)}')(
        x, labels, losses, scale, error, rows, classes, ignore_label, kept,
        grid=min(rows, MOST_BLOCKS), block=512 if classes > 2048 else 128,
        shared=kept * x.itemsize)


def row_losses(x, t, kept, keep):
    """Compute what the function of this name in functions/softmax_cross_entropy.py does.

    The loss of a label that is not there is NaN: to raise, the host would have to wait.
    """
    xp = get_array_module(x)
    gx = x.copy()
    losses = to_gradient(gx, (), t, kept, xp.ones(1, np.float32))
    return losses, functools.partial(_scaled, gx) if keep else None


def _scaled(gx, gy):
    gx *= gy[:, None]
    return gx


def score(x, W, b, out):
    """Compute what the function of this name in functions/linear_softmax_cross_entropy.py does."""
    affine(x, W, b[0] if b else None, out)
    return []


def to_gradient(scores, b, t, kept, scale):
    """Compute what the function of this name in functions/linear_softmax_cross_entropy.py does."""
    xp = get_array_module(scores)
    if b:
        scores += b[0]
    losses = xp.empty(len(scores), np.float32)
    labels = xp.where(kept, as_int32(t), np.int32(NO_LABEL))
    softmax_cross_entropy(scores, labels, losses, scale.reshape(1), new_error_flag(xp), NO_LABEL)
    return losses

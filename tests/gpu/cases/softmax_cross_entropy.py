"""Kernels of softmax_cross_entropy.cu: losses and gradients of the definition, in float64."""
import numpy as np

from minichain.gpu.error_flag import new_error_flag
from minichain.gpu.softmax_cross_entropy import softmax_cross_entropy
from tests.gpu.registry import reference

# Widths: less than a warp, odd, of whole packs of 16 bytes, and more than shared memory keeps.
SIZES = [(2, 40), (5, 1), (9, 37), (3, 1000), (2, 2051), (1, 12289), (1, 24584)]


@reference('softmax_cross_entropy', softmax_cross_entropy, SIZES, registers=64,
           tolerance={'float32': 1e-5})
def loss_and_gradient(random, store, rows, classes):
    x = store(random.standard_normal((rows, classes)) * 4)
    labels = random.integers(0, classes, rows).astype(np.int32)
    labels[::3] = -1
    scores, each = x.astype(np.float64), np.arange(rows)
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    kept = labels >= 0
    losses = np.where(kept, -np.log(probabilities[each, labels]), 0)
    gradients = probabilities.copy()
    gradients[each, labels] -= 1
    arguments = {'x': x, 'labels': labels, 'losses': np.full(rows, np.nan, np.float32),
                 'scale': np.array([.25], np.float32), 'error': new_error_flag()}
    return arguments, {'x': gradients * kept[:, None] / 4, 'losses': losses, 'error': [0]}

"""Kernels of elementwise.cu: gradients by results of the activations, in float64."""
import numpy as np

from minichain.gpu.elementwise import bias_relu, relu_gradient, sigmoid_gradient, tanh_gradient
from tests.gpu.registry import reference

# Less than a pack, an odd rest after packs, more than a block.
SIZES = [(77,), (1,), (3,), (64,), (2503,)]


@reference('bias_relu', bias_relu, [(2, 3, 7, 0), (1, 1, 1, 0), (3, 37, 5, 1), (5, 4, 300, 0)],
           registers=32)
def biased_and_cut(random, store, N, C, positions, last):
    shape = (N, positions, C) if last else (N, C, positions)
    x, b = store(random.standard_normal(shape)), store(random.standard_normal(C))
    total = x.astype(np.float64) + b.astype(np.float64)[slice(None) if last else (..., None)]
    return {'x': x, 'b': b, 'channels_last': bool(last)}, {'x': np.maximum(total, 0)}


def gradient(name, launch, result, derivative):
    """Register  gx = gy derivative(y)."""
    def formula(random, store, count):
        y = store(result(random.standard_normal(count) * 2))
        gy = store(random.standard_normal(count))
        expected = derivative(y.astype(np.float64)) * gy.astype(np.float64)
        return {'y': y, 'gy': gy, 'gx': store(np.full(count, np.nan))}, {'gx': expected}
    reference(name, launch, SIZES, registers=48)(formula)


gradient('relu_gradient', relu_gradient, lambda x: np.maximum(x, 0), lambda y: y > 0)
gradient('sigmoid_gradient', sigmoid_gradient, lambda x: 1 / (1 + np.exp(-x)),
         lambda y: y - y ** 2)
gradient('tanh_gradient', tanh_gradient, np.tanh, lambda y: (1 - y) * (1 + y))

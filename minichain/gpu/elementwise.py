"""Bias with ReLU, and gradients of activations: see ``kernels/elementwise.cu``.

Arrays are float32 or bfloat16, all of one dtype.
"""
import math

from minichain.gpu.grids import flat, planes
from minichain.gpu.launcher import kernel, storage


def bias_relu(x, b, channels_last=False):
    """Compute, in place,  x = max(x + b, 0).

    Args:
        x: (N, C, ...), or (..., C) with ``channels_last``.
        b: (C,).
    """
    if channels_last:
        outer, C, inner = math.prod(x.shape[:-1]), x.shape[-1], 1
    else:
        outer, C, inner = len(x), x.shape[1], math.prod(x.shape[2:])
    kernel(f'bias_relu_{storage(x)}')(x, b, outer, C, inner, **planes(outer, C * inner))


def launch(name, y, gy, gx):
    kernel(f'{name}_{storage(y)}')(y, gy, gx, y.size, **flat(y.size, 16 // y.itemsize))


def relu_gradient(y, gy, gx):
    """Compute  gx = gy where y > 0, else 0.

    Args:
        y: results of the activation, any shape.
        gy: their gradients.
        gx: filled; may be ``gy``.
    """
    launch('relu_gradient', y, gy, gx)


def sigmoid_gradient(y, gy, gx):
    """Compute  gx = gy y (1 - y);  arguments as of :func:`relu_gradient`."""
    launch('sigmoid_gradient', y, gy, gx)


def tanh_gradient(y, gy, gx):
    """Compute  gx = gy (1 - y^2);  arguments as of :func:`relu_gradient`."""
    launch('tanh_gradient', y, gy, gx)

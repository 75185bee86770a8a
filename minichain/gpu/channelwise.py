"""What is left between convolutions of images with channels last: see ``kernels/channelwise.cu``.

Images are (..., C), float32 or bfloat16, all of one dtype.
"""
import math

from minichain.gpu.grids import flat
from minichain.gpu.launcher import kernel, storage

ACTIVATIONS = {None: 0, 'clip': 1, 'sigmoid': 2, 'swish': 3, 'leaky': 4}


def launch(name, a, *arguments):
    kernel(f'{name}_{storage(a)}')(a, *arguments, **flat(a.size, 16 // a.itemsize))


def add(a, b, y, relu=False):
    """Compute  y = a + b,  or max(a + b, 0);  all of one shape, y may be one of the others."""
    launch('add', a, b, y, a.size, int(relu))


def multiply(a, b, y):
    """Compute  y = a b.

    Args:
        a, y: (N, H, W, C); y is filled and may be a.
        b: the same shape, or (N, 1, 1, C).
    """
    launch('multiply', a, b, y, a.size, 0 if a.shape == b.shape else a.size // len(a), a.shape[-1])


def scale_channels(x, factor, term, y, activation=None, number=math.inf):
    """Compute  y = f(x factor + term).

    Args:
        x, y: (..., C); y is filled and may be x.
        factor, term: (C,), float32.
        activation: f: None: nothing; 'clip': min(max(., 0), number); 'sigmoid'; 'swish': the
            product of the value and its sigmoid; 'leaky': times number if it is below 0.
    """
    launch('scale_channels', x, factor, term, y, x.size, x.shape[-1], ACTIVATIONS[activation],
           number)

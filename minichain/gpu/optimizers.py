"""Updates of all parameters at once, in flat arrays: see ``kernels/optimizers.cu``.

``x`` are the weights, ``g`` their gradients, (P,), float32; ``copy``, if given, (P,), bfloat16,
gets the new weights rounded. ``factor``, (1,), float32, multiplies the gradients first.
"""
import numpy as np

from minichain.backend import get_array_module
from minichain.gpu.grids import flat
from minichain.gpu.launcher import BLOCK, kernel

WIDTH = 4   # neighbours that a thread moves at a time


def norm_blocks(count):
    """Return how many sums :func:`gradient_norm` needs room for."""
    return flat(count, WIDTH)['grid']


def gradient_norm(g, sums, threshold, norm, factor):
    """Compute  norm = sqrt(sum g^2),  factor = min(1, threshold / norm), in a fixed order.

    Args:
        g: gradients, (P,), float32.
        sums: room for ``norm_blocks(P)`` numbers, float32.
        threshold: the largest norm allowed, (1,), float32; infinity: none is too large.
        norm, factor: filled, (1,), float32.
    """
    kernel('gradient_squares')(g, sums, g.size, **flat(g.size, WIDTH))
    kernel('gradient_factor')(sums, threshold, norm, factor, norm_blocks(g.size), grid=1,
                              block=BLOCK)


def adam_rates(settings, step, rates, beta1=.9, beta2=.999):
    """Count a step and compute its rates:

        rates = (eta alpha sqrt(1 - beta2^step) / (1 - beta1^step),  1 - eta decay)

    Args:
        settings: alpha, eta, weight decay, (3,), float32, on the device.
        step: steps before, (1,), int64; one more after.
        rates: filled, (2,), float32.
    """
    kernel('adam_rates')(settings, step, rates, beta1, beta2, grid=1, block=1)


def launch(name, arrays, copy, *numbers, count):
    x, g, *states, rates, factor = arrays
    copies = () if copy is None else (copy,)
    kernel(f'{name}_{"float32" if copy is None else "bfloat16"}')(
        x, g, *states, *copies, rates, factor, *numbers, count, **flat(count, WIDTH))


def adam(x, g, m, v, rates, factor, copy=None, beta1=.9, beta2=.999, eps=1e-8):
    """Update weights and moments, with g' = factor g:

        m += (1 - beta1) (g' - m),  v += (1 - beta2) (g'^2 - v),
        x = rates[1] x - rates[0] m / (sqrt(v) + eps)

    Args:
        m, v: moments, (P,), float32.
        rates: of :func:`adam_rates`, (2,), float32.
    """
    launch('adam', (x, g, m, v, rates, factor), copy, 1 - beta1, 1 - beta2, eps, count=x.size)


def sgd(x, g, rate, factor, copy=None):
    """Update weights:  x -= rate factor g;  rate: (1,), float32."""
    launch('sgd', (x, g, rate, factor), copy, count=x.size)


def momentum_sgd(x, g, v, rate, factor, copy=None, momentum=.9):
    """Update weights and velocities:  v = momentum v - rate factor g,  x += v.

    Args:
        v: velocities, (P,), float32.
        rate: (1,), float32.
    """
    launch('momentum_sgd', (x, g, v, rate, factor), copy, momentum, count=x.size)


def is_plain_adam(x, gx, m, v, vhat, alpha_t, bounds, h):
    """Return whether :func:`adam_step` takes these arguments."""
    return (vhat is None and bounds is None and gx.dtype == m.dtype == np.float32
            and all(array.flags.c_contiguous for array in (x, m, v)))


def adam_step(x, gx, m, v, vhat, alpha_t, bounds, h):
    """Compute what the function of this name in optimizers/adam.py does, of one parameter."""
    xp = get_array_module(x)
    rates = xp.empty(2, np.float32)
    rates[0], rates[1] = h.eta * alpha_t, 1 - h.eta * h.weight_decay_rate
    adam(x, xp.ascontiguousarray(gx), m, v, rates, xp.ones(1, np.float32), beta1=h.beta1,
         beta2=h.beta2, eps=h.eps)

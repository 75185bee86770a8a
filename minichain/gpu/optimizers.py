"""Updates of all parameters at once, in flat arrays: see ``kernels/optimizers.cu``.

``x`` are the weights, ``g`` their gradients, (P,), float32; ``copy``, if given, (P,), bfloat16,
gets the new weights rounded. ``factor``, (1,), float32, multiplies the gradients first.
"""
import itertools

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
    gradient_squares(g, sums)
    gradient_factor(sums, threshold, norm, factor)


def gradient_squares(g, sums):
    """Compute sums of squares of parts of ``g``, one for each of the ``norm_blocks(P)`` blocks."""
    kernel('gradient_squares')(g, sums, g.size, **flat(g.size, WIDTH))


def gradient_factor(sums, threshold, norm, factor):
    """Compute norm and factor, as :func:`gradient_norm` does, from any number of sums."""
    kernel('gradient_factor')(sums, threshold, norm, factor, sums.size, grid=1, block=BLOCK)


def scale_gradient(g, factor):
    """Compute  g *= factor,  without reading ``g`` where the factor is 1.

    Args:
        g: (P,) or any shape, float32. factor: (1,), float32.
    """
    kernel('scale_gradient')(g, factor, g.size, **flat(g.size, WIDTH))


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


def are_plain(x, gx, *others):
    """Return whether arrays of one parameter lie as the kernels expect; they are float32."""
    return all(array.dtype == np.float32 and (array is gx or array.flags.c_contiguous)
               for array in (x, gx, *others) if hasattr(array, 'flags'))


def is_plain_adam(x, gx, numbers, m, v, vhat, h):
    """Return whether :func:`adam_step` takes these arguments."""
    return vhat is None and not h.adabound and are_plain(x, gx, m, v)


def are_gradients(gradient, others, threshold):
    """Return whether :func:`clip` takes these arguments."""
    return all(each.dtype == np.float32 and type(each) is type(gradient) for each in others)


def squared_norm(x):
    """Compute what the function of this name in optimizer_hooks.py does."""
    xp = get_array_module(x)
    sums = xp.empty(norm_blocks(x.size), np.float32)
    gradient_squares(xp.ascontiguousarray(x), sums)
    return sums.sum()


def clip(gradient, others, threshold):
    """Compute what the function of this name in optimizer_hooks.py does."""
    xp, gradients = get_array_module(gradient), [gradient, *others]
    counts = [norm_blocks(each.size) for each in gradients]
    sums, (norm, factor) = xp.empty(sum(counts), np.float32), xp.empty((2, 1), np.float32)
    for each, count, end in zip(gradients, counts, itertools.accumulate(counts)):
        gradient_squares(xp.ascontiguousarray(each), sums[end - count:end])
    gradient_factor(sums, xp.full(1, threshold, np.float32), norm, factor)
    for each in gradients:
        if each.flags.c_contiguous:
            scale_gradient(each, factor)
        else:
            each *= factor
    return norm[0]


def adam_step(x, gx, numbers, m, v, vhat, h):
    """Compute what the function of this name in optimizers/adam.py does, of one parameter."""
    adam(x, get_array_module(x).ascontiguousarray(gx), m, v, numbers[:2], numbers[2:3],
         beta1=h.beta1, beta2=h.beta2, eps=h.eps)


def sgd_step(x, gx, numbers):
    """Compute what the function of this name in optimizers/sgd.py does."""
    sgd(x, get_array_module(x).ascontiguousarray(gx), numbers[:1], numbers[1:2])


def momentum_sgd_step(x, gx, v, numbers, momentum):
    """Compute what the function of this name in optimizers/momentum_sgd.py does."""
    momentum_sgd(x, get_array_module(x).ascontiguousarray(gx), v, numbers[:1], numbers[1:2],
                 momentum=momentum)

"""Updates of parameters, one by one or many in one launch: see ``kernels/optimizers.cu``.

``x`` are the weights, ``g`` their gradients, (P,), float32. ``factor``, (1,), float32, multiplies
the gradients first.

Under ``config.precision = 'bf16'`` no update leaves a rounded copy of the weights for the next
step: between two steps anybody may write to a parameter's array, in place, and nobody would know
that its copy is of old weights. They are rounded in the step that computes with them.
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
        threshold: the largest norm allowed; infinity: none is too large.
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


def adam(x, g, m, v, rates, factor, beta1=.9, beta2=.999, eps=1e-8):
    """Update weights and moments, with g' = factor g:

        m += (1 - beta1) (g' - m),  v += (1 - beta2) (g'^2 - v),
        x = rates[1] x - rates[0] m / (sqrt(v) + eps)

    Args:
        m, v: moments, (P,), float32.
        rates: of :func:`adam_rates`, (2,), float32.
    """
    kernel('adam_float32')(x, g, m, v, rates, factor, 1 - beta1, 1 - beta2, eps, x.size,
                           **flat(x.size, WIDTH))


def sgd(x, g, rate, factor):
    """Update weights:  x -= rate factor g;  rate: (1,), float32."""
    kernel('sgd_float32')(x, g, rate, factor, x.size, **flat(x.size, WIDTH))


def momentum_sgd(x, g, v, rate, factor, momentum=.9):
    """Update weights and velocities:  v = momentum v - rate factor g,  x += v.

    Args:
        v: velocities, (P,), float32.
        rate: (1,), float32.
    """
    kernel('momentum_sgd_float32')(x, g, v, rate, factor, momentum, x.size,
                                   **flat(x.size, WIDTH))


def gradient_norm_many(work, sums, threshold, norm, factor):
    """Compute what :func:`gradient_norm` does, of many gradients together.

    Args:
        work: :class:`~minichain.gpu.many_arrays.Work` on gradients.
        sums: room for a number for each of its parts, float32.
        threshold, norm, factor: as there.
    """
    work.launch('gradient_squares_many', sums)
    gradient_factor(sums, threshold, norm, factor)


def scale_gradient_many(work, factor):
    """Multiply the gradients of ``work`` by ``factor``, (1,); nothing is read where it is 1."""
    work.launch('scale_gradient_many', factor)


def decay_many(work, rate):
    """Compute  g += rate x  for the rows (g, x) of ``work``; rate: a number."""
    work.launch('decay_many', rate)


def adam_many(work, numbers, beta1=.9, beta2=.999, eps=1e-8):
    """Do what :func:`adam` does for the rows (x, g, m, v) of ``work``.

    Args:
        numbers: for each tensor its two rates and its factor, (3 tensors,), float32.
    """
    work.launch('adam_many', numbers, 1 - beta1, 1 - beta2, eps)


def sgd_many(work, numbers):
    """Do what :func:`sgd` does for the rows (x, g) of ``work``.

    Args:
        numbers: for each tensor its rate and its factor, (2 tensors,), float32.
    """
    work.launch('sgd_many', numbers)


def momentum_sgd_many(work, numbers, momentum=.9):
    """Do what :func:`momentum_sgd` does for the rows (x, g, v) of ``work``; numbers as there."""
    work.launch('momentum_sgd_many', numbers, momentum)


def are_plain(x, gx, *state):
    """Return whether arrays of one parameter lie as the kernels expect; they are float32.

    They differ in shape where a parameter's array was replaced by one of another shape; kernels
    would read and write behind their ends.
    """
    return all(array.dtype == np.float32 and array.shape == x.shape
               and (array is gx or array.flags.c_contiguous) for array in (x, gx, *state))


def is_plain_sgd(x, gx, numbers):
    """Return whether :func:`sgd_step` takes these arguments."""
    return are_plain(x, gx)


def is_plain_momentum_sgd(x, gx, v, numbers, momentum):
    """Return whether :func:`momentum_sgd_step` takes these arguments."""
    return are_plain(x, gx, v)


def is_plain_adam(x, gx, numbers, m, v, vhat, h):
    """Return whether :func:`adam_step` takes these arguments."""
    return vhat is None and not h.adabound and are_plain(x, gx, m, v)


def are_gradients(gradient, others, threshold, tables):
    """Return whether :func:`clip` takes these arguments."""
    return all(each.dtype == np.float32 and type(each) is type(gradient)
               and each.device == gradient.device for each in others)


def squared_norm(x):
    """Compute what the function of this name in optimizer_hooks.py does."""
    xp = get_array_module(x)
    sums = xp.empty(norm_blocks(x.size), np.float32)
    gradient_squares(xp.ascontiguousarray(x), sums)
    return sums.sum()


def clip(gradient, others, threshold, tables):
    """Compute what the function of this name in optimizer_hooks.py does."""
    xp, gradients = get_array_module(gradient), [gradient, *others]
    norm, factor = xp.empty((2, 1), np.float32)
    work = None
    if all(each.flags.c_contiguous for each in gradients):
        work = tables.of([[each] for each in gradients], [True])
    if work is not None:
        gradient_norm_many(work, work.empty(), threshold, norm, factor)
        scale_gradient_many(work, factor)
        return norm[0]
    counts = [norm_blocks(each.size) for each in gradients]
    sums = xp.empty(sum(counts), np.float32)
    for each, count, end in zip(gradients, counts, itertools.accumulate(counts)):
        gradient_squares(xp.ascontiguousarray(each), sums[end - count:end])
    gradient_factor(sums, threshold, norm, factor)
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

"""Kernels of optimizers.cu: one step by the published formulas, in float64."""
import numpy as np

from minichain.gpu.optimizers import (
    adam,
    adam_rates,
    gradient_norm,
    momentum_sgd,
    norm_blocks,
    scale_gradient,
    sgd,
)
from tests.gpu.registry import reference

SIZES = [(133,), (1,), (4,), (2051,), (5000,)]


def one(value):
    return np.array([value], np.float32)


def weights(random, store, count):
    """Return launch arguments that all rules share, weights and scaled gradients in float64."""
    x, g = random.standard_normal((2, count)).astype(np.float32)
    copy = store(np.full(count, np.nan))
    arguments = {'x': x, 'g': g, 'factor': one(.25),
                 'copy': None if copy.dtype == np.float32 else copy}
    return arguments, x.astype(np.float64), g.astype(np.float64) / 4


def updated(arguments, x, **states):
    """Return what is expected: the weights, their copy if there is one, and states."""
    return {'x': x, **({} if arguments['copy'] is None else {'copy': x}), **states}


@reference('gradient_factor', gradient_norm, SIZES, registers=32, dtypes=('',))
@reference('gradient_squares', gradient_norm, SIZES, registers=48, dtypes=('',))
def norm(random, store, count):
    g = random.standard_normal(count).astype(np.float32) * 3
    total = np.sqrt(np.sum(g.astype(np.float64) ** 2))
    arguments = {'g': g, 'sums': np.full(norm_blocks(count), np.nan, np.float32),
                 'threshold': one(4), 'norm': one(np.nan), 'factor': one(np.nan)}
    return arguments, {'norm': [total], 'factor': [min(1, 4 / total)]}


@reference('scale_gradient', scale_gradient, SIZES, registers=48, dtypes=('',))
def scaled(random, store, count):
    g = random.standard_normal(count).astype(np.float32)
    return {'g': g, 'factor': one(.3)}, {'g': g * np.float64(np.float32(.3))}


@reference('adam_rates', adam_rates, [(0,), (1,), (999,), (10 ** 9,)], registers=64,
           dtypes=('',), tolerance={'float32': 2e-7})
def rates(random, store, step):
    settings = np.array([.5, 1.5, .125], np.float32)
    t = step + 1
    rate = .75 * np.sqrt(-np.expm1(t * np.log(.999))) / -np.expm1(t * np.log(.9))
    arguments = {'settings': settings, 'step': np.array([step]), 'rates': np.full(2, np.nan, 'f')}
    return arguments, {'rates': [rate, 1 - 1.5 * .125], 'step': [t]}


@reference('adam', adam, SIZES, registers=64)
def one_step_of_adam(random, store, count):
    arguments, x, g = weights(random, store, count)
    m = random.standard_normal(count).astype(np.float32) / 4
    v = random.uniform(0, .1, count).astype(np.float32)
    arguments |= {'m': m, 'v': v, 'rates': np.array([.125, .9375], np.float32),
                  'eps': .125}
    m, v = .9 * m.astype(np.float64) + .1 * g, .999 * v.astype(np.float64) + .001 * g ** 2
    return arguments, updated(arguments, .9375 * x - .125 * m / (np.sqrt(v) + .125), m=m, v=v)


@reference('sgd', sgd, SIZES, registers=48)
def one_step_of_descent(random, store, count):
    arguments, x, g = weights(random, store, count)
    return {**arguments, 'rate': one(.5)}, updated(arguments, x - .5 * g)


@reference('momentum_sgd', momentum_sgd, SIZES, registers=56)
def one_step_with_momentum(random, store, count):
    arguments, x, g = weights(random, store, count)
    v = random.standard_normal(count).astype(np.float32)
    after = .9 * v.astype(np.float64) - .5 * g
    return {**arguments, 'rate': one(.5), 'v': v}, updated(arguments, x + after, v=after)

"""Kernels of optimizers.cu: one step by the published formulas, in float64.

Of those for many arrays the arrays are pieces of flat ones, cut at a few places.
"""
import numpy as np

from minichain.gpu import optimizers as launches
from minichain.gpu.many_arrays import ArrayTables
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
    return {'x': x, 'g': g, 'factor': one(.25)}, x.astype(np.float64), g.astype(np.float64) / 4


@reference('gradient_factor', gradient_norm, SIZES, registers=32, dtypes=('',))
@reference('gradient_squares', gradient_norm, SIZES, registers=48, dtypes=('',))
def norm(random, store, count):
    g = random.standard_normal(count).astype(np.float32) * 3
    total = np.sqrt(np.sum(g.astype(np.float64) ** 2))
    arguments = {'g': g, 'sums': np.full(norm_blocks(count), np.nan, np.float32),
                 'threshold': 4., 'norm': one(np.nan), 'factor': one(np.nan)}
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


def moments(random, count):
    m = random.standard_normal(count).astype(np.float32) / 4
    return m, random.uniform(0, .1, count).astype(np.float32)


def after_adam(x, g, m, v, rate, kept):
    m, v = .9 * m.astype(np.float64) + .1 * g, .999 * v.astype(np.float64) + .001 * g ** 2
    return {'x': kept * x - rate * m / (np.sqrt(v) + .125), 'm': m, 'v': v}


@reference('adam', adam, SIZES, registers=64, dtypes=('float32',))
def one_step_of_adam(random, store, count):
    arguments, x, g = weights(random, store, count)
    m, v = moments(random, count)
    arguments |= {'m': m, 'v': v, 'rates': np.array([.125, .9375], np.float32), 'eps': .125}
    return arguments, after_adam(x, g, m, v, .125, .9375)


@reference('sgd', sgd, SIZES, registers=48, dtypes=('float32',))
def one_step_of_descent(random, store, count):
    arguments, x, g = weights(random, store, count)
    return {**arguments, 'rate': one(.5)}, {'x': x - .5 * g}


@reference('momentum_sgd', momentum_sgd, SIZES, registers=56, dtypes=('float32',))
def one_step_with_momentum(random, store, count):
    arguments, x, g = weights(random, store, count)
    v = random.standard_normal(count).astype(np.float32)
    after = .9 * v.astype(np.float64) - .5 * g
    return {**arguments, 'rate': one(.5), 'v': v}, {'x': x + after, 'v': after}


# ---------------------------------------------------------------------------- many arrays

# numbers in all, numbers in a part, ends of the arrays but the last: one without numbers, one
# that begins between two packs, several parts
MANY_SIZES = [(133, 16, 0, 5, 9), (1, 4, 1), (4099, 1024, 1, 2, 3, 4, 8, 40, 3000, 3000),
              (20000, 8192, 9000)]


def many(name, columns, written):
    """Return a launch function that cuts flat arrays, named in ``columns``, into tensors.

    Args:
        written: those that are written.
    """
    def launch(ends, part, **arguments):
        flat = [arguments.pop(column) for column in columns]
        rows = [[array[begin:end] for array in flat]
                for begin, end in zip([0, *ends], [*ends, len(flat[0])])]
        work = ArrayTables(part).of(rows, [column in written for column in columns])
        if 'sums' in arguments:
            arguments['sums'] = work.empty()
        getattr(launches, name)(work, **arguments)
    return launch


def cut(count, part, ends, random):
    """Return arguments, and a rate of each tensor as they are stored, for each number."""
    rates = random.uniform(.1, 1, len(ends) + 1).astype(np.float32)
    return {'ends': list(ends), 'part': part}, rates, np.repeat(
        rates.astype(np.float64), np.diff([0, *ends, count]))


@reference('gradient_squares_many', many('gradient_norm_many', 'g', ''), MANY_SIZES, registers=48,
           dtypes=('',))
def norm_of_many(random, store, count, part, *ends):
    arguments, expected = norm(random, store, count)
    return {**arguments, **cut(count, part, ends, random)[0]}, expected


@reference('scale_gradient_many', many('scale_gradient_many', 'g', 'g'), MANY_SIZES, registers=48,
           dtypes=('',))
def scaled_together(random, store, count, part, *ends):
    arguments, expected = scaled(random, store, count)
    return {**arguments, **cut(count, part, ends, random)[0]}, expected


@reference('decay_many', many('decay_many', 'gx', 'g'), MANY_SIZES, registers=48, dtypes=('',))
def decayed(random, store, count, part, *ends):
    x, g = random.standard_normal((2, count)).astype(np.float32)
    return ({'g': g, 'x': x, 'rate': .25, **cut(count, part, ends, random)[0]},
            {'g': g + .25 * x.astype(np.float64)})


@reference('adam_many', many('adam_many', 'xgmv', 'xmv'), MANY_SIZES, registers=64, dtypes=('',))
def adam_of_many(random, store, count, part, *ends):
    (_, x, g), (m, v) = weights(random, store, count), moments(random, count)
    tables, rates, each = cut(count, part, ends, random)
    numbers = np.stack([rates, 1 - rates / 8, 0 * rates + np.float32(.25)], axis=1).ravel()
    kept = np.repeat(numbers[1::3].astype(np.float64), np.diff([0, *ends, count]))
    arguments = {'x': x.astype(np.float32), 'g': (4 * g).astype(np.float32), 'm': m, 'v': v,
                 'numbers': numbers, 'eps': .125}
    return {**arguments, **tables}, after_adam(x, g, m, v, each, kept)


@reference('sgd_many', many('sgd_many', 'xg', 'x'), MANY_SIZES, registers=48, dtypes=('',))
def descent_of_many(random, store, count, part, *ends):
    _, x, g = weights(random, store, count)
    tables, rates, each = cut(count, part, ends, random)
    return ({'x': x.astype(np.float32), 'g': (4 * g).astype(np.float32), **tables,
             'numbers': np.stack([rates, 0 * rates + np.float32(.25)], axis=1).ravel()},
            {'x': x - each * g})


@reference('momentum_sgd_many', many('momentum_sgd_many', 'xgv', 'xv'), MANY_SIZES, registers=56,
           dtypes=('',))
def momentum_of_many(random, store, count, part, *ends):
    _, x, g = weights(random, store, count)
    v = random.standard_normal(count).astype(np.float32)
    tables, rates, each = cut(count, part, ends, random)
    after = .9 * v.astype(np.float64) - each * g
    return ({'x': x.astype(np.float32), 'g': (4 * g).astype(np.float32), 'v': v, **tables,
             'numbers': np.stack([rates, 0 * rates + np.float32(.25)], axis=1).ravel()},
            {'x': x + after, 'v': after})

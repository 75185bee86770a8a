"""Kernels of normalization.cu: statistics, and gradients by derivatives, in float64."""
import numpy as np

from minichain.gpu.normalization import (
    batch_norm_apply,
    batch_norm_backward,
    batch_norm_parameters,
    batch_norm_part_count,
    batch_norm_statistics,
    layer_norm_backward,
    layer_norm_forward,
    layer_norm_parameters,
)
from tests.gpu.registry import reference

ROWS = [(2, 37), (1, 1), (5, 6), (3, 300), (70, 41)]
# N, C, positions, channels last.
IMAGES = [(2, 3, 7, 0), (1, 1, 1, 0), (5, 37, 9, 1), (3, 4, 401, 0)]


def empty(*shape):
    return np.full(shape, np.nan, np.float32)


def rows_and_parameters(random, store, rows, columns):
    """Return x, gamma, beta, gy, and in float64: means, r, standardized rows."""
    x = store(random.standard_normal((rows, columns)) * 2 + 5)
    gamma, beta = store(random.standard_normal(columns)), store(random.standard_normal(columns))
    gy, wide = store(random.standard_normal(x.shape)), x.astype(np.float64)
    mean, r = wide.mean(axis=1), (wide.var(axis=1) + .125) ** -.5
    return x, gamma, beta, gy, mean, r, (wide - mean[:, None]) * r[:, None]


@reference('layer_norm_forward', layer_norm_forward, ROWS, registers=40,
           tolerance={'float32': 5e-6})
def layer_forward(random, store, rows, columns):
    x, gamma, beta, _, mean, r, z = rows_and_parameters(random, store, rows, columns)
    arguments = {'x': x, 'gamma': gamma, 'beta': beta, 'y': store(np.full(x.shape, np.nan)),
                 'means': empty(rows), 'rs': empty(rows), 'eps': .125}
    y = gamma.astype(np.float64) * z + beta.astype(np.float64)
    return arguments, {'y': y, 'means': mean, 'rs': r}


def statistics(mean, r):
    return {'means': mean.astype(np.float32), 'rs': r.astype(np.float32)}


@reference('layer_norm_backward', layer_norm_backward, ROWS, registers=40,
           tolerance={'float32': 5e-6})
def layer_backward(random, store, rows, columns):
    x, gamma, _, gy, mean, r, z = rows_and_parameters(random, store, rows, columns)
    g = gamma.astype(np.float64) * gy
    # Derivatives [row, column of z, column of x] of z, a matrix for each row.
    derivatives = r[:, None, None] * (
        np.eye(columns) - 1 / columns - z[:, :, None] * z[:, None, :] / columns)
    arguments = {'x': x, 'gamma': gamma, 'gy': gy, **statistics(mean, r),
                 'gx': store(np.full(x.shape, np.nan))}
    return arguments, {'gx': np.einsum('nzx,nz->nx', derivatives, g)}


@reference('layer_norm_parameters', layer_norm_parameters, ROWS, registers=40,
           tolerance={'float32': 5e-6})
def layer_parameters(random, store, rows, columns):
    x, _, _, gy, mean, r, z = rows_and_parameters(random, store, rows, columns)
    arguments = {'x': x, 'gy': gy, **statistics(mean, r), 'ggamma': empty(columns),
                 'gbeta': empty(columns)}
    wide = gy.astype(np.float64)
    return arguments, {'ggamma': (wide * z).sum(axis=0), 'gbeta': wide.sum(axis=0)}


def image(random, store, N, C, positions, last):
    """Return images and their transpose of shape (C, everything else), in float64."""
    x = store(random.standard_normal((N, positions, C) if last else (N, C, positions)) * 2 + 3)
    axes = (2, 0, 1) if last else (1, 0, 2)
    return x, x.astype(np.float64).transpose(axes).reshape(C, -1)


@reference('batch_norm_apply', batch_norm_apply, IMAGES, registers=40, tolerance={'float32': 5e-6})
def apply(random, store, N, C, positions, last):
    x, _ = image(random, store, N, C, positions, last)
    gamma, beta, mean = random.standard_normal((3, C)).astype(np.float32)
    var = random.uniform(.5, 2, C).astype(np.float32)
    arguments = {'x': x, 'gamma': gamma, 'beta': beta, 'mean': mean, 'var': var, 'eps': .125,
                 'y': store(np.full(x.shape, np.nan)), 'channels_last': bool(last)}
    to_image = slice(None) if last else (..., None)
    gamma, beta, mean, var = (array.astype(np.float64)[to_image]
                              for array in (gamma, beta, mean, var))
    return arguments, {'y': gamma * (x.astype(np.float64) - mean) / np.sqrt(var + .125) + beta}


@reference('batch_norm_statistics', batch_norm_statistics, [*IMAGES, (2, 1, 20000, 0)],
           registers=48, dtypes=('',))
@reference('batch_norm_parts', batch_norm_statistics, [*IMAGES, (2, 1, 20000, 0)], registers=72)
def means_and_variances(random, store, N, C, positions, last):
    x, channels = image(random, store, N, C, positions, last)
    arguments = {'x': x, 'channels_last': bool(last), 'mean': empty(C), 'var': empty(C),
                 'parts': empty(2, C, batch_norm_part_count(x, bool(last)))}
    return arguments, {'mean': channels.mean(axis=1), 'var': channels.var(axis=1)}


def channels_and_gradients(random, store, N, C, positions, last):
    """Return arguments that both kernels of the way back take; in float64, (C, ...): z, r, gy."""
    x, wide = image(random, store, N, C, positions, last)
    gy, g = image(random, store, N, C, positions, last)
    mean, var = wide.mean(axis=1).astype(np.float32), wide.var(axis=1).astype(np.float32)
    arguments = {'x': x, 'gy': gy, 'mean': mean, 'var': var, 'eps': .125,
                 'channels_last': bool(last)}
    mean, r = mean.astype(np.float64), (var.astype(np.float64) + .125) ** -.5
    return arguments, (wide - mean[:, None]) * r[:, None], r, g


@reference('batch_norm_parameters', batch_norm_parameters, [*IMAGES, (2, 1, 6000, 0)],
           registers=64, dtypes=('',), tolerance={'float32': 1e-5})
@reference('batch_norm_gradient_parts', batch_norm_parameters, [*IMAGES, (2, 1, 6000, 0)],
           registers=72, tolerance={'float32': 1e-5})
def gradients_of_parameters(random, store, N, C, positions, last):
    arguments, z, _, g = channels_and_gradients(random, store, N, C, positions, last)
    arguments |= {'parts': empty(2, C, batch_norm_part_count(arguments['x'], bool(last))),
                  'ggamma': empty(C), 'gbeta': empty(C)}
    return arguments, {'ggamma': (g * z).sum(axis=1), 'gbeta': g.sum(axis=1)}


@reference('batch_norm_backward', batch_norm_backward, [*IMAGES, (20, 3, 9, 0)], registers=48,
           tolerance={'float32': 5e-6})
def gradient_through_statistics(random, store, N, C, positions, last):
    arguments, z, r, g = channels_and_gradients(random, store, N, C, positions, last)
    gamma, count = random.standard_normal(C).astype(np.float32), N * positions
    # Derivatives [channel, number of z, number of x] of z, a matrix for each channel.
    derivatives = r[:, None, None] * (
        np.eye(count) - 1 / count - z[:, :, None] * z[:, None, :] / count)
    gx = np.einsum('czx,cz->cx', derivatives, gamma.astype(np.float64)[:, None] * g)
    gx = gx.reshape(C, N, positions).transpose((1, 2, 0) if last else (1, 0, 2))
    arguments |= {'gamma': gamma, 'ggamma': (g * z).sum(axis=1).astype(np.float32),
                  'gbeta': g.sum(axis=1).astype(np.float32),
                  'gx': store(np.full(gx.shape, np.nan))}
    return arguments, {'gx': gx}

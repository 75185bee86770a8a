"""Kernels of lstm.cu: the formulas of Gers et al., and their derivatives, in float64."""
import numpy as np

from minichain.gpu.lstm import lstm_backward, lstm_forward
from tests.gpu.registry import reference

SIZES = [(2, 5), (1, 1), (3, 257), (33, 70)]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def blocks(gates):
    return np.split(gates.astype(np.float64), 4, axis=1)


@reference('lstm_forward', lstm_forward, SIZES, registers=48)
def forward(random, store, rows, width):
    gates = store(random.standard_normal((rows, 4 * width)) * 3)
    c_previous = random.standard_normal((rows, width)).astype(np.float32)
    i, f, o, a = blocks(gates)
    i, f, o, a = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(a)
    c = c_previous * f + i * a
    arguments = {'gates': gates, 'c_previous': c_previous, 'c': np.full_like(c_previous, np.nan),
                 'h': store(np.full((rows, width), np.nan))}
    return arguments, {'gates': np.concatenate((i, f, o, a), axis=1), 'c': c, 'h': o * np.tanh(c)}


@reference('lstm_backward', lstm_backward, SIZES, registers=48)
def backward(random, store, rows, width):
    shape = rows, width
    gates = store(np.concatenate((random.uniform(0, 1, (rows, 3 * width)),
                                  random.uniform(-1, 1, shape)), axis=1))
    c_previous, gc = random.standard_normal((2, *shape)).astype(np.float32)
    c, gh = random.standard_normal(shape).astype(np.float32), store(random.standard_normal(shape))
    i, f, o, a = blocks(gates)
    from_h, tanh_c = gh.astype(np.float64), np.tanh(c.astype(np.float64))
    from_c = gc + from_h * o / np.cosh(c.astype(np.float64)) ** 2
    expected = np.concatenate((from_c * a * i * (1 - i), from_c * c_previous * f * (1 - f),
                               from_h * tanh_c * o * (1 - o), from_c * i * (1 - a ** 2)), axis=1)
    arguments = {'gates': gates, 'c_previous': c_previous, 'c': c, 'gh': gh, 'gc': gc,
                 'ggates': store(np.full(gates.shape, np.nan))}
    return arguments, {'ggates': expected, 'gc': from_c * f}

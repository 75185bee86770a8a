"""Kernels of dropout.cu: Philox 4x32-10 with integers of Python's own, as it is published."""
import numpy as np

from minichain.gpu.dropout import dropout, dropout_next_step
from tests.gpu.registry import reference

STATE = np.array([0x123456789abcdef0, 7], np.uint64)


def philox(counter, key):
    """Return four words for a counter of four and a key of two."""
    a, b, c, d = counter
    k, m = key
    for _ in range(10):
        first, second = 0xd2511f53 * a, 0xcd9e8d57 * c
        a, b, c, d = ((second >> 32) ^ b ^ k, second & 0xffffffff,
                      (first >> 32) ^ d ^ m, first & 0xffffffff)
        k, m = (k + 0x9e3779b9) & 0xffffffff, (m + 0xbb67ae85) & 0xffffffff
    return a, b, c, d


def words(count, place, state):
    seed, step = map(int, state)
    return np.array([philox((four & 0xffffffff, four >> 32, place, step),
                            (seed & 0xffffffff, seed >> 32))
                     for four in range(-(-count // 4))], np.uint64).ravel()[:count]


@reference('dropout', dropout, [(150, 0), (1, 1), (7, 2), (3001, 3)], registers=48)
def zeros_and_scaled(random, store, count, place):
    x = store(random.standard_normal(count) + 3)
    kept = words(count, place, STATE) >= round(.375 * 2 ** 32)
    arguments = {'x': x, 'y': store(np.full(count, np.nan)), 'state': STATE.copy(),
                 'place': place, 'ratio': .375}
    return arguments, {'y': np.where(kept, x.astype(np.float64) / .625, 0)}


@reference('dropout_next_step', dropout_next_step, [(5,)], registers=16, dtypes=('',))
def counted(random, store, step):
    return {'state': np.array([3, step], np.uint64)}, {'state': [3, step + 1]}

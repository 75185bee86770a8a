"""Kernels of top_k.cu: rows sorted in full, in float64."""
import numpy as np

from minichain.gpu.top_k import beam_merge, log_softmax_top_k, top_k
from tests.gpu.registry import reference

# Rows, columns, k: less than a warp, all of a row, more than one column a thread.
SIZES = [(2, 70, 3), (1, 1, 1), (3, 5, 5), (4, 31, 31), (3, 1201, 5)]


def sorted_in_full(x, k):
    """Return the first k of each row of x, and their ids; of equal ones the first come first."""
    order = np.argsort(-x, axis=1, kind='stable')[:, :k]
    return np.take_along_axis(x, order, axis=1), order


def room(*shape):
    return np.full(shape, np.nan, np.float32), np.full(shape, -7, np.int32)


@reference('top_k', top_k, SIZES, registers=40, tolerance={'float32': 0})
def largest(random, store, rows, columns, k):
    x = store(random.standard_normal((rows, columns)))
    x[0, ::2] = x[0, 0]   # equal ones too
    values, ids = room(rows, k)
    expected_values, expected_ids = sorted_in_full(x.astype(np.float64), k)
    return {'x': x, 'values': values, 'ids': ids}, {'ids': expected_ids, 'values': expected_values}


@reference('log_softmax_top_k', log_softmax_top_k, SIZES, registers=48)
def most_probable(random, store, rows, columns, k):
    x = store(random.standard_normal((rows, columns)) * 4)
    totals = -random.uniform(0, 9, rows).astype(np.float32)
    values, ids = room(rows, k)
    scores = x.astype(np.float64)
    log_p = scores - np.log(np.sum(np.exp(scores), axis=1, keepdims=True))
    _, order = sorted_in_full(scores, k)
    return ({'x': x, 'totals': totals, 'values': values, 'ids': ids},
            {'ids': order, 'values': totals[:, None] + np.take_along_axis(log_p, order, axis=1)})


@reference('beam_merge', beam_merge, [(2, 3, 3), (1, 1, 1), (2, 5, 5), (3, 31, 17)], registers=40,
           dtypes=('',), tolerance={'float32': 0})
def best_of_all_beginnings(random, store, images, beam, k):
    values = random.standard_normal((images, beam, k)).astype(np.float32)
    words = random.integers(0, 1000, values.shape).astype(np.int32)
    new_totals, parents = room(images, beam)
    best, order = sorted_in_full(values.reshape(images, -1).astype(np.float64), beam)
    arguments = {'values': values, 'ids': words, 'parents': parents, 'words': parents.copy(),
                 'totals': new_totals}
    return arguments, {'totals': best, 'parents': order // k, 'words': np.take_along_axis(
        words.reshape(images, -1), order, axis=1)}

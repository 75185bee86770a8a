"""Kernels of embedding.cu: rows added up one after another, in float64."""
import numpy as np

from minichain.gpu.embedding import embedding_gradient, embedding_gradient_sorted
from minichain.gpu.error_flag import new_error_flag
from tests.gpu.registry import reference

SIZES = [(4, 5, 2), (1, 1, 1), (40, 33, 7), (25, 300, 9)]


def rows_to_add(random, store, rows, columns, table_rows):
    gy = store(random.standard_normal((rows, columns)))
    ids = random.integers(0, table_rows, rows).astype(np.int32)
    gW = random.standard_normal((table_rows, columns)).astype(np.float32)
    expected = gW.astype(np.float64)
    ids[2::5] = -1
    for id, row in zip(ids, gy.astype(np.float64)):
        if id >= 0:
            expected[id] += row
    arguments = {'gy': gy, 'ids': ids, 'gW': gW, 'error': new_error_flag(), 'ignore_label': -1}
    return arguments, {'gW': expected, 'error': [0]}


reference('embedding_gradient_atomic', embedding_gradient, SIZES, registers=32)(rows_to_add)


@reference('embedding_gradient_sorted', embedding_gradient_sorted, SIZES, registers=32)
def sorted_rows_to_add(random, store, rows, columns, table_rows):
    arguments, expected = rows_to_add(random, store, rows, columns, table_rows)
    arguments['order'] = np.argsort(arguments['ids'], kind='stable').astype(np.int32)
    return arguments, expected

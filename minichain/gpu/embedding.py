"""The gradient of picking rows of a table: see ``kernels/embedding.cu``."""
from minichain.gpu.launcher import kernel, storage

MOST_BLOCKS = 65536
NO_LABEL = -2 ** 31   # an id that nobody uses


def launch(name, gy, *arrays, table_rows, ignore_label):
    rows, columns = gy.shape
    ignored = NO_LABEL if ignore_label is None else ignore_label
    block = min(256, -(-columns // 32) * 32)
    kernel(f'{name}_{storage(gy)}')(gy, *arrays, rows, columns, table_rows, ignored,
                                    grid=min(rows, MOST_BLOCKS), block=max(32, block))


def embedding_gradient(gy, ids, gW, error, ignore_label=None):
    """Add row i of ``gy`` to row ids[i] of ``gW``, in any order: last bits differ between runs.

    Args:
        gy: (N, E), float32 or bfloat16.
        ids: from 0 to V - 1, (N,), int32.
        gW: (V, E), float32, added to.
        error: flag of :func:`~minichain.gpu.error_flag.new_error_flag`; an id for which there is
            no row is skipped.
        ignore_label: the id that is skipped without that; None: there is none.
    """
    launch('embedding_gradient_atomic', gy, ids, gW, error, table_rows=len(gW),
           ignore_label=ignore_label)


def embedding_gradient_sorted(gy, ids, order, gW, error, ignore_label=None):
    """Add row i of ``gy`` to row ids[i] of ``gW``, in the order of i: the same bits every time.

    Args:
        order: a stable argsort of ``ids``, (N,), int32.
        gy, ids, gW, error, ignore_label: as of :func:`embedding_gradient`.
    """
    launch('embedding_gradient_sorted', gy, ids, order, gW, error, table_rows=len(gW),
           ignore_label=ignore_label)

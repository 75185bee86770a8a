"""The gradient of picking rows of a table: see ``kernels/embedding.cu``."""
import numpy as np

from minichain.backend import get_array_module
from minichain.configuration import config
from minichain.gpu.error_flag import new_error_flag
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


def as_int32(ids):
    """Return ids as int32; those that do not fit stay out of range."""
    if np.can_cast(ids.dtype, np.int32):
        return ids.astype(np.int32, copy=False)
    limits = np.iinfo(np.int32)   # of uint32 and the like the lower one does not exist
    ids = ids if ids.dtype.kind == 'u' else get_array_module(ids).maximum(ids, limits.min)
    return get_array_module(ids).minimum(ids, limits.max).astype(np.int32)


def pick_rows(W, ids, ignore_label):
    """Return rows of a table; of an id for which there is none NaN, or 0 for ``ignore_label``.

    To raise, the host would have to wait for the device.
    """
    xp = get_array_module(W)
    exists = (ids >= 0) & (ids < len(W))
    other = W.dtype.type(np.nan)
    if ignore_label is not None:
        kept = ids != ignore_label
        other = xp.where(kept, other, W.dtype.type(0))[..., None]
        exists &= kept
    return xp.where(exists[..., None], W[xp.where(exists, ids, 0)], other)


def table_gradient(gy, ids, rows, ignore_label):
    """Add up rows of ``gy`` (N, E) by ids (N,) in a table (rows, E) of zeros.

    Under ``config.deterministic`` the same bits come out every time.
    """
    xp = get_array_module(gy)
    gW = xp.zeros((rows, gy.shape[1]), np.float32)
    gy, ids, error = xp.ascontiguousarray(gy), as_int32(ids), new_error_flag(xp)
    if config.deterministic:
        order = xp.argsort(ids, kind='stable').astype(np.int32)
        embedding_gradient_sorted(gy, ids, order, gW, error, ignore_label)
    else:
        embedding_gradient(gy, ids, gW, error, ignore_label)
    return gW

"""Rows of a table, picked by integer ids."""
import numpy as np

from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module
from minichain.errors import OutOfRange
from minichain.gpu import embedding
from minichain.gpu.dispatch import fused
from minichain.type_check import expect_integer, expect_ndim


class EmbedID(Primitive):
    def __init__(self, ids, ignore_label):
        self.ids, self.ignore_label = ids, ignore_label

    def check_type_forward(self, in_types):
        expect_ndim('embed_id', 2, W=in_types[0])
        expect_integer('embed_id', x=self.ids)
        if pick_rows.fuses(in_types[0]):
            return
        ids = self.ids if self.ignore_label is None else self.ids[self.ids != self.ignore_label]
        if ids.size and not (0 <= int(ids.min()) and int(ids.max()) < in_types[0].shape[0]):
            raise OutOfRange(f'embed_id: ids from 0 to {in_types[0].shape[0] - 1} expected, as W '
                             f'has rows, got {int(ids.min())} to {int(ids.max())}')

    def forward(self, arrays):
        return pick_rows(arrays[0], self.ids, self.ignore_label),

    def backward(self, indexes, grads):
        node, = self.inputs
        return EmbedIDGrad(self.ids, self.ignore_label, node.shape, node.dtype).apply(grads)


class EmbedIDGrad(Primitive):
    """The adjoint of picking rows: add each row of ``gy`` to the row of its id."""

    def __init__(self, ids, ignore_label, shape, dtype):
        self.ids, self.ignore_label = ids, ignore_label
        self.shape, self.dtype = shape, dtype

    def forward(self, arrays):
        gy = arrays[0].reshape(-1, self.shape[1])
        gW = table_gradient(gy, self.ids.reshape(-1), self.shape[0], self.ignore_label)
        return gW.astype(self.dtype, copy=False),

    def backward(self, indexes, grads):
        return EmbedID(self.ids, self.ignore_label).apply(grads)


@fused(embedding.pick_rows)
def pick_rows(W, ids, ignore_label):
    """Return the rows of ids; zeros for ``ignore_label``."""
    if ignore_label is None:
        return W[ids]
    xp = get_array_module(W)
    kept = ids != ignore_label
    return xp.where(kept[..., None], W[xp.where(kept, ids, 0)], W.dtype.type(0))


@fused(embedding.table_gradient)
def table_gradient(gy, ids, rows, ignore_label):
    """Add up rows of ``gy`` (N, E) by ids (N,) in a table (rows, E) of zeros."""
    xp = get_array_module(gy)
    if ignore_label is not None:
        kept = ids != ignore_label
        ids, gy = ids[kept], gy[kept]
    gW = xp.zeros((rows, gy.shape[1]), gy.dtype)
    if xp is np and gy.size:
        add_sorted(gW, ids, gy)
    else:
        xp.add.at(gW, ids, gy)
    return gW


def add_sorted(gW, ids, gy):
    """Add row i of ``gy`` to row ids[i] of ``gW``, zeros so far: what np.add.at does, faster.

    Rows of the same id are brought together, and each group is added up in one pass.
    """
    order = np.argsort(ids, kind='stable')
    ids = ids[order]
    first = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1])))
    gW[ids[first]] = np.add.reduceat(gy[order], first, axis=0)


def embed_id(x, W, ignore_label=None):
    """Pick a row of ``W`` for every id.

    Args:
        x: ids, integers of any shape, on the device of ``W``.
        W: table, (V, E), float.
        ignore_label: the id whose result is zeros and that gets no gradient; None: there is none.
    Returns:
        x.shape + (E,).
    Raises:
        InvalidType: ids are no integers. OutOfRange: there is no row for one. (Where kernels run,
            the host does not wait for the GPU: such rows are NaN.)
    """
    return EmbedID(as_array(x), ignore_label).apply((W,))[0]

"""Picking along an axis: one element a row (select_item), or all in another order (permutate)."""
import numpy as np

from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module, get_device_from_array
from minichain.errors import InvalidType
from minichain.functions._axis import expect_axis
from minichain.functions.get_item import get_item
from minichain.type_check import expect_integer, expect_ndim, expect_shape


class Permutate(Primitive):
    """y[i] = x[indices[i]] along an axis; ``inverse`` is the order that undoes it, if known."""

    label = 'permutate'

    def __init__(self, indices, axis, inverse=None):
        self.indices, self.axis, self.inverse = indices, axis, inverse

    def forward(self, arrays):
        return arrays[0].take(self.indices, self.axis),

    def backward(self, indexes, grads):
        inverse = self.inverse
        if inverse is None:
            inverse = get_array_module(self.indices).argsort(self.indices)
        return Permutate(inverse, self.axis, self.indices).apply(grads)


def permutate(x, indices, axis=0, inv=False):
    """Put the slices along ``axis`` in another order:  y[i] = x[indices[i]].

    Args:
        x: any shape.
        indices: integers, (x.shape[axis],), each of 0 ... length - 1 once.
        axis: along which to permute.
        inv: undo the permutation instead:  y[indices[i]] = x[i].
    Raises:
        InvalidType: ``indices`` is no permutation (seen if it is a NumPy array; a GPU would have
            to wait), or there is no such axis.
    """
    axis, indices = expect_axis('permutate', axis, x.ndim), as_array(indices)
    expect_integer('permutate', indices=indices)
    expect_shape('permutate', (x.shape[axis],), indices=indices)
    if isinstance(indices, np.ndarray) and not np.array_equal(np.sort(indices),
                                                              np.arange(len(indices))):
        raise InvalidType(f'permutate: each of 0 ... {len(indices) - 1} once expected as indices, '
                          f'got {indices}')
    indices = get_device_from_array(x).send(indices)
    if inv:
        indices = get_array_module(indices).argsort(indices)
    return Permutate(indices, axis).apply((x,))[0]


def select_item(x, t):
    """One element of each row:  y[i] = x[i, t[i]].

    Args:
        x: (N, C).
        t: integers, (N,).
    Raises:
        InvalidType: the shapes do not fit, or an index is outside.
    """
    t = as_array(t)
    expect_ndim('select_item', 2, x=x)
    expect_integer('select_item', t=t)
    expect_shape('select_item', (x.shape[0],), t=t)
    return get_item(x, (np.arange(x.shape[0]), t))

"""``x[index]`` and its adjoint, adding into zeros at ``index``."""
import numpy as np

from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module, get_device_from_array, is_array
from minichain.errors import OutOfRange


class GetItem(Primitive):
    def __init__(self, index):
        self.index = index

    def check_type_forward(self, in_types):
        used = sum(i is not None and i is not Ellipsis for i in self.index)
        if used > in_types[0].ndim and not any(is_array(i) for i in self.index):
            raise OutOfRange(f'get_item: at most {in_types[0].ndim} indexes expected for shape '
                             f'{in_types[0].shape}, got {self.index}')

    def forward(self, arrays):
        try:
            return arrays[0][self.index],
        except IndexError as error:
            raise OutOfRange(f'get_item: an index within shape {arrays[0].shape} expected, got '
                             f'{self.index}: {error}') from None

    def backward(self, indexes, grads):
        node, = self.inputs
        return GetItemGrad(self.index, node.shape, node.dtype).apply(grads)


class GetItemGrad(Primitive):
    def __init__(self, index, shape, dtype):
        self.index, self.shape, self.dtype = index, shape, dtype

    def forward(self, arrays):
        gy, = arrays
        xp = get_array_module(gy)
        gx = xp.zeros(self.shape, self.dtype)
        if any(is_array(i) or isinstance(i, list) for i in self.index):
            xp.add.at(gx, self.index, gy)   # an element may be picked more than once
        else:
            gx[self.index] = gy
        return gx,

    def backward(self, indexes, grads):
        return get_item(grads[0], self.index),


def as_index(x, slices):
    """Return ``slices`` as a tuple that indexes the array of ``x``, its arrays on x's device."""
    index = slices if isinstance(slices, tuple) else (slices,)
    index = tuple(np.asarray(i) if isinstance(i, list) else as_array(i) for i in index)
    if any(is_array(i) for i in index):
        device = get_device_from_array(x)
        index = tuple(device.send(i) if is_array(i) else i for i in index)
    return index


def get_item(x, slices):
    """Pick elements as NumPy does: ints, slices, None, Ellipsis, and integer or boolean arrays.

    Args:
        x: Variable or array, any shape.
        slices: one index or a tuple of them. Arrays may be on another device than ``x``.
    Raises:
        OutOfRange: an index outside of ``x``, or more indexes than axes.
    """
    return GetItem(as_index(x, slices)).apply((x,))[0]

"""Adding at indexes: the counterpart of ``x[index]`` that leaves its operand alone."""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidType
from minichain.functions.get_item import as_index, get_item
from minichain.type_check import expect_same_dtype


class ScatterAdd(Primitive):
    label = 'scatter_add'

    def __init__(self, index):
        self.index = index

    def check_type_forward(self, in_types):
        a, b = in_types
        expect_same_dtype('scatter_add', a=a, b=b)
        try:
            shape = a[self.index].shape
        except IndexError as error:
            raise InvalidType(f'scatter_add: an index within shape {a.shape} expected, got '
                              f'{self.index}: {error}') from None
        if shape != b.shape:
            raise InvalidType(f'scatter_add: b of shape {shape}, that of a[slices], expected, got '
                              f'{b.shape}')

    def forward(self, arrays):
        a, b = arrays
        y = a.copy()
        get_array_module(y).add.at(y, self.index, b)
        return y,

    def backward(self, indexes, grads):
        gy, = grads
        return gy, get_item(gy, self.index) if 1 in indexes else None


def scatter_add(a, slices, b):
    """A copy of ``a`` with ``b`` added at ``slices``, as often as an element is picked.

    Args:
        a: any shape.
        slices: index as of :func:`get_item`.
        b: of the shape of ``a[slices]``, same dtype.
    Raises:
        InvalidType: an index is outside of ``a``, or ``b`` does not fit.
    """
    return ScatterAdd(as_index(a, slices)).apply((a, b))[0]

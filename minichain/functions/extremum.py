"""Largest and smallest elements over axes, and where they are."""
from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module
from minichain.errors import InvalidType
from minichain.functions._axis import expect_axes, expect_axis, kept_shape, spread
from minichain.type_check import expect_float


class Extremum(Primitive):
    """max or min; the gradient goes to every element that equals the result."""

    label = property(lambda self: self.method)

    def __init__(self, method, axes, keepdims):
        self.method, self.axes, self.keepdims = method, axes, keepdims

    def check_type_forward(self, in_types):
        x, = in_types
        expect_float(self.method, x=x)
        if any(x.shape[axis] == 0 for axis in self.axes):
            raise InvalidType(f'{self.method}: at least one element along axes {self.axes} '
                              f'expected, got shape {x.shape}')

    def forward(self, arrays):
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        return getattr(arrays[0], self.method)(axis=self.axes, keepdims=self.keepdims),

    def backward(self, indexes, grads):
        x, = (as_array(a) for a in self.get_retained_inputs())
        y, = (as_array(a) for a in self.get_retained_outputs())
        chosen = x == y.reshape(kept_shape(x.shape, self.axes))
        return spread(grads[0], x.shape, self.axes) * chosen,


def max(x, axis=None, keepdims=False):
    """Largest element over ``axis``; of several equal ones each gets the gradient.

    Args:
        x: float, any shape.
        axis: int or tuple of ints; None means all.
        keepdims: keep the reduced axes with length 1.
    Raises:
        InvalidType: an axis does not exist, is given twice or is empty.
    """
    return Extremum('max', expect_axes('max', axis, x.ndim), keepdims).apply((x,))[0]


def min(x, axis=None, keepdims=False):
    """Smallest element over ``axis``; of several equal ones each gets the gradient.

    Args:
        x: float, any shape.
        axis: int or tuple of ints; None means all.
        keepdims: keep the reduced axes with length 1.
    Raises:
        InvalidType: an axis does not exist, is given twice or is empty.
    """
    return Extremum('min', expect_axes('min', axis, x.ndim), keepdims).apply((x,))[0]


class IndexOfExtremum(Primitive):
    """Where the first extremum is; `method` is argmax or argmin."""

    def __init__(self, method, axis):
        self.method, self.axis = method, axis

    def forward(self, arrays):
        x, = arrays
        index = getattr(x, self.method)(axis=self.axis)
        return get_array_module(x).asarray(index).astype('int32'),


def argmax(x, axis=None):
    """Index of the first largest element along ``axis``, int32, a constant.

    Args:
        x: any shape.
        axis: int; None means the index into the flattened array.
    Raises:
        InvalidType: the axis does not exist or is empty.
    """
    return _index_of('argmax', x, axis)


def argmin(x, axis=None):
    """Index of the first smallest element along ``axis``, int32, a constant.

    Args:
        x: any shape.
        axis: int; None means the index into the flattened array.
    Raises:
        InvalidType: the axis does not exist or is empty.
    """
    return _index_of('argmin', x, axis)


def _index_of(method, x, axis):
    x = as_array(x)
    axis = axis if axis is None else expect_axis(method, axis, x.ndim)
    if (x.size if axis is None else x.shape[axis]) == 0:
        raise InvalidType(f'{method}: at least one element along axis {axis} expected, got shape '
                          f'{x.shape}')
    return IndexOfExtremum(method, axis).apply((x,))[0]

"""Mean over axes, weighted or not; mean and average are one function under two names."""
from minichain.autograd import Primitive, Variable, as_variable
from minichain.errors import InvalidType
from minichain.functions._axis import expect_axes, kept_shape, spread, sum_dtype
from minichain.functions.broadcast import broadcast_to
from minichain.functions.reshape import reshape
from minichain.functions.sum import sum
from minichain.type_check import expect_float


class Mean(Primitive):
    label = 'average'

    def __init__(self, axes, keepdims):
        self.axes, self.keepdims = axes, keepdims

    def check_type_forward(self, in_types):
        x, = in_types
        expect_float('average', x=x)
        if any(x.shape[axis] == 0 for axis in self.axes):
            raise InvalidType(f'average: at least one element along axes {self.axes} expected, '
                              f'got shape {x.shape}')

    def forward(self, arrays):
        x, = arrays
        y = x.mean(axis=self.axes, dtype=sum_dtype(x.dtype), keepdims=self.keepdims)
        return y.astype(x.dtype, copy=False),

    def backward(self, indexes, grads):
        shape, count = self.inputs[0].shape, 1
        for axis in self.axes:
            count *= shape[axis]
        return spread(grads[0] * (1 / count), shape, self.axes),


def average(x, axis=None, weights=None, keepdims=False):
    """Mean over ``axis``; with weights  sum(w x) / sum(w).

    Args:
        x: float, any shape.
        axis: int or tuple of ints; None means all.
        weights: float, (x.shape[axis],) with one axis, x.shape if ``axis`` is None; same dtype.
            None means equal weights.
        keepdims: keep the averaged axes with length 1.
    Raises:
        InvalidType: an axis does not exist, is given twice or is empty; the weights do not fit.
    """
    axes = expect_axes('average', axis, x.ndim)
    if weights is None:
        return Mean(axes, keepdims).apply((x,))[0]
    x, weights = as_variable(x), as_variable(weights)
    wanted = x.shape if axis is None else tuple(x.shape[i] for i in axes)
    if len(axes) > 1 and axis is not None or weights.shape != wanted:
        raise InvalidType(f'average: weights of the shape of x, or along one axis, expected; got '
                          f'{weights.shape} for axis {axis} of {x.shape}')
    total = sum(weights)
    weights = broadcast_to(reshape(weights, tuple(
        n if i in axes else 1 for i, n in enumerate(x.shape))), x.shape)
    y = sum(x * weights, axes) / total
    return reshape(y, kept_shape(x.shape, axes)) if keepdims else y


mean = average
Variable.mean = average

"""softmax, log_softmax and logsumexp: stable for numbers of any size, along any axis."""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidType
from minichain.functions._axis import expect_axes, expect_axis, spread, sum_dtype
from minichain.functions.exponential import exp
from minichain.functions.sum import sum
from minichain.type_check import expect_float


class AlongAxis(Primitive):
    """One float array, normalized along one axis; float16 is computed in float32."""

    def __init__(self, axis):
        self.axis = axis

    def check_type_forward(self, in_types):
        expect_float(self.label, x=in_types[0])

    def sum(self, x):
        return sum(x, self.axis, keepdims=True)


class Softmax(AlongAxis):
    label = 'softmax'

    def forward(self, arrays):
        self.retain_outputs((0,))
        x, = arrays
        xp = get_array_module(x)
        y = _minus_max(xp, x, self.axis)
        xp.exp(y, out=y)
        y /= y.sum(axis=self.axis, keepdims=True)
        return y.astype(x.dtype, copy=False),

    def backward(self, indexes, grads):
        y, = self.get_retained_outputs()
        gy = grads[0] * y
        return gy - y * self.sum(gy),


class LogSoftmax(AlongAxis):
    label = 'log_softmax'

    def forward(self, arrays):
        self.retain_outputs((0,))
        x, = arrays
        xp = get_array_module(x)
        y = _minus_max(xp, x, self.axis)
        y -= xp.log(xp.exp(y).sum(axis=self.axis, keepdims=True))
        return y.astype(x.dtype, copy=False),

    def backward(self, indexes, grads):
        y, = self.get_retained_outputs()
        gy, = grads
        return gy - exp(y) * self.sum(gy),


class LogSumExp(Primitive):
    label = 'logsumexp'

    def __init__(self, axes):
        self.axes = axes

    def check_type_forward(self, in_types):
        x, = in_types
        expect_float('logsumexp', x=x)
        if any(x.shape[axis] == 0 for axis in self.axes):
            raise InvalidType(f'logsumexp: at least one element along axes {self.axes} expected, '
                              f'got shape {x.shape}')

    def forward(self, arrays):
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        x, = arrays
        xp = get_array_module(x)
        largest = x.max(axis=self.axes, keepdims=True)
        y = xp.exp(xp.subtract(x, largest, dtype=sum_dtype(x.dtype))).sum(axis=self.axes)
        return (xp.log(y) + largest.reshape(y.shape)).astype(x.dtype, copy=False),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        y, = self.get_retained_outputs()
        return spread(grads[0], x.shape, self.axes) * exp(x - spread(y, x.shape, self.axes)),


def _minus_max(xp, x, axis):
    """Return ``x`` minus its maximum: all numbers at most 0, so that exp cannot overflow."""
    if x.size == 0:
        return x.astype(sum_dtype(x.dtype))
    return xp.subtract(x, x.max(axis=axis, keepdims=True), dtype=sum_dtype(x.dtype))


def softmax(x, axis=1):
    """exp(x) / sum exp(x), the sum along ``axis``.

    Args:
        x: float, with at least ``axis`` + 1 axes.
        axis: along which the results sum to 1.
    Raises:
        InvalidType: ``x`` has no such axis.
    """
    return Softmax(expect_axis('softmax', axis, x.ndim)).apply((x,))[0]


def log_softmax(x, axis=1):
    """log softmax(x) = x - log sum exp(x), more exact than the logarithm of the softmax.

    Args:
        x: float, with at least ``axis`` + 1 axes.
        axis: along which the exponentials of the results sum to 1.
    Raises:
        InvalidType: ``x`` has no such axis.
    """
    return LogSoftmax(expect_axis('log_softmax', axis, x.ndim)).apply((x,))[0]


def logsumexp(x, axis=None):
    """log sum exp(x), the sum over ``axis``.

    Args:
        x: float, any shape, not empty along ``axis``.
        axis: int or tuple of ints; None means all.
    Raises:
        InvalidType: an axis does not exist or is given twice.
    """
    return LogSumExp(expect_axes('logsumexp', axis, x.ndim)).apply((x,))[0]

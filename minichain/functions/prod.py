"""Products over axes and running sums and products; all correct where factors are zero."""
from minichain.autograd import Primitive, as_variable
from minichain.backend import get_array_module
from minichain.functions._axis import expect_axes, expect_axis, kept_shape
from minichain.functions.concat import concat
from minichain.functions.flip import flip
from minichain.functions.reshape import reshape
from minichain.type_check import expect_float


class Cumsum(Primitive):
    label = 'cumsum'

    def __init__(self, axis):
        self.axis = axis

    def check_type_forward(self, in_types):
        expect_float('cumsum', x=in_types[0])

    def forward(self, arrays):
        return arrays[0].cumsum(axis=self.axis),

    def backward(self, indexes, grads):
        return flip(cumsum(flip(grads[0], self.axis), self.axis), self.axis),


class Cumprod(Primitive):
    label = 'cumprod'

    def __init__(self, axis):
        self.axis = axis

    def check_type_forward(self, in_types):
        expect_float('cumprod', x=in_types[0])

    def forward(self, arrays):
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        return arrays[0].cumprod(axis=self.axis),

    def backward(self, indexes, grads):
        # gx[k] = y[k - 1] r[k] with r[k] = gy[k] + x[k + 1] r[k + 1]. The recurrence is solved by
        # doubling: after each round every r[k] has taken in twice as many of those behind it.
        # Dividing by x would be quicker, and wrong where x is zero.
        x, = self.get_retained_inputs()
        y, = self.get_retained_outputs()
        r, factor, step = grads[0], _shifted(x, 1, self.axis, 0), 1
        while step < x.shape[self.axis]:
            r = r + factor * _shifted(r, step, self.axis, 0)
            factor = factor * _shifted(factor, step, self.axis, 0)
            step *= 2
        return r * _shifted(y, -1, self.axis, 1),


class Prod(Primitive):
    label = 'prod'

    def __init__(self, axes, keepdims):
        self.axes, self.keepdims = axes, keepdims

    def check_type_forward(self, in_types):
        expect_float('prod', x=in_types[0])

    def forward(self, arrays):
        self.retain_inputs((0,))
        return arrays[0].prod(axis=self.axes, keepdims=self.keepdims),

    def backward(self, indexes, grads):
        # The gradient of a factor is the product of those before it and those behind it.
        x, = self.get_retained_inputs()
        axes = (*(i for i in range(x.ndim) if i not in self.axes), *self.axes)
        moved = x.transpose(axes)
        kept = moved.shape[:x.ndim - len(self.axes)]
        flat = reshape(moved, (*kept, x.size // max(1, _size(kept))))
        last = len(kept)
        before = _shifted(cumprod(flat, last), -1, last, 1)
        behind = _shifted(flip(cumprod(flip(flat, last), last), last), 1, last, 1)
        gx = (before * behind).reshape(moved.shape).transpose(
            tuple(sorted(range(x.ndim), key=axes.__getitem__)))
        return gx * grads[0].reshape(kept_shape(x.shape, self.axes)),


def _size(shape):
    size = 1
    for n in shape:
        size *= n
    return size


def _shifted(x, step, axis, fill):
    """Return ``x[k + step]`` for every k along ``axis``, ``fill`` where that is outside."""
    xp, before = get_array_module(x), (slice(None),) * axis
    length = min(abs(step), x.shape[axis])
    margin = xp.full((*x.shape[:axis], length, *x.shape[axis + 1:]), fill, x.dtype)
    if step > 0:
        return concat((x[(*before, slice(step, None))], margin), axis)
    return concat((margin, x[(*before, slice(None, x.shape[axis] - length))]), axis)


def _along(label, x, axis):
    """Return ``x`` and the axis, or ``x`` flattened and axis 0 if that is None."""
    if axis is None:
        return reshape(as_variable(x), (x.size,)), 0
    return x, expect_axis(label, axis, x.ndim)


def cumsum(x, axis=None):
    """Running sum along ``axis``.

    Args:
        x: float, any shape.
        axis: int; None flattens ``x`` first.
    Raises:
        InvalidType: the axis does not exist.
    """
    x, axis = _along('cumsum', x, axis)
    return Cumsum(axis).apply((x,))[0]


def cumprod(x, axis=None):
    """Running product along ``axis``.

    Args:
        x: float, any shape; zeros are differentiated correctly.
        axis: int; None flattens ``x`` first.
    Raises:
        InvalidType: the axis does not exist.
    """
    x, axis = _along('cumprod', x, axis)
    return Cumprod(axis).apply((x,))[0]


def prod(x, axis=None, keepdims=False):
    """Product over ``axis``.

    Args:
        x: float, any shape; zeros are differentiated correctly.
        axis: int or tuple of ints; None means all.
        keepdims: keep the multiplied axes with length 1.
    Raises:
        InvalidType: an axis does not exist or is given twice.
    """
    return Prod(expect_axes('prod', axis, x.ndim), keepdims).apply((x,))[0]

"""Trigonometric functions and their inverses, elementwise; angles in radians."""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.functions._elementwise import Elementwise
from minichain.functions.broadcast import sum_to
from minichain.functions.power import rsqrt
from minichain.type_check import expect_broadcast, expect_float, expect_same_dtype


class Sin(Elementwise):
    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return get_array_module(x).sin(x),

    def backward(self, indexes, grads):
        return grads[0] * cos(*self.get_retained_inputs()),


class Cos(Elementwise):
    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return get_array_module(x).cos(x),

    def backward(self, indexes, grads):
        return -grads[0] * sin(*self.get_retained_inputs()),


class Tan(Elementwise):
    def forward(self, arrays):
        self.retain_outputs((0,))
        x, = arrays
        return get_array_module(x).tan(x),

    def backward(self, indexes, grads):
        y, = self.get_retained_outputs()
        return grads[0] * (y * y + 1),


class Arcsin(Elementwise):
    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return get_array_module(x).arcsin(x),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] * rsqrt(1 - x * x),


class Arccos(Elementwise):
    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return get_array_module(x).arccos(x),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return -grads[0] * rsqrt(1 - x * x),


class Arctan(Elementwise):
    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return get_array_module(x).arctan(x),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] / (x * x + 1),


class Arctan2(Primitive):
    def check_type_forward(self, in_types):
        x1, x2 = in_types
        expect_float('arctan2', x1=x1, x2=x2)
        expect_same_dtype('arctan2', x1=x1, x2=x2)
        expect_broadcast('arctan2', x1, x2)

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        return get_array_module(*arrays).arctan2(*arrays),

    def backward(self, indexes, grads):
        x1, x2 = self.get_retained_inputs()
        gy = grads[0] / (x1 * x1 + x2 * x2)
        return (sum_to(gy * x2, x1.shape) if 0 in indexes else None,
                sum_to(-gy * x1, x2.shape) if 1 in indexes else None)


def sin(x):
    """Sine, elementwise; x float, any shape."""
    return Sin().apply((x,))[0]


def cos(x):
    """Cosine, elementwise; x float, any shape."""
    return Cos().apply((x,))[0]


def tan(x):
    """Tangent, elementwise; x float, any shape."""
    return Tan().apply((x,))[0]


def arcsin(x):
    """Inverse of the sine, from -pi/2 to pi/2, elementwise; x float in [-1, 1], any shape."""
    return Arcsin().apply((x,))[0]


def arccos(x):
    """Inverse of the cosine, from 0 to pi, elementwise; x float in [-1, 1], any shape."""
    return Arccos().apply((x,))[0]


def arctan(x):
    """Inverse of the tangent, from -pi/2 to pi/2, elementwise; x float, any shape."""
    return Arctan().apply((x,))[0]


def arctan2(x1, x2):
    """Angle of the point (x2, x1) seen from the origin, from -pi to pi, elementwise.

    Args:
        x1, x2: ordinate and abscissa, float, one dtype, shapes that broadcast together.
    Raises:
        InvalidType: dtypes differ or shapes do not broadcast.
    """
    return Arctan2().apply((x1, x2))[0]

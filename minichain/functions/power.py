"""Square roots and squares, elementwise."""
from minichain.backend import get_array_module
from minichain.functions._elementwise import Elementwise


class Sqrt(Elementwise):
    def forward(self, arrays):
        self.retain_outputs((0,))
        x, = arrays
        return get_array_module(x).sqrt(x),

    def backward(self, indexes, grads):
        y, = self.get_retained_outputs()
        return grads[0] / (y * 2),


class Rsqrt(Elementwise):
    def forward(self, arrays):
        self.retain_outputs((0,))
        x, = arrays
        return 1 / get_array_module(x).sqrt(x),

    def backward(self, indexes, grads):
        y, = self.get_retained_outputs()
        return grads[0] * (y * y * y) * -0.5,


class Square(Elementwise):
    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return x * x,

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] * x * 2,


def sqrt(x):
    """Square root, elementwise; x float, any shape."""
    return Sqrt().apply((x,))[0]


def rsqrt(x):
    """1 / sqrt(x), elementwise; x float, any shape."""
    return Rsqrt().apply((x,))[0]


def square(x):
    """x * x, elementwise; x float, any shape."""
    return Square().apply((x,))[0]

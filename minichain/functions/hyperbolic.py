"""Hyperbolic functions, elementwise: tanh and its relatives."""
from minichain.backend import get_array_module
from minichain.functions._elementwise import Elementwise


class Tanh(Elementwise):
    def forward(self, arrays):
        self.retain_outputs((0,))
        x, = arrays
        return get_array_module(x).tanh(x),

    def backward(self, indexes, grads):
        y, = self.get_retained_outputs()
        return grads[0] * (1 - y * y),


class Sinh(Elementwise):
    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return get_array_module(x).sinh(x),

    def backward(self, indexes, grads):
        return grads[0] * cosh(*self.get_retained_inputs()),


class Cosh(Elementwise):
    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return get_array_module(x).cosh(x),

    def backward(self, indexes, grads):
        return grads[0] * sinh(*self.get_retained_inputs()),


class Arctanh(Elementwise):
    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return get_array_module(x).arctanh(x),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] / (1 - x * x),


def tanh(x):
    """Hyperbolic tangent, elementwise; x float, any shape."""
    return Tanh().apply((x,))[0]


def sinh(x):
    """Hyperbolic sine, elementwise; x float, any shape."""
    return Sinh().apply((x,))[0]


def cosh(x):
    """Hyperbolic cosine, elementwise; x float, any shape."""
    return Cosh().apply((x,))[0]


def arctanh(x):
    """Inverse of tanh, elementwise; x float in (-1, 1), any shape."""
    return Arctanh().apply((x,))[0]

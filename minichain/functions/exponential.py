"""exp, log and their relatives, elementwise."""
import math

from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.type_check import expect_float


class Exp(Primitive):
    def check_type_forward(self, in_types):
        expect_float('exp', x=in_types[0])

    def forward(self, arrays):
        self.retain_outputs((0,))
        return get_array_module(*arrays).exp(arrays[0]),

    def backward(self, indexes, grads):
        y, = self.get_retained_outputs()
        return grads[0] * y,


class Log(Primitive):
    def check_type_forward(self, in_types):
        expect_float('log', x=in_types[0])

    def forward(self, arrays):
        self.retain_inputs((0,))
        return get_array_module(*arrays).log(arrays[0]),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] / x,


class Expm1(Primitive):
    def check_type_forward(self, in_types):
        expect_float('expm1', x=in_types[0])

    def forward(self, arrays):
        self.retain_outputs((0,))
        return get_array_module(*arrays).expm1(arrays[0]),

    def backward(self, indexes, grads):
        y, = self.get_retained_outputs()
        return grads[0] * (y + 1),


class Log1p(Primitive):
    def check_type_forward(self, in_types):
        expect_float('log1p', x=in_types[0])

    def forward(self, arrays):
        self.retain_inputs((0,))
        return get_array_module(*arrays).log1p(arrays[0]),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] / (x + 1),


def exp(x):
    """e ** x, elementwise; x float, any shape."""
    return Exp().apply((x,))[0]


def log(x):
    """Natural logarithm, elementwise; x float, any shape."""
    return Log().apply((x,))[0]


def log2(x):
    """Logarithm to base 2, elementwise; x float, any shape."""
    return log(x) * (1 / math.log(2))


def log10(x):
    """Logarithm to base 10, elementwise; x float, any shape."""
    return log(x) * (1 / math.log(10))


def expm1(x):
    """e ** x - 1, elementwise, exact for small x; x float, any shape."""
    return Expm1().apply((x,))[0]


def log1p(x):
    """log(1 + x), elementwise, exact for small x; x float, any shape."""
    return Log1p().apply((x,))[0]

"""Differentiable functions that ONNX has and minichain.functions has not, or only with SciPy."""
import importlib.util
import math

import numpy as np

import minichain.functions as F
from minichain.backend import get_array_module
from minichain.functions._elementwise import Elementwise

HAS_SCIPY = importlib.util.find_spec('scipy') is not None


class Arcsinh(Elementwise):
    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return get_array_module(x).arcsinh(x),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] * F.rsqrt(x * x + 1),


class Arccosh(Elementwise):
    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return get_array_module(x).arccosh(x),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] * F.rsqrt((x - 1) * (x + 1)),


class Erf(Elementwise):
    """The error function by interpolation, exact to 2e-15."""

    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        xp = get_array_module(x)
        size = xp.minimum(abs(x.astype(np.float64)), END)   # beyond it is 1 in float64
        inner = size * clenshaw(INNER, xp.minimum(size, 1) ** 2 * 2 - 1)
        place = 4 / (xp.maximum(size, 1) + 1) - 4 / (END + 1)
        outer = 1 - xp.exp(-size * size) * clenshaw(OUTER, place * (2 / (2 - 4 / (END + 1))) - 1)
        y = xp.copysign(xp.where(size < 1, inner, outer), x)
        return y.astype(x.dtype),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] * F.exp(-x * x) * (2 / math.sqrt(math.pi)),


def clenshaw(coefficients, x):
    """A Chebyshev series at x in [-1, 1]."""
    last = after = 0
    for coefficient in coefficients[:0:-1]:
        last, after = x * 2 * last - after + coefficient, last
    return x * last - after + coefficients[0]


def interpolate(function, degree):
    """Chebyshev coefficients of a function of one number in [-1, 1]."""
    return np.polynomial.chebyshev.chebinterpolate(
        lambda xs: np.array([function(x) for x in xs.tolist()]), degree).tolist()


def inner_factor(place):
    """erf(x) / x, where x * x goes from 0 to 1 as the place goes from -1 to 1."""
    x = math.sqrt((place + 1) / 2)
    return math.erf(x) / x if x else 2 / math.sqrt(math.pi)


def outer_factor(place):
    """erfc(x) exp(x x), where 1 / (x + 1) goes from that of END to that of 1."""
    x = 4 / ((place + 1) / 2 * (2 - 4 / (END + 1)) + 4 / (END + 1)) - 1
    return math.erfc(x) * math.exp(x * x)


END = 6.
INNER, OUTER = interpolate(inner_factor, 12), interpolate(outer_factor, 20)


def arcsinh(x):
    """Inverse of sinh, elementwise; x float, any shape."""
    return Arcsinh().apply((x,))[0]


def arccosh(x):
    """Inverse of cosh, 0 or more, elementwise; x float, at least 1, any shape."""
    return Arccosh().apply((x,))[0]


def erf(x):
    """The error function, elementwise: SciPy's if there is SciPy; x float, any shape."""
    return F.erf(x) if HAS_SCIPY else Erf().apply((x,))[0]

"""Special functions, elementwise; computed by SciPy, on a GPU by CuPy, which come at first use."""
import functools
import importlib
import math

from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module
from minichain.errors import MinichainError
from minichain.functions._elementwise import Elementwise
from minichain.functions.broadcast import sum_to
from minichain.functions.exponential import exp
from minichain.type_check import expect_broadcast, expect_float, expect_integer


@functools.cache
def _library(xp_name):
    """Return ``scipy.special``, or CuPy's counterpart of it."""
    name = 'scipy.special' if xp_name == 'numpy' else 'cupyx.scipy.special'
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MinichainError(f'special functions (erf, lgamma, ...) need SciPy, which does not '
                             f"import ({error}). Install it: pip install 'minichain[scipy]'"
                             ) from None


class Special(Elementwise):
    """The function of SciPy that ``method`` names."""

    label = property(lambda self: self.method)

    def forward(self, arrays):
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        x, = arrays
        function = getattr(_library(get_array_module(x).__name__), self.method)
        return function(x).astype(x.dtype, copy=False),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        y, = self.get_retained_outputs()
        return grads[0] * self.derivative(x, y),


class Erf(Special):
    method = 'erf'

    def derivative(self, x, y):
        return exp(-x * x) * (2 / math.sqrt(math.pi))


class Erfc(Special):
    method = 'erfc'

    def derivative(self, x, y):
        return exp(-x * x) * (-2 / math.sqrt(math.pi))


class Erfcx(Special):
    method = 'erfcx'

    def derivative(self, x, y):
        return x * y * 2 - 2 / math.sqrt(math.pi)


class Erfinv(Special):
    method = 'erfinv'

    def derivative(self, x, y):
        return exp(y * y) * (math.sqrt(math.pi) / 2)


class Erfcinv(Special):
    method = 'erfcinv'

    def derivative(self, x, y):
        return exp(y * y) * (-math.sqrt(math.pi) / 2)


class Ndtr(Special):
    method = 'ndtr'

    def derivative(self, x, y):
        return exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))


class Ndtri(Special):
    method = 'ndtri'

    def derivative(self, x, y):
        return exp(y * y * 0.5) * math.sqrt(2 * math.pi)


class LogNdtr(Special):
    method = 'log_ndtr'

    def derivative(self, x, y):   # density / ndtr, as one exponential: neither underflows alone
        return exp(x * x * -0.5 - y) * (1 / math.sqrt(2 * math.pi))


class Lgamma(Special):
    method = 'gammaln'

    def derivative(self, x, y):
        return digamma(x)


class Digamma(Special):
    method = 'digamma'

    def derivative(self, x, y):
        return polygamma(get_array_module(x).ones((), 'int32'), x)


class OfTwo(Primitive):
    """A function of a constant and of x; only x has a gradient."""

    def __init__(self, constant):
        self.constant = constant

    def check_type_forward(self, in_types):
        expect_float(self.label, x=in_types[0])
        expect_broadcast(self.label, self.constant, in_types[0])

    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        function = getattr(_library(get_array_module(x).__name__), self.label)
        return function(self.constant, x).astype(x.dtype, copy=False),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return sum_to(grads[0] * self.derivative(x), x.shape),


class Polygamma(OfTwo):
    label = 'polygamma'

    def derivative(self, x):
        return polygamma(self.constant + 1, x)


class Zeta(OfTwo):
    label = 'zeta'

    def derivative(self, x):
        s = self.constant.astype(x.dtype)
        return zeta(s + 1, x) * -s


def erf(x):
    """Error function  2 / sqrt(pi) * integral of exp(-t t) from 0 to x; x float, any shape."""
    return Erf().apply((x,))[0]


def erfc(x):
    """1 - erf(x), without cancellation; x float, any shape."""
    return Erfc().apply((x,))[0]


def erfcx(x):
    """exp(x x) erfc(x), without underflow; x float, any shape."""
    return Erfcx().apply((x,))[0]


def erfinv(x):
    """Inverse of :func:`erf`; x float in (-1, 1), any shape."""
    return Erfinv().apply((x,))[0]


def erfcinv(x):
    """Inverse of :func:`erfc`; x float in (0, 2), any shape."""
    return Erfcinv().apply((x,))[0]


def ndtr(x):
    """Cumulative distribution of the standard normal distribution; x float, any shape."""
    return Ndtr().apply((x,))[0]


def ndtri(x):
    """Inverse of :func:`ndtr`; x float in (0, 1), any shape."""
    return Ndtri().apply((x,))[0]


def log_ndtr(x):
    """Logarithm of :func:`ndtr`, without underflow; x float, any shape."""
    return LogNdtr().apply((x,))[0]


def lgamma(x):
    """Logarithm of the absolute value of the gamma function; x float, any shape."""
    return Lgamma().apply((x,))[0]


def digamma(x):
    """Derivative of :func:`lgamma`; x float, any shape."""
    return Digamma().apply((x,))[0]


def polygamma(n, x):
    """Derivative of order n of :func:`digamma`.

    Args:
        n: integers, at least 0, Variable or array; a constant.
        x: float; the shapes broadcast together.
    Raises:
        InvalidType: dtypes or shapes do not fit.
    """
    n = as_array(n)
    expect_integer('polygamma', n=n)
    return Polygamma(n).apply((x,))[0]


def zeta(x, q):
    """Hurwitz zeta function: the sum of (k + q) ** -x over k = 0, 1, ...

    Args:
        x: float, above 1, Variable, array or number; a constant.
        q: float; the shapes broadcast together.
    Raises:
        InvalidType: dtypes or shapes do not fit.
    """
    return Zeta(get_array_module(q).asarray(as_array(x))).apply((q,))[0]

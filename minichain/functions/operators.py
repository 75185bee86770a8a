"""Arithmetic on Variables: ``+ - * / // ** @ abs``. Read autograd.py first.

Each class is a forward on arrays and a backward formula next to it. The formulas use the same
operators, so they run on arrays, and on Variables when the backward pass is itself recorded.
The block at the end attaches everything to Variable.
"""
import math
import numbers

import numpy as np

from minichain import type_check
from minichain.autograd import Primitive, Variable, as_array, as_variable
from minichain.backend import get_array_module, is_array, to_cpu
from minichain.errors import InvalidType
from minichain.functions.broadcast import sum_to
from minichain.functions.exponential import log
from minichain.functions.get_item import get_item
from minichain.functions.identity import identity
from minichain.functions.matmul import matmul
from minichain.functions.reshape import reshape, transpose


class BinaryOperator(Primitive):
    """Two operands of one dtype whose shapes broadcast together."""

    def check_type_forward(self, in_types):
        x, y = in_types
        if x.dtype is not y.dtype:
            type_check.expect_same_dtype(self.label, left=x, right=y)
        if x.shape != y.shape:
            type_check.expect_broadcast(self.label, x, y)


class Add(BinaryOperator):
    label = '_ + _'

    def forward(self, arrays):
        x, y = arrays
        return x + y,

    def backward(self, indexes, grads):
        gz, = grads
        x, y = self.inputs
        return (sum_to(gz, x.shape) if 0 in indexes else None,
                sum_to(gz, y.shape) if 1 in indexes else None)


class Sub(BinaryOperator):
    label = '_ - _'

    def forward(self, arrays):
        x, y = arrays
        return x - y,

    def backward(self, indexes, grads):
        gz, = grads
        x, y = self.inputs
        return (sum_to(gz, x.shape) if 0 in indexes else None,
                sum_to(-gz, y.shape) if 1 in indexes else None)


class Mul(BinaryOperator):
    label = '_ * _'

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        x, y = arrays
        return x * y,

    def backward(self, indexes, grads):
        x, y = self.get_retained_inputs()
        gz, = grads
        return (sum_to(gz * y, x.shape) if 0 in indexes else None,
                sum_to(gz * x, y.shape) if 1 in indexes else None)


class Div(BinaryOperator):
    label = '_ / _'

    def check_type_forward(self, in_types):
        super().check_type_forward(in_types)
        type_check.expect_float(self.label, left=in_types[0], right=in_types[1])

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        x, y = arrays
        return x / y,

    def backward(self, indexes, grads):
        x, y = self.get_retained_inputs()
        gz, = grads
        return (sum_to(gz / y, x.shape) if 0 in indexes else None,
                sum_to(-gz * x / (y * y), y.shape) if 1 in indexes else None)


class Power(BinaryOperator):
    label = '_ ** _'

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        x, y = arrays
        return x ** y,

    def backward(self, indexes, grads):
        x, y = self.get_retained_inputs()
        gz, = grads
        return (sum_to(gz * y * x ** (y - 1), x.shape) if 0 in indexes else None,
                sum_to(gz * x ** y * log(x), y.shape) if 1 in indexes else None)


class FloorDiv(BinaryOperator):
    """Piecewise constant: no gradient flows."""

    label = '_ // _'

    def forward(self, arrays):
        x, y = arrays
        return x // y,


class Neg(Primitive):
    label = '-_'

    def forward(self, arrays):
        return -arrays[0],

    def backward(self, indexes, grads):
        return -grads[0],


class Absolute(Primitive):
    label = '|_|'

    def forward(self, arrays):
        self.retain_inputs((0,))
        return abs(arrays[0]),

    def backward(self, indexes, grads):
        x = as_array(self.get_retained_inputs()[0])
        return grads[0] * get_array_module(x).sign(x),


class ConstantOperator(Primitive):
    """One operand and a Python number, which takes the operand's dtype."""

    pattern = ''
    label = property(lambda self: self.pattern.format(self.value))

    def __init__(self, value):
        self.value = value


class FloatConstantOperator(ConstantOperator):
    """The same, where the result for an integer operand would be cut to an integer."""

    def check_type_forward(self, in_types):
        type_check.expect_float(self.label, x=in_types[0])


class AddConstant(ConstantOperator):
    pattern = '_ + {}'

    def forward(self, arrays):
        x, = arrays
        return x + x.dtype.type(self.value),

    def backward(self, indexes, grads):
        return grads


class SubFromConstant(ConstantOperator):
    pattern = '{} - _'

    def forward(self, arrays):
        x, = arrays
        return x.dtype.type(self.value) - x,

    def backward(self, indexes, grads):
        return -grads[0],


class MulConstant(ConstantOperator):
    pattern = '_ * {}'

    def forward(self, arrays):
        x, = arrays
        return x * x.dtype.type(self.value),

    def backward(self, indexes, grads):
        return grads[0] * self.value,


class DivFromConstant(FloatConstantOperator):
    pattern = '{} / _'

    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return (x.dtype.type(self.value) / x).astype(x.dtype, copy=False),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] * -self.value / (x * x),


class PowerConstant(FloatConstantOperator):
    pattern = '_ ** {}'

    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        return (x ** self.value).astype(x.dtype, copy=False),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] * (self.value * x ** (self.value - 1)),


class PowerOfConstant(FloatConstantOperator):
    pattern = '{} ** _'

    def forward(self, arrays):
        self.retain_outputs((0,))
        x, = arrays
        return x.dtype.type(self.value) ** x,

    def backward(self, indexes, grads):
        y, = self.get_retained_outputs()
        return grads[0] * y * math.log(self.value),


def _operand(y, x):
    """Return what stands beside Variable ``x`` in an expression: a Variable or a number."""
    if isinstance(y, (numbers.Number, np.generic)):   # a Python number keeps x's dtype
        return y.item() if isinstance(y, np.generic) else y
    if is_array(y):
        return as_variable(y.astype(x.dtype, copy=False))
    raise InvalidType(f'arithmetic of a Variable with {type(y).__name__}: number, array or '
                      'Variable expected')


def _operator(function, of_constant, reflected=False):
    """Return the method for ``x op y``, or for ``y op x`` if ``reflected``, x the Variable."""
    def apply(x, y):
        if not isinstance(y, Variable):
            y = _operand(y, x)
            if not isinstance(y, Variable):
                return of_constant(y).apply((x,))[0]
        return function().apply((y, x) if reflected else (x, y))[0]
    return apply


def _floor_divide(x, y, reflected=False):
    if not isinstance(y, Variable):
        y = _operand(y, x)
    if not isinstance(y, Variable):
        y = _operand(x.xp.asarray(y), x)
    return FloorDiv().apply((y, x) if reflected else (x, y))[0]


def _inverse(c):
    return 1. / c if c else math.inf


_add = _operator(Add, AddConstant)


def add(*xs):
    """Elementwise sum of one or more operands, broadcast together; at least one a Variable.

    Args:
        xs: Variables, arrays or numbers, of one dtype.
    """
    if not xs:
        raise InvalidType('add: at least one operand expected, got none')
    total = identity(xs[0]) if len(xs) == 1 else as_variable(xs[0])
    for x in xs[1:]:
        total = _add(total, x)
    return total


def absolute(x):
    """|x|, elementwise; the gradient at 0 is 0."""
    return Absolute().apply((x,))[0]


def _refuse(symbol):
    def compare(x, y):
        raise InvalidType(f'Variables do not support {symbol}, which has no gradient; compare '
                          '.array instead')
    return compare


def _truth(x):
    raise InvalidType('a Variable is neither true nor false; ask its .array')


def _reshape(x, *shape):
    """Return the same values in another shape, given as a tuple or as separate ints."""
    return reshape(x, shape[0] if len(shape) == 1 else shape)


def _transpose(x, *axes):
    """Permute the axes, given as a tuple or as separate ints; none given reverses them."""
    return transpose(x, axes[0] if len(axes) == 1 else axes or None)


def _text(x, separator=' '):
    name = f'variable {x.name}(' if x.name else 'variable('
    values = None if x.array is None else np.array2string(
        to_cpu(x.array), separator=separator, prefix=name)
    return f'{name}{values})'


Variable.__add__ = Variable.__radd__ = _add
Variable.__sub__ = _operator(Sub, lambda c: AddConstant(-c))
Variable.__rsub__ = _operator(Sub, SubFromConstant, reflected=True)
Variable.__mul__ = Variable.__rmul__ = _operator(Mul, MulConstant)
Variable.__truediv__ = _operator(Div, lambda c: MulConstant(_inverse(c)))
Variable.__rtruediv__ = _operator(Div, DivFromConstant, reflected=True)
Variable.__pow__ = _operator(Power, PowerConstant)
Variable.__rpow__ = _operator(Power, PowerOfConstant, reflected=True)
Variable.__floordiv__ = _floor_divide
Variable.__rfloordiv__ = lambda x, y: _floor_divide(x, y, reflected=True)
Variable.__matmul__ = lambda x, y: matmul(x, y)
Variable.__rmatmul__ = lambda x, y: matmul(y, x)
Variable.__neg__ = lambda x: Neg().apply((x,))[0]
Variable.__pos__ = identity
Variable.__abs__ = absolute
Variable.__getitem__ = get_item
Variable.__len__ = lambda x: len(x.array)
Variable.__iter__ = lambda x: (x[i] for i in range(len(x.array)))
Variable.__bool__ = _truth
Variable.__eq__, Variable.__ne__ = _refuse('=='), _refuse('!=')
Variable.__lt__, Variable.__le__ = _refuse('<'), _refuse('<=')
Variable.__gt__, Variable.__ge__ = _refuse('>'), _refuse('>=')
Variable.__str__ = _text
Variable.__repr__ = lambda x: _text(x, separator=', ')
Variable.reshape = _reshape
Variable.transpose = _transpose
Variable.T = property(transpose)
Variable.item = lambda x: x.array.item()

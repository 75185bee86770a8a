"""Layers that multiply by, and add, a parameter that spans some axes of the input."""
from minichain.chain import Chain
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions.scale import bias, scale
from minichain.link import Link
from minichain.variable import Parameter


class Bias(Link):
    """x + b, elementwise, where b spans the axes of x from ``axis`` on.

    Args:
        axis: the first axis of x that b has.
        shape: of b; None: b is the second argument of every call.
    Attributes:
        b: parameter of ``shape``, or None.
    """

    def __init__(self, axis=1, shape=None):
        super().__init__()
        self.axis = axis
        with self.init_scope():
            self.b = None if shape is None else Parameter(0, shape)

    def forward(self, *xs):
        """Add b to x; ``link(x)``, or ``link(x, b)`` if it has no parameter."""
        return bias(*_operands(self, xs, self.b), self.axis)


class Scale(Chain):
    """W x, or W x + b, elementwise, where W and b span the axes of x from ``axis`` on.

    Args:
        axis: the first axis of x that W and b have.
        W_shape: shape of W; None: W is the second argument of every call.
        bias_term: whether to add b.
        bias_shape: shape of b, if W is no parameter.
    Attributes:
        W: parameter of ``W_shape``, or None. bias: Bias, if ``bias_term``.
    Raises:
        InvalidArgument: ``bias_term`` without a shape.
    """

    def __init__(self, axis=1, W_shape=None, bias_term=False, bias_shape=None):
        super().__init__()
        self.axis = axis
        shape = bias_shape if W_shape is None else W_shape
        if bias_term and shape is None:
            raise InvalidArgument('Scale: bias_shape expected, as W is no parameter and bias_term '
                                  'is True')
        with self.init_scope():
            self.W = None if W_shape is None else Parameter(1, W_shape)
            if bias_term:
                self.bias = Bias(axis, shape)

    def forward(self, *xs):
        """Scale x; ``link(x)``, or ``link(x, W)`` if it has no parameter W."""
        y = scale(*_operands(self, xs, self.W), self.axis)
        return self.bias(y) if 'bias' in vars(self) else y


def _operands(link, xs, parameter):
    """Return x and what meets it: the parameter, or the second argument."""
    expected = 2 if parameter is None else 1
    if len(xs) != expected:
        raise InvalidType(f'{type(link).__name__}: {expected} arguments expected, got {len(xs)}')
    return xs if parameter is None else (*xs, parameter)

"""Sigmoids, elementwise: sigmoid, hard_sigmoid and swish."""
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.functions._axis import after_first_axis
from minichain.functions._elementwise import Elementwise


class Sigmoid(Elementwise):
    def forward(self, arrays):
        self.retain_outputs((0,))
        x, = arrays
        y = get_array_module(x).tanh(x * 0.5)   # never overflows, unlike exp(-x)
        y *= 0.5
        y += 0.5
        return y,

    def backward(self, indexes, grads):
        y, = self.get_retained_outputs()
        return grads[0] * y * (1 - y),


class HardSigmoid(Elementwise):
    label = 'hard_sigmoid'

    def forward(self, arrays):
        self.retain_outputs((0,))
        x, = arrays
        return get_array_module(x).clip(x * 0.2 + 0.5, 0, 1),

    def backward(self, indexes, grads):
        y = as_array(self.get_retained_outputs()[0])
        return grads[0] * ((y > 0) & (y < 1)) * 0.2,


def sigmoid(x):
    """1 / (1 + exp(-x)), elementwise; x float, any shape."""
    return Sigmoid().apply((x,))[0]


def hard_sigmoid(x):
    """Straight line through the sigmoid's middle:  min(max(0.2 x + 0.5, 0), 1), elementwise."""
    return HardSigmoid().apply((x,))[0]


def swish(x, beta):
    """x sigmoid(beta x), elementwise.

    Args:
        x: float, (N, ...).
        beta: one number, shape (), or one for each position of the axes of ``x`` after the first
            that it has, same dtype.
    Raises:
        InvalidType: ``beta`` has another shape than these axes.
    Ramachandran et al. 2017, "Searching for activation functions", arXiv:1710.05941.
    """
    return x * sigmoid(x * after_first_axis('swish', x, beta))

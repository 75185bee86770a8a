"""Exponential linear units, elementwise: elu and selu."""
from minichain.autograd import as_array
from minichain.backend import get_array_module
from minichain.functions._elementwise import Elementwise


class ELU(Elementwise):
    def __init__(self, alpha):
        self.alpha = alpha

    def forward(self, arrays):
        self.retain_inputs((0,))
        self.retain_outputs((0,))
        x, = arrays
        xp = get_array_module(x)
        return xp.maximum(x, 0) + xp.expm1(xp.minimum(x, 0)) * self.alpha,

    def backward(self, indexes, grads):
        y, = self.get_retained_outputs()
        positive = (as_array(self.get_retained_inputs()[0]) > 0).astype(y.dtype)
        return grads[0] * ((y + self.alpha) * (1 - positive) + positive),


def elu(x, alpha=1.0):
    """x where x > 0, else alpha (exp(x) - 1), elementwise; x float, any shape.

    Clevert et al. 2016, "Fast and accurate deep network learning by exponential linear units",
    arXiv:1511.07289.
    """
    return ELU(alpha).apply((x,))[0]


def selu(x, alpha=1.6732632423543772848170429916717, scale=1.0507009873554804934193349852946):
    """scale elu(x, alpha), with constants that keep mean 0 and variance 1 from layer to layer.

    Klambauer et al. 2017, "Self-normalizing neural networks", arXiv:1706.02515.
    """
    return elu(x, alpha) * scale

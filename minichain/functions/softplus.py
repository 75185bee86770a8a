"""Softplus: a smooth rectifier, whose derivative is the sigmoid."""
from minichain.backend import get_array_module
from minichain.functions._elementwise import Elementwise
from minichain.functions.sigmoid import sigmoid


class Softplus(Elementwise):
    def __init__(self, beta):
        self.beta = beta

    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        xp = get_array_module(x)
        x = x * self.beta
        return (xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))) * (1 / self.beta),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return grads[0] * sigmoid(x * self.beta),


def softplus(x, beta=1.0):
    """log(1 + exp(beta x)) / beta, elementwise; x float, any shape."""
    return Softplus(float(beta)).apply((x,))[0]

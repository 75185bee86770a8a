"""Stochastic gradient descent."""
from minichain.gpu import optimizers as by_kernels
from minichain.gpu.dispatch import fused
from minichain.optimizer import GradientMethod, HyperparameterProxy
from minichain.optimizers._elementwise import ElementwiseRule


class SGDRule(ElementwiseRule):
    """Update rule of :class:`SGD`."""

    defaults = {'lr': .01}

    def numbers(self):
        return self.hyperparam.lr, 1.   # the kernel's gradients are scaled by the latter

    def kernels(self):
        return sgd_step, by_kernels.sgd_many, ()

    def step(self, xp, x, gx, numbers):
        sgd_step(x, gx, numbers)


@fused(by_kernels.sgd_step, accepts=by_kernels.is_plain_sgd)
def sgd_step(x, gx, numbers):
    """Change a parameter, of any shape, in place; numbers: lr, 1."""
    x -= numbers[0] * gx


class SGD(GradientMethod):
    """Stochastic gradient descent:  x -= lr g.

    Args:
        lr: learning rate.
    """

    lr = HyperparameterProxy('lr')

    def __init__(self, lr=.01):
        super().__init__()
        self.lr = lr

    def create_update_rule(self):
        return SGDRule(self.hyperparam)

"""Stochastic gradient descent."""
from minichain.optimizer import GradientMethod, HyperparameterProxy
from minichain.optimizers._elementwise import ElementwiseRule


class SGDRule(ElementwiseRule):
    """Update rule of :class:`SGD`."""

    defaults = {'lr': .01}

    def step(self, xp, x, gx):
        x -= self.hyperparam.lr * gx


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

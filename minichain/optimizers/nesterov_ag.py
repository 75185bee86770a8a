"""Nesterov's accelerated gradient."""
from minichain.optimizer import GradientMethod, HyperparameterProxy
from minichain.optimizers._elementwise import ElementwiseRule


class NesterovAGRule(ElementwiseRule):
    """Update rule of :class:`NesterovAG`."""

    defaults = {'lr': .01, 'momentum': .9}
    state_names = decaying = ('v',)

    def step(self, xp, x, gx, numbers, v):
        momentum = self.hyperparam.momentum
        work = numbers[0] * gx
        v *= momentum
        v -= work
        work *= 1 + momentum
        x -= work
        xp.multiply(v, momentum * momentum, out=work)
        x += work


class NesterovAG(GradientMethod):
    """Nesterov's accelerated gradient:  v = momentum v - lr g,
    x += momentum^2 v - (1 + momentum) lr g.

    These are Chainer's steps: the new v enters the second line, where the paper has the old one.

    Args:
        lr: learning rate.
        momentum: decay of the velocity v, in [0, 1).
    Bengio et al. 2012, "Advances in optimizing recurrent networks", arXiv:1212.0901.
    """

    lr = HyperparameterProxy('lr')
    momentum = HyperparameterProxy('momentum')

    def __init__(self, lr=.01, momentum=.9):
        super().__init__()
        self.lr, self.momentum = lr, momentum

    def create_update_rule(self):
        return NesterovAGRule(self.hyperparam)

"""Gradient descent with momentum, the learning rate outside of the velocity."""
from minichain.optimizer import GradientMethod, HyperparameterProxy
from minichain.optimizers._elementwise import ElementwiseRule


class CorrectedMomentumSGDRule(ElementwiseRule):
    """Update rule of :class:`CorrectedMomentumSGD`."""

    defaults = {'lr': .01, 'momentum': .9}
    state_names = decaying = ('v',)

    def step(self, xp, x, gx, numbers, v):
        v *= self.hyperparam.momentum
        v -= gx
        x += numbers[0] * v


class CorrectedMomentumSGD(GradientMethod):
    """Gradient descent with momentum:  v = momentum v - g,  x += lr v.

    The learning rate is outside the velocity, as in PyTorch: a change of ``lr`` acts at once.

    Args:
        lr: learning rate.
        momentum: decay of the velocity v, in [0, 1).
    """

    lr = HyperparameterProxy('lr')
    momentum = HyperparameterProxy('momentum')

    def __init__(self, lr=.01, momentum=.9):
        super().__init__()
        self.lr, self.momentum = lr, momentum

    def create_update_rule(self):
        return CorrectedMomentumSGDRule(self.hyperparam)

"""Gradient descent with momentum."""
from minichain.optimizer import GradientMethod, HyperparameterProxy
from minichain.optimizers._elementwise import ElementwiseRule


class MomentumSGDRule(ElementwiseRule):
    """Update rule of :class:`MomentumSGD`."""

    defaults = {'lr': .01, 'momentum': .9}
    state_names = decaying = ('v',)

    def step(self, xp, x, gx, v):
        v *= self.hyperparam.momentum
        v -= self.hyperparam.lr * gx
        x += v


class MomentumSGD(GradientMethod):
    """Gradient descent with momentum:  v = momentum v - lr g,  x += v.

    The learning rate is inside the velocity, as in Keras and not as in PyTorch: a change of
    ``lr`` acts on coming gradients only.

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
        return MomentumSGDRule(self.hyperparam)

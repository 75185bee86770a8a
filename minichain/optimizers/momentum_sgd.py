"""Gradient descent with momentum."""
from minichain.gpu import optimizers as by_kernels
from minichain.gpu.dispatch import fused
from minichain.optimizer import GradientMethod, HyperparameterProxy
from minichain.optimizers._elementwise import ElementwiseRule


class MomentumSGDRule(ElementwiseRule):
    """Update rule of :class:`MomentumSGD`."""

    defaults = {'lr': .01, 'momentum': .9}
    state_names = decaying = ('v',)

    def numbers(self):
        return self.hyperparam.lr, 1.   # the kernel's gradients are scaled by the latter

    def kernels(self):
        return momentum_sgd_step, by_kernels.momentum_sgd_many, (self.hyperparam.momentum,)

    def step(self, xp, x, gx, numbers, v):
        momentum_sgd_step(x, gx, v, numbers, self.hyperparam.momentum)


@fused(by_kernels.momentum_sgd_step, accepts=by_kernels.is_plain_momentum_sgd)
def momentum_sgd_step(x, gx, v, numbers, momentum):
    """Change a parameter and its velocity, of any shape, in place; numbers: lr, 1."""
    v *= momentum
    v -= numbers[0] * gx
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

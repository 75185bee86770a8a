"""AdaGrad."""
from minichain.optimizer import GradientMethod, HyperparameterProxy
from minichain.optimizers._elementwise import ElementwiseRule


class AdaGradRule(ElementwiseRule):
    """Update rule of :class:`AdaGrad`."""

    defaults = {'lr': .001, 'eps': 1e-8}
    state_names = ('h',)

    def step(self, xp, x, gx, numbers, h):
        work = gx * gx
        h += work
        xp.sqrt(h, out=work)
        work += self.hyperparam.eps
        xp.divide(gx, work, out=work)
        work *= numbers[0]
        x -= work


class AdaGrad(GradientMethod):
    """AdaGrad:  h += g^2,  x -= lr g / (sqrt(h) + eps).

    Args:
        lr: learning rate.
        eps: keeps the quotient finite.
    Duchi et al. 2011, "Adaptive subgradient methods for online learning and stochastic
    optimization".
    """

    lr = HyperparameterProxy('lr')
    eps = HyperparameterProxy('eps')

    def __init__(self, lr=.001, eps=1e-8):
        super().__init__()
        self.lr, self.eps = lr, eps

    def create_update_rule(self):
        return AdaGradRule(self.hyperparam)

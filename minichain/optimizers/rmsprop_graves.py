"""RMSprop as Graves used it."""
from minichain.optimizer import GradientMethod, HyperparameterProxy
from minichain.optimizers._elementwise import ElementwiseRule


class RMSpropGravesRule(ElementwiseRule):
    """Update rule of :class:`RMSpropGraves`."""

    defaults = {'lr': 1e-4, 'alpha': .95, 'momentum': .9, 'eps': 1e-4}
    state_names = ('n', 'g', 'delta')
    decaying = ('delta',)

    def step(self, xp, x, gx, numbers, n, g, delta):
        h = self.hyperparam
        n *= h.alpha
        work = gx * gx
        work *= 1 - h.alpha
        n += work
        g *= h.alpha
        xp.multiply(gx, 1 - h.alpha, out=work)
        g += work
        xp.multiply(g, g, out=work)
        xp.subtract(n, work, out=work)
        work += h.eps
        xp.sqrt(work, out=work)
        xp.divide(gx, work, out=work)
        work *= numbers[0]
        delta *= h.momentum
        delta -= work
        x += delta


class RMSpropGraves(GradientMethod):
    """RMSprop with centred variance and momentum:  n += (1 - alpha) (g^2 - n),
    mean += (1 - alpha) (g - mean),  delta = momentum delta - lr g / sqrt(n - mean^2 + eps),
    x += delta.  (The mean's name in the state is ``g``.)

    Args:
        lr: learning rate.
        alpha: decay of the averages, in [0, 1).
        momentum: decay of the velocity delta, in [0, 1).
        eps: keeps the quotient finite.
    Graves 2013, "Generating sequences with recurrent neural networks", arXiv:1308.0850.
    """

    lr = HyperparameterProxy('lr')
    alpha = HyperparameterProxy('alpha')
    momentum = HyperparameterProxy('momentum')
    eps = HyperparameterProxy('eps')

    def __init__(self, lr=1e-4, alpha=.95, momentum=.9, eps=1e-4):
        super().__init__()
        self.lr, self.alpha, self.momentum, self.eps = lr, alpha, momentum, eps

    def create_update_rule(self):
        return RMSpropGravesRule(self.hyperparam)

"""RMSprop."""
from minichain.optimizer import GradientMethod, HyperparameterProxy
from minichain.optimizers._elementwise import ElementwiseRule


class RMSpropRule(ElementwiseRule):
    """Update rule of :class:`RMSprop`."""

    defaults = {'lr': .01, 'alpha': .99, 'eps': 1e-8, 'eps_inside_sqrt': False}
    state_names = ('ms',)

    def step(self, xp, x, gx, numbers, ms):
        h = self.hyperparam
        ms *= h.alpha
        work = gx * gx
        work *= 1 - h.alpha
        ms += work
        if h.eps_inside_sqrt:
            xp.add(ms, h.eps, out=work)
            xp.sqrt(work, out=work)
        else:
            xp.sqrt(ms, out=work)
            work += h.eps
        xp.divide(gx, work, out=work)
        work *= numbers[0]
        x -= work


class RMSprop(GradientMethod):
    """RMSprop:  ms += (1 - alpha) (g^2 - ms),  x -= lr g / (sqrt(ms) + eps).

    Args:
        lr: learning rate.
        alpha: decay of the mean square ms, in [0, 1).
        eps: keeps the quotient finite.
        eps_inside_sqrt: divide by sqrt(ms + eps) instead, as TensorFlow does.
    Tieleman, Hinton 2012, "Lecture 6.5: RMSprop", COURSERA.
    """

    lr = HyperparameterProxy('lr')
    alpha = HyperparameterProxy('alpha')
    eps = HyperparameterProxy('eps')
    eps_inside_sqrt = HyperparameterProxy('eps_inside_sqrt')

    def __init__(self, lr=.01, alpha=.99, eps=1e-8, eps_inside_sqrt=False):
        super().__init__()
        self.lr, self.alpha, self.eps, self.eps_inside_sqrt = lr, alpha, eps, eps_inside_sqrt

    def create_update_rule(self):
        return RMSpropRule(self.hyperparam)

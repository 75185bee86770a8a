"""AdaDelta."""
from minichain.optimizer import GradientMethod, HyperparameterProxy
from minichain.optimizers._elementwise import ElementwiseRule


class AdaDeltaRule(ElementwiseRule):
    """Update rule of :class:`AdaDelta`."""

    defaults = {'rho': .95, 'eps': 1e-6}
    state_names = ('msg', 'msdx')
    dials = ()

    def numbers(self):
        return ()

    def step(self, xp, x, gx, numbers, msg, msdx):
        rho, eps = self.hyperparam.rho, self.hyperparam.eps
        msg *= rho
        work = gx * gx
        work *= 1 - rho
        msg += work
        xp.divide(msdx + eps, msg + eps, out=work)
        xp.sqrt(work, out=work)
        work *= gx
        x -= work
        work *= work
        work *= 1 - rho
        msdx *= rho
        msdx += work


class AdaDelta(GradientMethod):
    """AdaDelta:  msg += (1 - rho) (g^2 - msg),  d = g sqrt((msdx + eps) / (msg + eps)),
    msdx += (1 - rho) (d^2 - msdx),  x -= d.

    Args:
        rho: decay of the mean squares of gradients and steps, in [0, 1).
        eps: gets the first steps going.
    Zeiler 2012, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701.
    """

    rho = HyperparameterProxy('rho')
    eps = HyperparameterProxy('eps')

    def __init__(self, rho=.95, eps=1e-6):
        super().__init__()
        self.rho, self.eps = rho, eps

    def create_update_rule(self):
        return AdaDeltaRule(self.hyperparam)

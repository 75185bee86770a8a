"""M-SVAG."""
from minichain.optimizer import GradientMethod, HyperparameterProxy
from minichain.optimizers._elementwise import ElementwiseRule


class MSVAGRule(ElementwiseRule):
    """Update rule of :class:`MSVAG`."""

    defaults = {'lr': .1, 'beta': .9, 'eta': 1., 'weight_decay_rate': 0}
    state_names = ('m', 'v')
    decaying = ('m',)
    dials = ('lr', 'eta')

    def numbers(self):
        h = self.hyperparam
        forgotten = h.beta ** self.t
        # One gradient tells nothing about the variance: rho is 1 then, and kept off 1 here.
        rho = min((1 - h.beta) * (1 + forgotten) / ((1 + h.beta) * (1 - forgotten)), .9999)
        return (1 - forgotten, rho / (1 - rho), h.eta * h.lr, 1 - h.eta * h.weight_decay_rate)

    def step(self, xp, x, gx, numbers, m, v):
        h = self.hyperparam
        corrected, weight, rate, kept = numbers
        for average, value in ((m, gx), (v, gx * gx)):
            average *= h.beta
            average += (1 - h.beta) * value
        mean = m / corrected
        square = mean * mean
        variance = v / corrected
        variance -= square
        xp.maximum(variance, 0, out=variance)
        variance *= weight
        variance += square
        mean *= square / xp.where(variance > 0, variance, 1)
        mean *= rate
        if h.weight_decay_rate != 0:
            x *= kept
        x -= mean


class MSVAG(GradientMethod):
    """Momentum stochastic variance-adapted gradient.  m and v are averages of g and g^2 with decay
    beta, corrected for their start at zero; each step  lr m  is multiplied by
    m^2 / (m^2 + rho s), where s is the estimated variance of g and rho that of the average.

    Args:
        lr: learning rate.
        beta: decay of both averages, in [0, 1).
        eta: schedule multiplier of step and decay.
        weight_decay_rate: decay of the weights themselves, beside the gradient.
    Balles, Hennig 2018, "Dissecting Adam: the sign, magnitude and variance of stochastic
    gradients", arXiv:1705.07774.
    """

    lr = HyperparameterProxy('lr')
    beta = HyperparameterProxy('beta')
    eta = HyperparameterProxy('eta')
    weight_decay_rate = HyperparameterProxy('weight_decay_rate')

    def __init__(self, lr=.1, beta=.9, eta=1., weight_decay_rate=0):
        super().__init__()
        self.lr, self.beta, self.eta, self.weight_decay_rate = lr, beta, eta, weight_decay_rate

    def create_update_rule(self):
        return MSVAGRule(self.hyperparam)

"""SMORMS3."""
from minichain.optimizer import GradientMethod, HyperparameterProxy
from minichain.optimizers._elementwise import ElementwiseRule


class SMORMS3Rule(ElementwiseRule):
    """Update rule of :class:`SMORMS3`."""

    defaults = {'lr': .001, 'eps': 1e-16}
    state_names = ('mem', 'g', 'g2')

    def init_state(self, param):
        super().init_state(param)
        self.state['mem'][...] = 1

    def step(self, xp, x, gx, numbers, mem, g, g2):
        r = 1 / (mem + 1)
        work = gx - g
        work *= r
        g += work
        xp.multiply(gx, gx, out=work)
        work -= g2
        work *= r
        g2 += work
        q = r   # no longer needed, so its memory takes the quotient
        xp.multiply(g, g, out=q)
        q /= g2 + self.hyperparam.eps
        xp.subtract(1, q, out=work)
        mem *= work
        mem += 1
        xp.sqrt(g2, out=work)
        work += self.hyperparam.eps
        xp.minimum(q, numbers[0], out=q)
        q *= gx
        q /= work
        x -= q


class SMORMS3(GradientMethod):
    """SMORMS3: an RMSprop that finds its own memory and step size.  r = 1 / (mem + 1),
    mean += r (g - mean),  g2 += r (g^2 - g2),  q = mean^2 / (g2 + eps),
    x -= g min(lr, q) / (sqrt(g2) + eps),  mem = 1 + mem (1 - q).  (The mean's name in the
    state is ``g``.)

    Args:
        lr: largest step size.
        eps: keeps the quotients finite.
    Funk 2015, "RMSprop loses to SMORMS3: beware the epsilon!", sifter.org/~simon/journal.
    """

    lr = HyperparameterProxy('lr')
    eps = HyperparameterProxy('eps')

    def __init__(self, lr=.001, eps=1e-16):
        super().__init__()
        self.lr, self.eps = lr, eps

    def create_update_rule(self):
        return SMORMS3Rule(self.hyperparam)

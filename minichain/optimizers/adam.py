"""Adam and its family: AdamW, AMSGrad, AdaBound, AMSBound."""
import math

import numpy as np

from minichain.backend import get_array_module
from minichain.errors import InvalidArgument
from minichain.gpu import optimizers as by_kernels
from minichain.gpu.dispatch import fused
from minichain.optimizer import GradientMethod, HyperparameterProxy, NotReady
from minichain.optimizers._elementwise import ElementwiseRule


def _corrected_alpha(hyperparam, t):
    """Return alpha with the correction for moments that start at zero, after t updates."""
    if t == 0:
        raise NotReady("Adam's learning rate depends on the number of updates, and there was none "
                       'yet; read alpha for the base')
    return hyperparam.alpha * math.sqrt(1 - hyperparam.beta2 ** t) / (1 - hyperparam.beta1 ** t)


class AdamRule(ElementwiseRule):
    """Update rule of :class:`Adam`."""

    defaults = {'alpha': .001, 'beta1': .9, 'beta2': .999, 'eps': 1e-8, 'eta': 1.,
                'weight_decay_rate': 0, 'amsgrad': False, 'adabound': False, 'final_lr': .1,
                'gamma': .001}
    state_names = ('m', 'v')
    decaying = ('m',)
    dials = ('alpha', 'eta', 'final_lr', 'gamma')

    def __init__(self, parent_hyperparam=None, **hyperparameters):
        super().__init__(parent_hyperparam, **hyperparameters)
        self._first_alpha = self.hyperparam.alpha

    alpha_t = property(lambda self: _corrected_alpha(self.hyperparam, self.t))
    lr = alpha_t

    @property
    def bounds(self):
        """(lower, upper) of the step sizes under ``adabound``."""
        _corrected_alpha(self.hyperparam, self.t)
        final = self.hyperparam.final_lr * self.hyperparam.alpha / self._first_alpha
        growth = self.hyperparam.gamma * self.t
        return final * (1 - 1 / (growth + 1)), final * (1 + 1 / growth)

    def init_state(self, param):
        super().init_state(param)
        if self.hyperparam.amsgrad:
            self.state['vhat'] = param.xp.zeros_like(param.array)

    def update_core(self, param):
        eps = self.hyperparam.eps
        if eps != 0 and np.promote_types(param.dtype, np.float32).type(eps) == 0:
            raise InvalidArgument(f'{type(self).__name__}: eps {eps} is zero in {param.dtype}; '
                                  'give a larger eps')
        super().update_core(param)

    def numbers(self):
        h, alpha_t = self.hyperparam, self.alpha_t
        first = h.eta * alpha_t, 1 - h.eta * h.weight_decay_rate, 1.
        return (*first, alpha_t, h.eta, *self.bounds) if h.adabound else first

    def shared(self):
        shared = super().shared()
        return None if shared is None else (*shared, self._first_alpha)

    def kernels(self):
        h = self.hyperparam
        is_plain = not h.amsgrad and not h.adabound and (h.eps == 0 or np.float32(h.eps) != 0)
        return (adam_step, by_kernels.adam_many, (h.beta1, h.beta2, h.eps)) if is_plain else None

    def step(self, xp, x, gx, numbers, m, v, vhat=None):
        adam_step(x, gx, numbers, m, v, vhat, self.hyperparam)


@fused(by_kernels.adam_step, accepts=by_kernels.is_plain_adam)
def adam_step(x, gx, numbers, m, v, vhat, h):
    """Change a parameter, (P,) or any shape, and its moments in place.

    Args:
        numbers: eta alpha_t, 1 - eta weight_decay_rate, 1; under ``adabound`` also alpha_t, eta
            and the bounds of the step sizes.
        vhat: the largest v so far, or None.
        h: Hyperparameter with beta1, beta2, eps, weight_decay_rate, adabound.
    """
    xp = get_array_module(x)
    if gx.dtype == np.float16:
        gx = gx.astype(np.float32)
    work = gx - m
    work *= 1 - h.beta1
    m += work
    xp.multiply(gx, gx, out=work)
    work -= v
    work *= 1 - h.beta2
    v += work
    if vhat is not None:
        xp.maximum(vhat, v, out=vhat)
    xp.sqrt(v if vhat is None else vhat, out=work)
    work += h.eps
    if h.adabound:
        xp.divide(numbers[3], work, out=work)
        xp.clip(work, numbers[5], numbers[6], out=work)
        work *= m
        work *= numbers[4]
    else:
        xp.divide(m, work, out=work)
        work *= numbers[0]
    if h.weight_decay_rate != 0:
        x *= numbers[1]
    x -= work


class Adam(GradientMethod):
    """Adam:  m += (1 - beta1) (g - m),  v += (1 - beta2) (g^2 - v),
    x -= eta (alpha_t m / (sqrt(v) + eps) + weight_decay_rate x),
    alpha_t = alpha sqrt(1 - beta2^t) / (1 - beta1^t).

    Args:
        alpha: step size.
        beta1, beta2: decay rates of the first and second moment, in [0, 1).
        eps: keeps the quotient finite.
        eta: schedule multiplier of step and decay.
        weight_decay_rate: decay of the weights themselves, beside the gradient (AdamW).
        amsgrad: divide by the largest v so far.
        adabound: clip the step sizes alpha_t / (sqrt(v) + eps) between bounds that meet at
            ``final_lr``.
        final_lr, gamma: where the bounds meet, and how fast.

    Attribute ``lr`` is alpha_t; set ``alpha`` to change it.

    Kingma, Ba 2015, "Adam: a method for stochastic optimization", arXiv:1412.6980.
    """

    alpha = HyperparameterProxy('alpha')
    beta1 = HyperparameterProxy('beta1')
    beta2 = HyperparameterProxy('beta2')
    eps = HyperparameterProxy('eps')
    eta = HyperparameterProxy('eta')
    weight_decay_rate = HyperparameterProxy('weight_decay_rate')
    amsgrad = HyperparameterProxy('amsgrad')
    adabound = HyperparameterProxy('adabound')
    final_lr = HyperparameterProxy('final_lr')
    gamma = HyperparameterProxy('gamma')

    alpha_t = property(lambda self: _corrected_alpha(self.hyperparam, self.t))
    lr = alpha_t

    def __init__(self, alpha=.001, beta1=.9, beta2=.999, eps=1e-8, eta=1., weight_decay_rate=0,
                 amsgrad=False, adabound=False, final_lr=.1, gamma=.001):
        super().__init__()
        self.alpha, self.beta1, self.beta2, self.eps, self.eta = alpha, beta1, beta2, eps, eta
        self.weight_decay_rate, self.amsgrad = weight_decay_rate, amsgrad
        self.adabound, self.final_lr, self.gamma = adabound, final_lr, gamma

    def create_update_rule(self):
        return AdamRule(self.hyperparam)


class AdamW(Adam):
    """Adam whose weight decay acts on the weights and not through the gradient.

    Loshchilov, Hutter 2019, "Decoupled weight decay regularization", arXiv:1711.05101.
    """

    def __init__(self, alpha=.001, beta1=.9, beta2=.999, eps=1e-8, eta=1., weight_decay_rate=0):
        super().__init__(alpha, beta1, beta2, eps, eta, weight_decay_rate)


class AMSGrad(Adam):
    """Adam whose step sizes never grow.

    Reddi et al. 2018, "On the convergence of Adam and beyond", arXiv:1904.09237.
    """

    def __init__(self, alpha=.001, beta1=.9, beta2=.999, eps=1e-8, eta=1.):
        super().__init__(alpha, beta1, beta2, eps, eta, amsgrad=True)


class AdaBound(Adam):
    """Adam whose step sizes are clipped towards those of gradient descent.

    Luo et al. 2019, "Adaptive gradient methods with dynamic bound of learning rate",
    arXiv:1902.09843.
    """

    def __init__(self, alpha=.001, beta1=.9, beta2=.999, final_lr=.1, gamma=.001, eps=1e-8,
                 eta=1.):
        super().__init__(alpha, beta1, beta2, eps, eta, adabound=True, final_lr=final_lr,
                         gamma=gamma)


class AMSBound(Adam):
    """AdaBound whose second moment never falls, as in AMSGrad."""

    def __init__(self, alpha=.001, beta1=.9, beta2=.999, final_lr=.1, gamma=.001, eps=1e-8,
                 eta=1.):
        super().__init__(alpha, beta1, beta2, eps, eta, amsgrad=True, adabound=True,
                         final_lr=final_lr, gamma=gamma)

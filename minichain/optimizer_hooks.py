"""Optimizer hooks: what is done to gradients before an update. Give them to ``add_hook``.

Those with ``dials``, a tuple as of update rules, can be part of a captured step: what they do is
done on the device, their numbers are constants, and they do not look at ``t``.
"""
import math

import numpy as np

from minichain import backend
from minichain.errors import InvalidArgument, NotFinite
from minichain.gpu import optimizers as by_kernels
from minichain.gpu.dispatch import fused
from minichain.gpu.many_arrays import ArrayTables
from minichain.optimizer import non_finite_gradients

BLOCK = 1 << 16   # numbers; they stay in the cache


@fused(by_kernels.squared_norm)
def squared_norm(array):
    """Return the sum of squares as an array without axes, on the array's device."""
    flat = array.ravel()
    if flat.dtype == np.float16:
        flat = flat.astype(np.float32)
    with np.errstate(over='ignore', invalid='ignore'):   # the callers look at the result
        return backend.get_array_module(array).dot(flat, flat)


@fused(by_kernels.clip, accepts=by_kernels.are_gradients)
def clip(gradient, others, threshold, tables):
    """Scale gradients by one factor so that their common L2 norm is at most ``threshold``.

    Args:
        gradient: array of any shape, changed in place. others: list of more.
        threshold: number.
        tables: ArrayTables, of use to kernels.
    Returns:
        the norm before, without axes, on the device. NumPy arrays whose norm is not finite are
        not changed; a device is not waited for, and there they become NaN or 0.
    """
    gradients, xp = [gradient, *others], backend.get_array_module(gradient)
    with np.errstate(over='ignore'):
        norm = xp.sqrt(sum(squared_norm(each) for each in gradients).astype(np.float64))
    result = norm.astype(np.result_type(np.float32, *(each.dtype for each in gradients)))
    if xp is np and not threshold < norm < math.inf:
        return result
    factor = xp.minimum(1, threshold / xp.maximum(norm, np.finfo(np.float64).tiny))
    for each in gradients:
        each *= factor.astype(each.dtype)
    return result


def _add_scaled(gradient, rate, array):
    """gradient += rate array, in blocks, so that the product takes little memory."""
    if not isinstance(gradient, np.ndarray) or not (gradient.flags.c_contiguous
                                                    and array.flags.c_contiguous):
        gradient += rate * array
        return
    gradient, array = gradient.reshape(-1), array.reshape(-1)
    for start in range(0, gradient.size, BLOCK):
        gradient[start:start + BLOCK] += rate * array[start:start + BLOCK]


def _has_gradient(param):
    return param.array is not None and param.grad is not None


def _is_plain(param):
    """Return whether kernels run on a parameter and its gradient, and both are as they expect."""
    x, gx = param.array, param.grad
    return (x is not None and gx is not None and x.shape == gx.shape and squared_norm.fuses(gx)
            and all(type(each) is type(gx) and each.dtype == np.float32
                    and each.device == gx.device and each.flags.c_contiguous for each in (x, gx)))


class WeightDecay:
    """Adds  rate x  to the gradient of every parameter x: the gradient of  rate |x|^2 / 2.

    Args:
        rate: weight of the penalty.
    """

    name = 'WeightDecay'
    call_for_each_param = True
    timing = 'pre'
    dials = ()

    def __init__(self, rate):
        self.rate, self._tables = rate, {}

    def together(self, params):
        """Do it by one launch for each device where kernels run; return the other parameters."""
        groups, left = {}, []
        for param in params:
            group = groups.setdefault(param.device, {})
            if id(param) not in group and _is_plain(param):
                group[id(param)] = param
            else:
                left.append(param)   # one that has two names comes here the second time
        for device, group in groups.items():
            if not group:
                continue
            with backend.using_device(device):
                tables = self._tables.setdefault(device.name, ArrayTables())
                work = tables.of([[each.grad, each.array] for each in group.values()],
                                 [True, False])
                if work is None:
                    left += group.values()
                else:
                    by_kernels.decay_many(work, float(self.rate))
        return left

    def __call__(self, rule, param):
        if _has_gradient(param):
            _add_scaled(param.grad, float(self.rate), param.array)


class Lasso:
    """Adds  rate sign(x)  to the gradient of every parameter x: the gradient of  rate |x|_1.

    Args:
        rate: weight of the penalty.
    """

    name = 'Lasso'
    call_for_each_param = True
    timing = 'pre'
    dials = ()

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, rule, param):
        if _has_gradient(param):
            param.grad += float(self.rate) * param.xp.sign(param.array)


class GradientClipping:
    """Scales all gradients by one factor so that their common L2 norm is at most ``threshold``.

    Args:
        threshold: largest norm, above zero.
    Raises:
        InvalidArgument: a threshold that is not above zero.
        NotFinite: at an update, a gradient with NaN or infinity. (A GPU is not waited for: there
            the parameters become NaN.)
    Pascanu et al. 2013, "On the difficulty of training recurrent neural networks",
    arXiv:1211.5063.
    """

    name = 'GradientClipping'
    timing = 'pre'
    dials = ()

    def __init__(self, threshold):
        if not threshold > 0:
            raise InvalidArgument(f'GradientClipping: threshold above zero expected, got '
                                  f'{threshold}')
        self.threshold, self._tables = threshold, ArrayTables()

    def __call__(self, optimizer):
        params = [param for param in optimizer.target.params() if _has_gradient(param)]
        if not params:
            return
        gradients = [param.grad for param in params]
        with backend.using_device(params[0].device):
            norm = clip(gradients[0], gradients[1:], float(self.threshold), self._tables)
        if isinstance(norm, (np.ndarray, np.generic)) and not math.isfinite(norm):
            self._refuse(optimizer.target, norm)

    def _refuse(self, target, norm):
        paths = non_finite_gradients(target)
        where = f'in {", ".join(paths)}' if paths else 'because the gradients are too large'
        raise NotFinite(
            f'GradientClipping: the norm of the gradients is {norm}, {where}. No parameter was '
            'changed. Use a smaller learning rate, look for log(0) or 0/0 in the loss, or find '
            'the function with minichain.set_debug(True)')


class GradientHardClipping:
    """Clips every number of every gradient to [lower_bound, upper_bound]."""

    name = 'GradientHardClipping'
    call_for_each_param = True
    timing = 'pre'
    dials = ()

    def __init__(self, lower_bound, upper_bound):
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def __call__(self, rule, param):
        if _has_gradient(param):
            param.xp.clip(param.grad, self.lower_bound, self.upper_bound, out=param.grad)


def exponential_decay_noise(xp, shape, dtype, hook, rule):
    """Return normal noise of variance  eta / (1 + t)^0.55  after t updates."""
    deviation = math.sqrt(hook.eta / (1 + rule.t) ** .55)
    return xp.asarray(xp.random.normal(0, deviation, shape)).astype(dtype)


class GradientNoise:
    """Adds noise that decays with time to the gradients.

    Args:
        eta: variance of the first noise.
        noise_func: callable(xp, shape, dtype, hook, rule) that returns the noise.
    Neelakantan et al. 2015, "Adding gradient noise improves learning for very deep networks",
    arXiv:1511.06807.
    """

    name = 'GradientNoise'
    call_for_each_param = True
    timing = 'pre'

    def __init__(self, eta, noise_func=exponential_decay_noise):
        self.eta, self.noise_func = eta, noise_func

    def __call__(self, rule, param):
        if _has_gradient(param):
            param.grad += self.noise_func(param.xp, param.shape, param.grad.dtype, self, rule)


class GradientLARS:
    """Layer-wise rates:  g = (g + weight_decay x) |x| / (eps + |g| + weight_decay |x|).

    A parameter whose norm |x| is at most ``threshold`` keeps the factor 1.

    Args:
        threshold: smallest norm of a parameter that is to be scaled.
        weight_decay: weight of the L2 penalty.
        eps: keeps the quotient finite.
    You et al. 2017, "Large batch training of convolutional networks", arXiv:1708.03888.
    """

    name = 'GradientLARS'
    call_for_each_param = True
    timing = 'pre'
    dials = ()

    def __init__(self, threshold=.01, weight_decay=0., eps=1e-9):
        self.threshold, self.weight_decay, self.eps = threshold, weight_decay, eps

    def __call__(self, rule, param):
        if not _has_gradient(param):
            return
        xp, threshold = param.xp, self.threshold
        x_norm, g_norm = (xp.sqrt(squared_norm(array).astype(np.float64))
                          for array in (param.array, param.grad))
        scaled = self.eps + g_norm + self.weight_decay * x_norm
        # What is not scaled has a divisor as well, for its quotient is computed and not looked at.
        rate = xp.where(x_norm > threshold, x_norm / xp.where(x_norm > threshold, scaled, 1), 1)
        _add_scaled(param.grad, float(self.weight_decay), param.array)
        param.grad *= rate.astype(param.grad.dtype)

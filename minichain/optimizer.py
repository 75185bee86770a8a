"""Optimizers: what all of them share. Read ``update_rule.py`` first; formulas: ``optimizers/``.

``optimizer.setup(link)`` gives every parameter an update rule of its own. ``optimizer.update()``
runs hooks over the gradients and then each rule on its parameter, in place.
"""
from minichain import backend
from minichain.autograd import Variable
from minichain.errors import DataError, InvalidArgument, InvalidType, MinichainError
from minichain.link import Link
from minichain.update_rule import Hooks, Hyperparameter, HyperparameterProxy, UpdateRule, is_reader
from minichain.variable import Parameter

__all__ = ['GradientMethod', 'Hyperparameter', 'HyperparameterProxy', 'NotReady', 'Optimizer',
           'UpdateRule', 'non_finite_gradients']


class NotReady(MinichainError, RuntimeError):
    """An optimizer was asked for something that it cannot do or tell yet."""


class Optimizer:
    """Base of everything that updates the parameters of a link.

    Attributes:
        target: the Link, after :meth:`setup`.
        t: number of updates so far.
        epoch: number of passes over the data so far; see :meth:`new_epoch`.
        use_auto_new_epoch: whether a training loop calls :meth:`new_epoch` by itself.
    """

    target = None
    t = epoch = 0
    use_auto_new_epoch = False
    _loss_scale = None
    _loss_scale_interval = 0     # 0: the scale is fixed
    _updates_since_scaling = 0
    _is_safe_to_update = True
    _hooks = None

    def setup(self, link):
        """Take charge of ``link``; earlier hooks are forgotten. Returns self.

        Raises:
            InvalidType: it is not a Link.
        """
        if not isinstance(link, Link):
            raise InvalidType(f'{type(self).__name__}.setup: Link expected, got '
                              f'{type(link).__name__}')
        self.target = link
        self.t = self.epoch = 0
        self._hooks = Hooks()
        return self

    def _expect_set_up(self):
        if self.target is None:
            raise NotReady(f'{type(self).__name__} has no target; call setup(link) first')

    def update(self, lossfun=None, *args, **kwds):
        """Update the parameters; see :class:`GradientMethod`."""
        raise NotImplementedError(f'{type(self).__name__} does not say how to update')

    def new_epoch(self, auto=False):
        """Count one more pass over the data.

        Args:
            auto: True if a training loop calls, False if the user does.
        Raises:
            NotReady: the other one of the two is to call.
        """
        if auto != self.use_auto_new_epoch:
            raise NotReady('new_epoch: use_auto_new_epoch is '
                           f'{self.use_auto_new_epoch}, so ' + (
                               'the training loop counts the epochs; do not call it yourself'
                               if self.use_auto_new_epoch else
                               'the training loop must not count; set use_auto_new_epoch = True'))
        self.epoch += 1

    def add_hook(self, hook, name=None, timing='auto'):
        """Call ``hook`` at every update.

        Args:
            hook: callable(optimizer). If its attribute ``call_for_each_param`` is true, it is
                called as hook(rule, param) for every parameter.
            name: None means ``hook.name``, or the name of the function.
            timing: 'pre' (gradients are there), 'post' (parameters are updated), or 'auto':
                what ``hook.timing`` says, else 'pre'.
        Raises:
            NotReady: before setup.
            HookNameError: the name is taken.
        """
        self._expect_set_up()
        self._hooks.add(hook, name, timing)

    def remove_hook(self, name):
        """Remove the hook ``name``."""
        self._expect_set_up()
        self._hooks.remove(name)

    def call_hooks(self, timing='pre'):
        """Call all hooks of one timing."""
        self._expect_set_up()
        for hook in getattr(self._hooks, timing).values():
            self.call_hook(hook)

    def call_hook(self, hook):
        """Call one hook, for the whole target or for each parameter."""
        if not getattr(hook, 'call_for_each_param', False):
            hook(self)
            return
        params = list(self.target.params())
        if 'together' in vars(type(hook)):   # a class that inherits it may do something else
            params = hook.together(params)
        for param in params:
            with backend.using_device(param.device):
                hook(param.update_rule, param)

    def set_loss_scale(self, loss_scale):
        """Multiply the loss by this number before backward, and divide the gradients again.

        It keeps small gradients of float16 networks from vanishing. It works in
        ``update(lossfun, ...)``, where the optimizer itself runs backward.
        """
        self._loss_scale, self._loss_scale_interval = loss_scale, 0

    def loss_scaling(self, interval=1000, scale=None):
        """Let the loss scale find itself.

        Args:
            interval: after so many updates without overflow the scale is doubled; after an
                overflow it is halved and that update is left out.
            scale: a fixed scale instead.
        """
        if scale is not None:
            self.set_loss_scale(scale)
            return
        if interval < 1:
            raise InvalidArgument(f'loss_scaling: interval of at least 1 expected, got {interval}')
        self._loss_scale, self._loss_scale_interval = 1., interval
        self._updates_since_scaling = 0

    def update_loss_scale(self):
        """Double or halve the loss scale, if it is to find itself."""
        if not self._loss_scale_interval:
            return
        self._updates_since_scaling += 1
        if not self._is_safe_to_update:
            self._loss_scale = max(1., self._loss_scale / 2)
            self._updates_since_scaling = 0
        elif self._updates_since_scaling >= self._loss_scale_interval:
            self._loss_scale = min(65504., self._loss_scale * 2)   # the largest float16
            self._updates_since_scaling = 0

    def check_nan_in_grads(self):
        """Look for NaN and infinity in the gradients; :meth:`is_safe_to_update` has the answer."""
        self._is_safe_to_update = not non_finite_gradients(self.target)

    def is_safe_to_update(self):
        """Return whether the last :meth:`check_nan_in_grads` found finite gradients only."""
        return self._is_safe_to_update

    def serialize(self, serializer):
        """Pass ``t``, ``epoch`` and the state of every update rule to ``serializer``, both ways.

        Raises:
            DataError: state in a file does not fit the target.
        """
        self._expect_set_up()
        loads = is_reader(serializer)
        self.t, self.epoch = serializer('t', self.t), serializer('epoch', self.epoch)
        if loads:
            self.t, self.epoch = int(self.t), int(self.epoch)
        params = [(path, param) for path, param in self.target.namedparams()
                  if param.update_rule is not None]
        for path, param in params:
            if loads:
                param.update_rule.t = self.t
            param.update_rule.serialize(serializer[path.strip('/')])
            if loads:
                param.update_rule.fit_state(path, param)
        rules = [param.update_rule for _, param in params if param.update_rule.enabled]
        if loads and self.t and rules and all(rule.state_is_absent for rule in rules):
            raise DataError(f'{type(self).__name__}: the file counts {self.t} updates but has no '
                            f'state of {type(self).__name__}; it is of another optimizer or of '
                            'another model')


def non_finite_gradients(link):
    """Return the paths of the parameters of ``link`` whose gradient has NaN or infinity."""
    return [path for path, param in link.namedparams()
            if param.grad is not None and not param.xp.isfinite(param.grad).all()]


class GradientMethod(Optimizer):
    """Base of the optimizers that use gradients; subclasses write :meth:`create_update_rule`.

    Attributes:
        hyperparam: the Hyperparameter that the rules of all parameters look up.
    """

    _use_cleargrads = True
    _use_fp32_update = False

    def __init__(self):
        super().__init__()
        self.hyperparam = Hyperparameter()

    def setup(self, link):
        super().setup(link)
        for param in link.params():
            param.update_rule = self.create_update_rule()
            param.update_rule.use_fp32_update(self._use_fp32_update)
        return self

    def create_update_rule(self):
        """Return a new UpdateRule whose parent is ``self.hyperparam``."""
        raise NotImplementedError(f'{type(self).__name__} does not say which rule it uses')

    def update(self, lossfun=None, *args, **kwds):
        """Make one step.

        Args:
            lossfun: if given, gradients are cleared, ``lossfun(*args, **kwds)`` is called and
                its result, a scalar Variable, is differentiated. If None, the gradients must be
                there; a parameter that has none counts as having zeros, unless its update is
                disabled.
        Raises:
            NotReady: before setup.
            InvalidType: ``lossfun`` returned no Variable.
        """
        self._expect_set_up()
        if lossfun is not None:
            self._compute_gradients(lossfun, args, kwds)
        self.reallocate_cleared_grads()
        if self._loss_scale_interval:
            self.check_nan_in_grads()
        if self._is_safe_to_update:
            self.call_hooks('pre')
        self.t += 1
        if self._is_safe_to_update:
            self._update_parameters()
            self.call_hooks('post')
        self.update_loss_scale()

    def _update_parameters(self):
        groups, grouped, known = {}, set(), {}
        for param in self.target.params():
            rule = param.update_rule
            # A parameter with two names is updated twice: once here, once in its group.
            is_plain = (rule is not None and type(param).update is Parameter.update
                        and 'update' not in vars(param))
            group = rule.group(param, known) if is_plain and id(rule) not in grouped else None
            if group is None:
                param.update()
            else:
                grouped.add(id(rule))
                groups.setdefault(group, []).append(param)
        for params in groups.values():
            with backend.using_device(params[0].device):
                params[0].update_rule.update_together(params)

    def _compute_gradients(self, lossfun, args, kwds):
        if self._use_cleargrads:
            self.target.cleargrads()
        else:
            self.target.zerograds()
        loss = lossfun(*args, **kwds)
        if not isinstance(loss, Variable):
            raise InvalidType(f'{type(self).__name__}.update: a loss function that returns a '
                              f'Variable expected, got {type(loss).__name__}')
        loss.backward(loss_scale=self._loss_scale)
        if self._loss_scale not in (None, 1):
            for param in self.target.params():
                if param.grad is not None:
                    param.grad = param.grad / self._loss_scale

    def reallocate_cleared_grads(self):
        """Give zeros as gradient to every parameter to be updated that has none.

        So weight decay and momentum also move what the loss did not reach. A frozen parameter
        (``link.disable_update()``) gets no gradient and no state.
        """
        for param in self.target.params(include_uninit=False):
            if param.grad is None and param.update_rule is not None and param.update_rule.enabled:
                param.zerograd()

    def use_cleargrads(self, use=True):
        """Choose whether ``update(lossfun)`` clears gradients (True) or zeroes them."""
        self._use_cleargrads = use

    def use_fp32_update(self, flag=True):
        """Keep float32 copies of float16 parameters, and update those."""
        self._use_fp32_update = flag
        for param in self.target.params() if self.target is not None else ():
            if param.update_rule is not None:
                param.update_rule.use_fp32_update(flag)

"""Optimizers: what all of them share. The rules themselves are in ``optimizers/``.

``optimizer.setup(link)`` gives every parameter an update rule of its own. ``optimizer.update()``
runs hooks over the gradients and then each rule on its parameter, in place.
"""
import contextlib

import numpy as np

from minichain import backend
from minichain.errors import DataError, InvalidArgument, InvalidType, MinichainError
from minichain.link import Link
from minichain.variable import Parameter


class NotReady(MinichainError, RuntimeError):
    """An optimizer was asked for something that it cannot do or tell yet."""


class Hyperparameter:
    """A set of named numbers; a name that is not set here is looked up in the parent.

    The optimizer holds one; the rule of each parameter holds a child of it. So
    ``optimizer.lr = 0.1`` sets all parameters, ``param.update_rule.hyperparam.lr = 0.01`` one.

    Args:
        parent: Hyperparameter or None.
    """

    def __init__(self, parent=None):
        self._parent = parent

    parent = property(lambda self: self._parent)

    def __getattr__(self, name):
        if name.startswith('_'):
            raise AttributeError(name)
        if self._parent is None:
            raise AttributeError(f'there is no hyperparameter {name!r}')
        return getattr(self._parent, name)

    def get_dict(self):
        """Return all names and values, those of the parents included."""
        inherited = {} if self._parent is None else self._parent.get_dict()
        own = {name: value for name, value in vars(self).items() if name != '_parent'}
        return {**inherited, **own}

    def __repr__(self):
        values = sorted(self.get_dict().items())
        return f'{type(self).__name__}({", ".join(f"{name}={value}" for name, value in values)})'


class HyperparameterProxy:
    """An attribute of an optimizer or rule that lives in its ``hyperparam``."""

    def __init__(self, attr_name):
        self.name = attr_name

    def __get__(self, owner, kind=None):
        return self if owner is None else getattr(owner.hyperparam, self.name)

    def __set__(self, owner, value):
        setattr(owner.hyperparam, self.name, value)


class _Hooks:
    """Named callables to run before ('pre') and after ('post') an update."""

    def __init__(self):
        self.pre, self.post = {}, {}

    def add(self, hook, name, timing):
        if not callable(hook):
            raise InvalidType(f'add_hook: callable expected, got {type(hook).__name__}')
        if timing == 'auto':
            timing = getattr(hook, 'timing', 'pre')
        if timing not in ('pre', 'post'):
            raise InvalidArgument(f"add_hook: timing 'auto', 'pre' or 'post' expected, got "
                                  f'{timing!r}')
        name = name or getattr(hook, 'name', None) or getattr(hook, '__name__', None) or str(hook)
        if name in self.pre or name in self.post:
            raise KeyError(f'there is a hook {name!r} already; give this one another name')
        getattr(self, timing)[name] = hook

    def remove(self, name):
        if name not in self.pre and name not in self.post:
            raise KeyError(f'there is no hook {name!r}; there are: '
                           f'{", ".join((*self.pre, *self.post)) or "none"}')
        self.pre.pop(name, None)
        self.post.pop(name, None)


class UpdateRule:
    """How one parameter follows its gradient; subclasses write :meth:`update_core`.

    Args:
        parent_hyperparam: the optimizer's Hyperparameter; None means ``defaults``.
        hyperparameters: values for this rule alone; None means the parent's.
    Attributes:
        defaults: dict of the hyperparameters and their default values.
        hyperparam: the Hyperparameter of this rule.
        enabled: if False, :meth:`update` does nothing; set by ``link.disable_update()``.
        state: dict of what the rule remembers, None before the first update.
        t: number of updates so far, those without gradient included.
    """

    defaults = {}
    is_elementwise = False

    def __init__(self, parent_hyperparam=None, **hyperparameters):
        if parent_hyperparam is None:
            parent_hyperparam = Hyperparameter()
            vars(parent_hyperparam).update(self.defaults)
        self.hyperparam = Hyperparameter(parent_hyperparam)
        for name, value in hyperparameters.items():
            if name not in self.defaults:
                raise TypeError(f'{type(self).__name__} has no hyperparameter {name!r}; there '
                                f'are: {", ".join(self.defaults)}')
            if value is not None:
                setattr(self.hyperparam, name, value)
        self.enabled = True
        self.t = 0
        self._state = self._fp32_param = None
        self._use_fp32_update = False
        self._hooks = _Hooks()

    state = property(lambda self: self._state)

    def add_hook(self, hook, name=None, timing='auto'):
        """Call ``hook(rule, param)`` at every update of this parameter."""
        self._hooks.add(hook, name, timing)

    def remove_hook(self, name):
        """Remove the hook ``name``."""
        self._hooks.remove(name)

    def use_fp32_update(self, flag=True):
        """Keep a float32 copy of a float16 parameter, and update that."""
        self._use_fp32_update = flag
        if not flag:
            self._fp32_param = None

    def update(self, param):
        """Change ``param.array`` in place along ``param.grad``.

        A parameter without array or gradient is left alone and gets no state.
        """
        if not self.enabled:
            return
        self.t += 1
        if param.array is None or param.grad is None:
            return
        with backend.using_device(param.device):
            if self._use_fp32_update and param.dtype == np.float16:
                self._update_in_fp32(param)
            else:
                self._update(param)

    def _update_in_fp32(self, param):
        copy = self._fp32_param
        if copy is None or copy.shape != param.shape or copy.device != param.device:
            copy = self._fp32_param = Parameter(param.array.astype(np.float32), name=param.name)
        copy.grad = param.grad.astype(np.float32)
        self._update(copy)
        param.array[...] = copy.array
        copy.cleargrad()

    def _update(self, param):
        if self._state is None:
            self._state = {}
            self.init_state(param)
        else:
            for name, value in self._state.items():
                if backend.is_array(value):
                    self._state[name] = param.device.send(value)
        for hook in self._hooks.pre.values():
            hook(self, param)
        self.update_core(param)
        for hook in self._hooks.post.values():
            hook(self, param)

    def init_state(self, param):
        """Fill ``self.state``; called before the first update. The default has nothing to add."""

    def update_core(self, param):
        """Change ``param.array`` in place; the default asks one of the two methods below."""
        if isinstance(param.array, np.ndarray):
            self.update_core_cpu(param)
        else:
            self.update_core_gpu(param)

    def update_core_cpu(self, param):
        """:meth:`update_core` for NumPy arrays, in a rule that has two bodies."""
        raise NotImplementedError(f'{type(self).__name__} does not say how to update')

    update_core_gpu = update_core_cpu

    def serialize(self, serializer):
        """Pass ``t`` and the state to ``serializer``, both ways.

        A file may lack the state (of a parameter that never had a gradient) or ``t`` (in files
        of Chainer 1), but not one half of the state.
        """
        if not _loads(serializer):
            self.t = serializer('t', self.t)
            for name in self._state or ():
                self._state[name] = serializer(name, self._state[name])
            return
        with contextlib.suppress(KeyError):
            self.t = int(serializer('t', self.t))
        self._fp32_param = None
        found, missing = {}, []
        for name in self._state_like(Parameter(np.zeros(0, np.float32))):
            try:
                value = serializer(name, None)
            except KeyError:
                value = None
            if value is None:
                missing.append(name)
            else:
                found[name] = value
        if found and missing:
            raise DataError(f'{type(self).__name__}: the file has {", ".join(found)} but not '
                            f'{", ".join(missing)}; it is damaged, or of another optimizer')
        self._state = found or None

    def _state_like(self, param):
        """Return the state that :meth:`init_state` makes for ``param``; nothing changes."""
        kept, self._state = self._state, {}
        try:
            self.init_state(param)
            return self._state
        finally:
            self._state = kept

    def expect_state_of(self, path, param):
        """Raise DataError unless loaded arrays have the shapes that ``param`` needs."""
        if not self._state or param.array is None:
            return
        for name, expected in self._state_like(param).items():
            shapes = np.shape(expected), np.shape(self._state[name])
            if shapes[0] != shapes[1]:
                raise DataError(f'{type(self).__name__}: {path}/{name} has shape {shapes[0]} in '
                                f'this model and {shapes[1]} in the file')


def _loads(serializer):
    return hasattr(serializer, 'load')   # Chainer's protocol: a Deserializer has load


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
        self._hooks = _Hooks()
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
            NotReady: before setup. KeyError: the name is taken.
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
        for param in self.target.params():
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
        loads = _loads(serializer)
        self.t, self.epoch = serializer('t', self.t), serializer('epoch', self.epoch)
        if loads:
            self.t, self.epoch = int(self.t), int(self.epoch)
        for path, param in self.target.namedparams():
            rule = param.update_rule
            if rule is None:
                continue
            if loads:
                rule.t = self.t
            rule.serialize(serializer[path.strip('/')])
            if loads:
                rule.expect_state_of(path, param)


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
                there; a parameter without one is skipped.
        Raises:
            NotReady: before setup.
        """
        self._expect_set_up()
        if lossfun is not None:
            self._compute_gradients(lossfun, args, kwds)
        if self._loss_scale_interval:
            self.check_nan_in_grads()
        self.t += 1
        if self._is_safe_to_update:
            self.t -= 1     # 'pre' hooks see the number of updates that are done
            self.call_hooks('pre')
            self.t += 1
            for param in self.target.params():
                param.update()
            self.call_hooks('post')
        self.update_loss_scale()

    def _compute_gradients(self, lossfun, args, kwds):
        if self._use_cleargrads:
            self.target.cleargrads()
        else:
            self.target.zerograds()
        lossfun(*args, **kwds).backward(loss_scale=self._loss_scale)
        if self._loss_scale not in (None, 1):
            for param in self.target.params():
                if param.grad is not None:
                    param.grad = param.grad / self._loss_scale

    def reallocate_cleared_grads(self):
        """Give zeros as gradient to every initialized parameter that has none.

        Call it before :meth:`update` to have weight decay and momentum move also the parameters
        that the loss did not reach.
        """
        for param in self.target.params(include_uninit=False):
            if param.grad is None:
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

"""Update rules: how one parameter follows its gradient. Their owners are in ``optimizer.py``."""
import contextlib

import numpy as np

from minichain import backend
from minichain.errors import DataError, InvalidArgument, InvalidType
from minichain.variable import Parameter


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


class HookNameError(InvalidArgument, KeyError):
    """A hook has a name that is taken, or there is no hook of a name."""

    __str__ = Exception.__str__   # KeyError shows the quoted repr


class Hooks:
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
            raise HookNameError(f'there is a hook {name!r} already; give this one another name')
        getattr(self, timing)[name] = hook

    def remove(self, name):
        if name not in self.pre and name not in self.post:
            raise HookNameError(f'there is no hook {name!r}; there are: '
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
        dials: hyperparameters that may be set between two replays of a captured step, which
            follows (see gpu/capture.py); None: nobody knows what a replay would do.
        hyperparam: the Hyperparameter of this rule.
        enabled: if False, :meth:`update` does nothing; set by ``link.disable_update()``.
        state: dict of what the rule remembers, None before the first update.
        state_is_absent: whether the file that was read last lacks all or part of the state.
        t: number of updates so far, those without gradient included.
    """

    defaults = {}
    dials = None
    is_elementwise = False

    def __init__(self, parent_hyperparam=None, **hyperparameters):
        if parent_hyperparam is None:
            parent_hyperparam = Hyperparameter()
            vars(parent_hyperparam).update(self.defaults)
        self.hyperparam = Hyperparameter(parent_hyperparam)
        for name, value in hyperparameters.items():
            if name not in self.defaults:
                raise InvalidType(f'{type(self).__name__} has no hyperparameter {name!r}; there '
                                  f'are: {", ".join(self.defaults)}')
            if value is not None:
                setattr(self.hyperparam, name, value)
        self.enabled = True
        self.t = 0
        self._state = self._fp32_param = None
        self._use_fp32_update = self.state_is_absent = False
        self._hooks = Hooks()

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

    def group(self, param, known):
        """Return what tells with which others a parameter can be updated in one go, or None.

        Parameters of equal answers, keys of a dict, may be given to :meth:`update_together` of one
        of their rules. Nothing is changed but that the state is made.

        Args:
            known: dict in which the rules of one update keep what they share.
        """

    def update_together(self, params):
        """Do what :meth:`update` of each one's rule does, for parameters of one group."""
        for param in params:
            param.update()

    def _update_in_fp32(self, param):
        copy = self._fp32_param
        if copy is None or copy.shape != param.shape or copy.device != param.device:
            copy = self._fp32_param = Parameter(param.array.astype(np.float32), name=param.name)
        copy.grad = param.grad.astype(np.float32)
        self._update(copy)
        param.array[...] = copy.array
        copy.cleargrad()

    def _prepare_state(self, param):
        if self._state is None:
            self._state = {}
            self.init_state(param)
        else:
            for name, value in self._state.items():
                if backend.is_array(value):
                    self._state[name] = param.device.send(value)

    def _update(self, param):
        self._prepare_state(param)
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
        if not is_reader(serializer):
            self.t = serializer('t', self.t)
            for name in self._state or ():
                self._state[name] = serializer(name, self._state[name])
            return
        with contextlib.suppress(KeyError):
            self.t = int(serializer('t', self.t))
        self._fp32_param = None
        self.state_is_absent = False
        found, missing = {}, []
        for name in self._state_like(Parameter(np.zeros(0, np.float32))):
            try:
                value = serializer(name, None)
            except KeyError:
                value = None
                self.state_is_absent = True
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

    def fit_state(self, path, param):
        """Give loaded state the types that ``param`` needs.

        Raises:
            DataError: a shape differs, or a dtype in more than precision.
        """
        if not self._state or param.array is None:
            return
        if self._use_fp32_update and param.dtype == np.float16:
            param = Parameter(np.zeros(param.shape, np.float32))
        for name, expected in self._state_like(param).items():
            value = np.asarray(self._state[name])
            is_array = backend.is_array(expected)
            mine = expected if is_array else np.asarray(expected)
            if mine.shape != value.shape or mine.dtype.kind != value.dtype.kind:
                raise DataError(f'{type(self).__name__}: {path}/{name} has shape {mine.shape} '
                                f'and dtype {mine.dtype} in this model, and {value.shape} and '
                                f'{value.dtype} in the file')
            self._state[name] = (value.astype(mine.dtype) if is_array
                                 else type(expected)(value.item()))


def is_reader(serializer):
    """Return whether ``serializer`` reads: by Chainer's protocol it has a method ``load``."""
    return hasattr(serializer, 'load')

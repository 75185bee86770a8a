"""Links: functions that own parameters. ``chain.py`` builds trees of them.

A Parameter that is assigned to an attribute inside ``init_scope`` is trained and saved. Paths such
as ``/lstm/upward/W`` name parameters everywhere.
"""
import contextlib
import copy

import numpy as np

from minichain import backend
from minichain.configuration import thread_state
from minichain.errors import InvalidArgument
from minichain.initializer import get_initializer
from minichain.variable import Parameter


class Link:
    """A callable with parameters and persistent values.

    Subclasses register parameters in ``__init__`` and define ``forward``::

        class Scale(Link):
            def __init__(self, size):
                super().__init__()
                with self.init_scope():
                    self.W = Parameter(1, (size,))

            def forward(self, x):
                return x * F.broadcast_to(self.W, x.shape)

    Args:
        params: name=shape of parameters to add.
    Attributes:
        name: attribute name inside the parent, None at the root.
        device, xp: where the parameters live, and the array module there.
        update_enabled: whether an optimizer may change any parameter of this tree.
        within_init_scope: whether assignments are being registered.
    """

    def __init__(self, **params):
        self._params, self._persistent = set(), set()
        self._within_init_scope = False
        self._device = backend.CpuDevice()
        self.name = None
        for name, shape in params.items():
            self.add_param(name, shape)

    within_init_scope = property(lambda self: getattr(self, '_within_init_scope', False))
    device = property(lambda self: self._device)
    xp = property(lambda self: self._device.xp)

    @property
    def printable_specs(self):
        """(name, value) pairs that ``repr`` shows, typically the constructor's arguments."""
        return ()

    def __repr__(self):
        specs = ', '.join(f'{name}={value}' for name, value in self.printable_specs)
        return f'{type(self).__name__}({specs})'

    @contextlib.contextmanager
    def init_scope(self):
        """Parameters and links assigned to ``self`` in this block are registered."""
        if not hasattr(self, '_params'):
            raise InvalidArgument(f'{type(self).__name__}: call super().__init__() before '
                                  'init_scope()')
        outer, self._within_init_scope = self._within_init_scope, True
        try:
            yield
        finally:
            self._within_init_scope = outer

    def __setattr__(self, name, value):
        if self.within_init_scope and isinstance(value, Parameter):
            value.name = name
            self._params.add(name)
            self._persistent.discard(name)
        super().__setattr__(name, value)

    def __delattr__(self, name):
        self._params.discard(name)
        self._persistent.discard(name)
        super().__delattr__(name)

    def __call__(self, *args, **kwargs):
        hooks = (*thread_state.link_hooks.values(), *self.local_link_hooks.values())
        for hook in hooks:
            hook.forward_preprocess(_LinkCall(self, args, kwargs))
        output = self.forward(*args, **kwargs)
        for hook in hooks:
            hook.forward_postprocess(_LinkCall(self, args, kwargs, output))
        return output

    def forward(self, *args, **kwargs):
        """Compute; called by ``link(...)``."""
        raise NotImplementedError(f'{type(self).__name__} defines no forward')

    local_link_hooks = {}   # replaced, never changed

    def add_hook(self, hook, name=None):
        """Call ``hook`` around every call of this link; returns self."""
        name = name or hook.name
        if name in self.local_link_hooks:
            raise InvalidArgument(f'{type(self).__name__} has a hook named {name!r} already')
        self.local_link_hooks = {**self.local_link_hooks, name: hook}
        hook.added(self)
        return self

    def delete_hook(self, name):
        """Remove the hook ``name``."""
        hooks = dict(self.local_link_hooks)
        hook = hooks.pop(name)
        self.local_link_hooks = hooks
        hook.deleted(self)

    def add_param(self, name, shape=None, dtype=None, initializer=None):
        """Register a new parameter; ``shape`` None postpones its initialization."""
        self._expect_new(name)
        if dtype is not None:
            initializer = get_initializer(initializer, default=float('nan'))
            initializer.dtype = np.dtype(dtype)
        parameter = Parameter(initializer, shape)
        with self.init_scope():
            setattr(self, name, parameter)

    def add_persistent(self, name, value):
        """Register a value that is saved with the link but not trained."""
        self._expect_new(name)
        self._persistent.add(name)
        setattr(self, name, value)

    def register_persistent(self, name):
        """Save the existing attribute ``name`` with the link."""
        if not hasattr(self, name):
            raise InvalidArgument(f'{type(self).__name__} has no attribute {name!r} to register')
        self._persistent.add(name)
        self._params.discard(name)

    def _expect_new(self, name):
        if name in vars(self):
            raise AttributeError(f'{type(self).__name__} has an attribute {name!r} already; '
                                 'give the new one another name')

    def children(self):
        """Yield the direct child links."""
        return (child for _, child in self._named_children())

    def _named_children(self):
        """Yield (path component, child link); one link may have several names."""
        return iter(())

    def links(self, skipself=False):
        """Yield this link (unless ``skipself``) and everything below it."""
        return (link for _, link in self.namedlinks(skipself))

    def namedlinks(self, skipself=False):
        """Yield (path, link); the path of this link itself is '/'."""
        if not skipself:
            yield '/', self
        for name, child in self._named_children():
            for path, link in child.namedlinks():
                yield f'/{name}{path}'.rstrip('/'), link

    def params(self, include_uninit=True):
        """Yield every parameter in the tree, by sorted names; see :meth:`namedparams`."""
        return (parameter for _, parameter in self.namedparams(include_uninit))

    def namedparams(self, include_uninit=True):
        """Yield (path, parameter), for example ('/lstm/upward/W', W).

        Args:
            include_uninit: also those that have no array yet.
        """
        for name in sorted(self._params):
            parameter = getattr(self, name)
            if include_uninit or parameter.array is not None:
                yield f'/{name}', parameter
        for name, child in self._named_children():
            for path, parameter in child.namedparams(include_uninit):
                yield f'/{name}{path}', parameter

    def count_params(self):
        """Return the number of scalars in all initialized parameters."""
        return sum(parameter.size for parameter in self.params())

    def cleargrads(self):
        """Forget all gradients."""
        for parameter in self.params():
            parameter.cleargrad()

    def zerograds(self):
        """Set all gradients to zeros."""
        for parameter in self.params(include_uninit=False):
            parameter.zerograd()

    def addgrads(self, link):
        """Add the gradients of a link of the same structure to those of this one."""
        others = dict(link.namedparams())
        for path, parameter in self.namedparams():
            parameter.addgrad(others[path])

    def copyparams(self, link, copy_persistent=True):
        """Copy the values of a link of the same structure into this one, across devices."""
        others = dict(link.namedparams())
        for path, parameter in self.namedparams():
            parameter.copydata(others[path])
        if copy_persistent:
            for mine, other in zip(self.links(), link.links()):
                for name in mine._persistent:
                    setattr(mine, name, mine.device.send(copy.deepcopy(getattr(other, name))))

    @property
    def update_enabled(self):
        return any(parameter.update_rule is not None and parameter.update_rule.enabled
                   for parameter in self.params())

    def enable_update(self):
        """Let the optimizer change all parameters of this tree."""
        self._set_update(True)

    def disable_update(self):
        """Freeze all parameters of this tree; call it after ``optimizer.setup``."""
        self._set_update(False)

    def _set_update(self, enabled):
        for parameter in self.params():
            if parameter.update_rule is not None:
                parameter.update_rule.enabled = enabled

    def copy(self, mode='share'):
        """Return a copy of the tree.

        Args:
            mode: 'share': parameters share their arrays, gradients are their own; 'copy': arrays
                are copied; 'init': the same, and parameters are drawn anew.
        Raises:
            InvalidArgument: another mode.
        """
        if mode not in ('share', 'copy', 'init'):
            raise InvalidArgument(f"copy: mode 'share', 'copy' or 'init' expected, got {mode!r}")
        if mode != 'share':
            clone = copy.deepcopy(self)
            if mode == 'init':
                for link in clone.links():
                    link._draw_params()
            return clone
        clone = copy.copy(self)
        clone._params, clone._persistent = set(self._params), set(self._persistent)
        clone._within_init_scope = False
        clone.name = None
        for name in self._params:
            parameter = copy.copy(getattr(self, name))
            parameter.cleargrad()
            object.__setattr__(clone, name, parameter)
        clone._copy_children()
        return clone

    def _draw_params(self):
        """Fill the parameters of this link, without its children, as if it were new."""
        for name in self._params:
            parameter = getattr(self, name)
            parameter.cleargrad()
            if parameter.array is not None and parameter.initializer is not None:
                parameter.initialize(parameter.shape)

    def _copy_children(self):
        pass

    def to_device(self, device):
        """Move all parameters and persistent arrays to ``device``; returns self."""
        device = backend.get_device(device)
        for link in self.links():
            link._device = device
            for name in link._params:
                getattr(link, name).to_device(device)
            for name in link._persistent:
                value = getattr(link, name)
                if backend.is_array(value):
                    object.__setattr__(link, name, device.send(value))
            link.device_resident_moved()
        return self

    def device_resident_moved(self):
        """Called after a move; override to move values that are no persistent arrays."""

    def to_cpu(self):
        """Move everything to the CPU; returns self."""
        return self.to_device('cpu')

    def to_gpu(self, device=None):
        """Move everything to GPU number ``device`` (None: 0); returns self."""
        return self.to_device(0 if device is None else device)

    def serialize(self, serializer):
        """Pass every parameter and persistent value to ``serializer``, both ways."""
        for name in sorted(self._params):
            parameter = getattr(self, name)
            data = serializer(name, parameter.array)
            if parameter.array is None and data is not None:
                parameter.initialize(data.shape)
                backend.copyto(parameter.array, data)
        for name in sorted(self._persistent):
            value = serializer(name, getattr(self, name))
            object.__setattr__(self, name, self._device.send(value)
                               if backend.is_array(value) else value)


class _LinkCall:
    """What a LinkHook is told: the link, the arguments and, after the call, the output."""

    def __init__(self, link, args, kwargs, out=None):
        self.link, self.forward_name = link, 'forward'
        self.args, self.kwargs, self.out = args, kwargs, out

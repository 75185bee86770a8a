"""FunctionHook: look at every function as it runs forward and backward."""
from minichain.autograd import FunctionNode
from minichain.configuration import thread_state
from minichain.errors import InvalidArgument


class FunctionHook:
    """Base of what is told about functions: in a ``with`` block, of all that this thread runs.

    ``function.add_hook(hook)`` has it told of one function only.

    Attributes:
        name: unique among the hooks of a thread.
    """

    name = 'FunctionHook'

    def __enter__(self):
        if self.name in thread_state.function_hooks:
            raise InvalidArgument(f'a hook named {self.name!r} is active already; give this one '
                                  'another name')
        thread_state.function_hooks[self.name] = self
        self.added(None)
        return self

    def __exit__(self, exception_type, exception, traceback):
        del thread_state.function_hooks[self.name]
        self.deleted(None)

    def added(self, function):
        """Called when the hook begins to listen: to all functions (None), or to this one."""

    def deleted(self, function):
        """Called when it no longer does."""

    def forward_preprocess(self, function, in_data):
        """Called before a forward.

        Args:
            function: FunctionNode; ``function.label`` is its name.
            in_data: tuple of the operands' arrays.
        """

    def forward_postprocess(self, function, in_data):
        """Called after a forward."""

    def backward_preprocess(self, function, in_data, out_grad):
        """Called before a backward.

        Args:
            function: FunctionNode.
            in_data: tuple of the operands' arrays, None for those that were not retained.
            out_grad: tuple of the gradient arrays of the outputs, None for zero.
        """

    def backward_postprocess(self, function, in_data, out_grad):
        """Called after a backward."""


def add_hook(function, hook, name=None):
    """Have ``hook`` told of this one function; ``name`` None takes the hook's own.

    Raises:
        InvalidArgument: the function has a hook of that name.
    """
    name = name or hook.name
    if name in function.local_function_hooks:
        raise InvalidArgument(f'{function.label} has a hook named {name!r} already; give this one '
                              'another name')
    function.local_function_hooks = {**function.local_function_hooks, name: hook}
    hook.added(function)


def delete_hook(function, name):
    """Take the hook ``name`` of this one function away."""
    if name not in function.local_function_hooks:
        raise InvalidArgument(f'{function.label} has no hook named {name!r}')
    hooks = dict(function.local_function_hooks)
    hook = hooks.pop(name)
    function.local_function_hooks = hooks
    hook.deleted(function)


FunctionNode.add_hook, FunctionNode.delete_hook = add_hook, delete_hook

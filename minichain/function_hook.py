"""FunctionHook: look at every function as it runs forward and backward."""
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
        """Called when a ``with`` block begins; `function` is None then."""

    def deleted(self, function):
        """Called when it ends."""

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

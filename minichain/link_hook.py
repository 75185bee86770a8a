"""LinkHook: look at every link as it is called."""
from minichain.configuration import thread_state
from minichain.errors import InvalidArgument


class LinkHook:
    """Base of what is told about links: in a ``with`` block, of all that this thread calls.

    ``link.add_hook(hook)`` has it told of one link only.

    Attributes:
        name: unique among the hooks of a thread, and of a link.
    """

    name = 'LinkHook'

    def __enter__(self):
        if self.name in thread_state.link_hooks:
            raise InvalidArgument(f'a hook named {self.name!r} is active already; give this one '
                                  'another name')
        thread_state.link_hooks[self.name] = self
        self.added(None)
        return self

    def __exit__(self, exception_type, exception, traceback):
        del thread_state.link_hooks[self.name]
        self.deleted(None)

    def added(self, link):
        """Called when the hook was added to `link`; None: a ``with`` block begins."""

    def deleted(self, link):
        """Called when it was taken from `link`; None: the block ends."""

    def forward_preprocess(self, args):
        """Called before a link runs.

        Args:
            args: has ``link``, ``forward_name``, ``args`` and ``kwargs`` of the call.
        """

    def forward_postprocess(self, args):
        """Called after it; `args` also has ``out``, what the link returned."""

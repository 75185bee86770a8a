"""A hook that comes with the library: how long links take."""
from minichain._timings import Timings
from minichain.link_hook import LinkHook


class TimerHook(Timings, LinkHook):
    """Measures every call of a link; a chain includes its children.

    Attributes:
        call_history: list of (name of the link's class, seconds).
    """

    name, _heading = 'TimerHook', 'LinkName'

    def forward_preprocess(self, args):
        self._start(args.link.xp)

    def forward_postprocess(self, args):
        self._stop(type(args.link).__name__, args.link.xp)

"""Ctrl-C and a polite kill as a flag, so that work stops between two steps and not in one."""
import signal


class Interruption:
    """Inside a ``with`` block, SIGINT and SIGTERM set ``raised`` instead of ending the program.

    A second Ctrl-C ends it at once.
    """

    def __enter__(self):
        self.raised = False
        self._before = {number: signal.signal(number, self._note)
                        for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _note(self, number, frame):
        if self.raised and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.raised = True

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

"""How long calls take, added up by name: what the timer hooks share."""
import sys
import time

_UNITS = {'sec': 1., 'ms': 1e3, 'us': 1e6, 'ns': 1e9}


class Timings:
    """Mixin of hooks that measure time; a call includes the calls that it makes.

    Attributes:
        call_history: list of (name, seconds), in the order in which the calls ended.
    """

    _heading = 'Name'

    def __init__(self):
        self.call_history = []
        self._starts = []

    def added(self, owner):
        self._starts.clear()   # of a call that raised an error

    def _start(self, xp):
        self._starts.append(_now(xp))

    def _stop(self, name, xp):
        self.call_history.append((name, _now(xp) - self._starts.pop()))

    def total_time(self):
        """Return the seconds of all calls together."""
        return sum(seconds for _, seconds in self.call_history)

    def summary(self):
        """Return a dict from name to a dict of ``elapsed_time`` (seconds) and ``occurrence``."""
        table = {}
        for name, seconds in self.call_history:
            row = table.setdefault(name, {'elapsed_time': 0., 'occurrence': 0})
            row['elapsed_time'] += seconds
            row['occurrence'] += 1
        return table

    def print_report(self, unit='auto', file=None):
        """Print the summary as a table, slowest first.

        Args:
            unit: 'sec', 'ms', 'us', 'ns'; 'auto' chooses for each row; 'auto_foreach' too.
            file: where; None is the standard output.
        """
        rows = [(self._heading, 'ElapsedTime', 'Occurrence')]
        table = sorted(self.summary().items(), key=lambda item: -item[1]['elapsed_time'])
        for name, row in table:
            seconds = row['elapsed_time']
            chosen = _unit_for(seconds) if unit.startswith('auto') else unit
            rows.append((name, f'{seconds * _UNITS[chosen]:3.2f}{chosen}', str(row['occurrence'])))
        widths = [max(map(len, column)) for column in zip(*rows)]
        for row in rows:
            print('  '.join(f'{text:>{width}}' for text, width in zip(row, widths)),
                  file=sys.stdout if file is None else file)


def _now(xp):
    if xp.__name__ == 'cupy':   # what was started there has to end first
        xp.cuda.get_current_stream().synchronize()
    return time.perf_counter()


def _unit_for(seconds):
    return next((unit for unit, factor in _UNITS.items() if seconds * factor >= 1), 'ns')

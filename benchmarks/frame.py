"""What every benchmark uses: a table to report, peers that may be missing, timing in turns."""
import dataclasses
import importlib
import os
import platform
import statistics
import time


@dataclasses.dataclass
class Table:
    """The answer of a benchmark.

    Attributes:
        question: what was asked, one line.
        columns: names, with units.
        rows: lists of a str or a number a column; None where there is no figure.
        notes: lines of text below the table.
        seconds: wall time that the benchmark took.
    """

    question: str
    columns: list
    rows: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)
    seconds: float = 0.

    def add(self, *row):
        """Append a row."""
        if len(row) != len(self.columns):
            raise ValueError(f'{self.question}: {len(self.columns)} cells expected, got {row}')
        self.rows.append(list(row))

    def __str__(self):
        table = [self.columns, *([format_cell(cell) for cell in row] for row in self.rows)]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.columns))]
        lines = [self.question, '']
        for number, row in enumerate(table):
            first, *others = (cell.ljust(width) if i == 0 else cell.rjust(width)
                              for i, (cell, width) in enumerate(zip(row, widths)))
            lines.append('  '.join([first, *others]).rstrip())
            if number == 0:
                lines.append('-' * len(lines[-1]))
        return '\n'.join([*lines, *([''] if self.notes else []), *self.notes])


def format_cell(cell):
    """Return a cell as text: numbers with four significant digits, nothing as '-'."""
    if cell is None:
        return '-'
    if isinstance(cell, str):
        return cell
    return f'{cell:,}' if isinstance(cell, int) else f'{cell:.4g}'


def find_peer(name):
    """Return the module of a peer, or None where it is not installed."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    if name == 'torch':
        module.set_num_threads(1)
    return module


def missing(name):
    """Return the cell and the note that stand for a peer that is not installed."""
    return 'missing', f'{name} is not installed: nothing to compare with. pip install {name}'


def time_in_turns(functions, rounds, clock=time.process_time):
    """Time functions in turns, so that what else the machine does hits all of them alike.

    Args:
        functions: dict name -> function without arguments.
        rounds: how often each is called, after one call that is not counted; each round begins
            with another one.
        clock: process_time, the CPU time of this process, or perf_counter, wall time.
    Returns:
        dict name -> list of seconds, one a round.
    """
    names, seconds = list(functions), {name: [] for name in functions}
    for function in functions.values():
        function()
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            start = clock()
            functions[name]()
            seconds[name].append(clock() - start)
    return seconds


def compare(ours, peers):
    """Return (median, least) of ours / peers, pairs of the same round: two lists of seconds."""
    ratios = [a / b for a, b in zip(ours, peers)]
    return statistics.median(ratios), min(ratios)


def verdict(value, bar):
    """Return a bar with what became of it: at most ``bar`` is met."""
    return f'{bar:g} {"met" if value <= bar else "MISSED"}'


def describe_machine():
    """Return one line: processor, cores, Python and the libraries that matter."""
    found = []
    for name in ('numpy', 'torch'):
        try:
            found.append(f'{name} {importlib.import_module(name).__version__}')
        except ImportError:
            found.append(f'no {name}')
    return (f'{os.cpu_count()}-core {platform.machine()} CPU, {platform.system()}, '
            f'Python {platform.python_version()}, {", ".join(found)}, '
            f'{os.environ.get("OPENBLAS_NUM_THREADS", "all")} BLAS thread')

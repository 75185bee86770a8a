"""A row of a table: one computation by minichain and its peers, compared first, then timed."""
import contextlib
import dataclasses
import sys

import numpy as np

from benchmarks.frame import Table, ceilings, find_peer, n_threads, quantile, verdict
from benchmarks.timing import LONG_WARM_UP, WARM_UP, compare, time_in_turns
from benchmarks.variants import DIRECT, ONEDNN, OURS, PLAIN
from minichain.backend import to_cpu

TORCH, CHANNELS_LAST, COMPILED = 'torch', 'channels_last', 'torch.compile'
ONNXRUNTIME, CHAINER = 'onnxruntime', 'Chainer'
PIP = {TORCH: 'torch', CHANNELS_LAST: 'torch', COMPILED: 'torch', ONNXRUNTIME: 'onnxruntime'}


@dataclasses.dataclass
class Computation:
    """What several libraries do with the same numbers.

    Attributes:
        name, shapes: for the table.
        functions: dict library -> function that returns an array, or a list of them. Arrays may
            be NumPy's, CuPy's, tensors or Variables. 'minichain' is among them; its other ways
            (variants.OURS) get rows of their own.
        bars: dict library -> ratios that are to be reached: the bar, then a stretch.
        work: what a call does, in ``unit``; None: no rate is shown.
        unit: 'FLOP' or 'byte', which have a ceiling, or a plural such as 'images'.
        tolerance: largest difference of outputs, as a part of the largest value of an array.
        rounds: how often each is timed at most; quick runs have 3.
        bars_of: dict way -> bars of a way other than 'minichain'.
    """

    name: str
    shapes: str
    functions: dict
    bars: dict = dataclasses.field(default_factory=dict)
    work: float | None = None
    unit: str = 'FLOP'
    tolerance: float = 1e-4
    rounds: int = 15
    bars_of: dict = dataclasses.field(default_factory=dict)


def make_table(question, peers):
    """Return a Table with the columns that ``add_row`` fills, one a peer."""
    return Table(question, ['case', 'shapes', 'dtype', 'threads', 'ms p50 (p10-p90)', 'rate',
                            '% of ceiling', *(f'/ {peer}' for peer in peers), 'bar', 'disturbed'])


def add_row(table, peers, computation, options):
    """Compare the outputs of a computation, time it, and add its row.

    Args:
        peers: as of ``make_table``; one that the computation has no function for is shown as
            missing, or as '-' if it is installed.
        options: of the command line.
    """
    if sys.stderr.isatty():
        print(f'{computation.name}, {computation.shapes}', file=sys.stderr)
    cells = {peer: None if peer not in PIP or find_peer(PIP[peer]) else 'missing'
             for peer in peers}
    functions, reasons = choose_functions(computation)
    for peer, reason in reasons.items():
        cells[peer] = 'not timed'
        table.note(f'{computation.name}: {peer} is not timed: {reason}')
    seconds = time_in_turns(functions, 3 if options.quick else computation.rounds,
                            budget=options.seconds,
                            warm_up=LONG_WARM_UP if ONNXRUNTIME in functions else WARM_UP)
    for way in [way for way in OURS if way in functions]:
        found = cells.copy()
        ratios = {peer: compare(seconds[way], seconds[peer])[0] for peer in peers
                  if peer in functions}
        for peer, ratio in ratios.items():
            found[peer] = f'{ratio:.2f} ({1e3 * quantile(seconds[peer], .5):.4g} ms)'
        median, quick, slow = (quantile(seconds[way], part) for part in (.5, .1, .9))
        table.add(computation.name + f'; {way}' * (way != PLAIN), computation.shapes, 'float32',
                  n_threads(), f'{1e3 * median:.4g} ({1e3 * quick:.4g}-{1e3 * slow:.4g})',
                  *rate(computation, median, options), *(found[peer] for peer in peers),
                  judge(ratios, {PLAIN: computation.bars, **computation.bars_of}.get(way, {})),
                  f'{seconds.disturbed} of {len(seconds.foreign)}' if seconds.disturbed else None)
    table.raw[f'{computation.name} {computation.shapes}'] = seconds.to_dict()
    if seconds.disturbed:
        table.note('Disturbed: so many of the rounds that are reported had too few cores left by '
                   'others, and so had the rounds that repeated them')
    table.note({'CPU': 'Times are CPU time of one thread, as of --threads 1.',
                'wall': 'Times are wall time.'}[seconds.clock])


def judge(ratios, bars):
    """Return the cell of bars: {library: ratio} beside {library: bars}; None without any."""
    return '; '.join(f'{peer} ' + ', '.join(verdict(ratios[peer], bar) for bar in wanted)
                     for peer, wanted in bars.items() if peer in ratios and wanted) or None


def choose_functions(computation):
    """Return (functions that give what minichain's does, {library: why another one is left out}).

    A way of minichain that gives the very same bits computed the very same thing: it is left out
    without a word.
    """
    functions, reasons = dict(computation.functions), {}
    ours = as_arrays(functions[PLAIN]())
    for peer in [name for name in functions if name != PLAIN]:
        try:
            theirs = as_arrays(functions[peer]())
        except Exception as error:      # of another library: whatever it raises is its answer
            reasons[peer] = f'it fails: {str(error).strip() or type(error).__name__:.200}'
            continue
        gap = largest_gap(ours, theirs)
        if not gap <= computation.tolerance:
            reasons[peer] = (f'its outputs differ by {gap:.2g}, at most '
                             f'{computation.tolerance:g} expected')
        elif peer in (DIRECT, ONEDNN) and all(map(np.array_equal, ours, theirs)):
            del functions[peer]
    return {name: function for name, function in functions.items() if name not in reasons}, reasons


def explain_missing(table, peers, options):
    """Add notes: which peers are not installed or were not asked for, and how to get them."""
    for package in dict.fromkeys(PIP[peer] for peer in peers if peer in PIP):
        if find_peer(package) is None:
            table.note(f'{package} is missing: pip install {package}')
    if CHAINER in peers and not options.chainer:
        table.note('Chainer was not asked for: --chainer PYTHON, of an environment that has it')
    if CHANNELS_LAST in peers and not options.compile:
        table.note('torch.compile was not asked for: --compile')


def rate(computation, seconds, options):
    """Return the cells of the rate and of its part of the machine's ceiling."""
    if computation.work is None:
        return None, None
    each = computation.work / seconds
    if computation.unit not in ('FLOP', 'byte'):
        return f'{each:.4g} {computation.unit}/s', None
    name = 'GFLOP/s' if computation.unit == 'FLOP' else 'GB/s'
    best = ceilings(options.quick)
    best = best.gflops if computation.unit == 'FLOP' else best.gbytes
    return f'{each / 1e9:.4g} {name}', f'{each / 1e9 / best:.0%}'


def as_arrays(values):
    """Return outputs of any library as a list of float64 NumPy arrays."""
    if isinstance(values, (list, tuple)):
        return [array for value in values for array in as_arrays(value)]
    values = getattr(values, 'array', values)
    if hasattr(values, 'detach'):
        values = values.detach().cpu().double().numpy()     # NumPy has no bfloat16
    return [np.asarray(to_cpu(values), 'float64')]


def largest_gap(ours, theirs):
    """Return the largest difference of two lists of arrays, as a part of the largest value."""
    if [array.shape for array in ours] != [array.shape for array in theirs]:
        return np.inf
    return max(float(abs(a - b).max(initial=0.) / (abs(b).max(initial=0.) or 1.))
               for a, b in zip(ours, theirs))


@contextlib.contextmanager
def remotes():
    """Give out a list for RemoteFunctions, whose processes end with the block."""
    opened = []
    try:
        yield opened
    finally:
        for remote in opened:
            remote.close()

"""A row of a table for a device: one computation, checked against float64, then timed.

minichain and every peer are made, called once and compared with the reference; what is off is not
timed. Then they are timed in turns.
"""
import contextlib
import dataclasses
import sys
import time

from benchmarks.comparison import as_arrays, largest_gap
from benchmarks.frame import Table, compare, quantile, time_in_turns, verdict
from benchmarks.gpu.clock import Timed
from benchmarks.gpu.peers import MissingPeerError, settled
from benchmarks.variants import PLAIN, PREPARED
from minichain.configuration import using_config
from minichain.gpu.capture import compile_step

CAPTURED, PREPARED_CAPTURED = 'captured', 'prepared, captured'
# Ways to launch an LSTM, whichever would be chosen, and config.persistent_lstm for them.
LAUNCHES = {'step by step': 'never', 'in one launch': 'always'}
WAYS = (PLAIN, CAPTURED, PREPARED, PREPARED_CAPTURED,       # of minichain; each has a row
        *LAUNCHES, *(f'{way}, {CAPTURED}' for way in LAUNCHES))
# Largest difference of a result from float64, as a part of its array's largest value.
TOLERANCE = {'float32': 1e-3, 'tf32': 1e-2, 'bf16': 6e-2}
SHARE = .75, .9             # of the roofline, where that is what is judged: the bar, a stretch


@dataclasses.dataclass
class Case:
    """One computation on a device.

    Attributes:
        name, shapes: for the table.
        precision: 'float32', 'tf32' or 'bf16': ``config.precision`` while it runs, and of peers.
        functions: dict name -> function that makes the function to be timed, which returns arrays
            (or has ``read`` and ``reset``, as :func:`~benchmarks.gpu.peers.forms` says).
            'minichain' is among them, others of WAYS may be. Of an error the table shows the
            reason.
        reference: function that returns the results in float64.
        phases: list of (operations, bytes): what a call has to do at least.
        bars: dict peer -> ratios to be reached; judged for the quickest way of minichain.
        share: parts of the roofline to be reached.
        tolerance: of the results; None: that of the precision.
        rounds: how often each is timed at most; quick runs have 3.
    """

    name: str
    shapes: str
    precision: str
    functions: dict
    reference: object
    phases: list = dataclasses.field(default_factory=list)
    bars: dict = dataclasses.field(default_factory=dict)
    share: tuple = ()
    tolerance: float | None = None
    rounds: int = 15


@dataclasses.dataclass
class GpuTable(Table):
    """A Table, with what went wrong.

    Attributes:
        failures: list of str: results of minichain that are wrong or could not be made.
    """

    failures: list = dataclasses.field(default_factory=list)


def make_table(question, peers):
    """Return a GpuTable with the columns that :func:`add_case` fills, one a peer."""
    return GpuTable(question, [
        'case', 'shapes', 'precision', 'ms p50 (p10-p90)', 'GFLOP', 'GB', 'floor ms',
        '% of roofline', 'bound by', 'launches', *(f'/ {peer}' for peer in peers), 'error', 'bar'])


def captured(update, batch, state=()):
    """Return a function that makes minichain's step as one graph.

    Args:
        update, batch, state: as of :func:`minichain.gpu.compile_step`.
    Returns:
        Function without arguments that makes it; it raises MissingPeerError with the reason if
        the step cannot be captured.
    """
    def make():
        step = compile_step(update, batch, state=state)
        for _ in range(4):      # two as written, the capture, a replay
            step(batch)
        if step.reason is not None:
            raise MissingPeerError(step.reason)
        return lambda: step(batch)
    return make


def make_functions(case):
    """Make what a case has and compare it with the reference.

    Returns:
        (functions, errors, reasons): dicts name -> function of what is right, name -> difference
        of what ran, name -> (word for the table, why it is not timed).
    """
    tolerance = TOLERANCE[case.precision] if case.tolerance is None else case.tolerance
    expected, functions, errors, reasons = as_arrays(case.reference()), {}, {}, {}
    for name, make in case.functions.items():
        try:
            function = make()
            getattr(function, 'reset', lambda: None)()
            found = function()
            errors[name] = largest_gap(
                as_arrays(getattr(function, 'read', lambda found=found: found)()), expected)
        except MissingPeerError as error:
            reasons[name] = 'missing', str(error)
        except Exception as error:      # a library's answer, whatever it raises
            reasons[name] = 'fails', f'{type(error).__name__}: {str(error).strip():.300}'
        else:
            if errors[name] <= tolerance:
                functions[name] = function
            else:
                reasons[name] = 'WRONG', (
                    f'its results differ from those in float64 by {errors[name]:.2g} of the '
                    f'largest, at most {tolerance:g} expected')
    return functions, errors, reasons


def add_case(table, peers, case, options, device):
    """Check a case, time it, and add its rows: one for every way of minichain.

    Args:
        table, peers: of :func:`make_table`.
        case: a Case, or a function that makes one.
        options: of the command line.
        device: Device of the run, with its ceilings.
    """
    with contextlib.ExitStack() as stack:
        case = case() if callable(case) else case
        stack.enter_context(settled(case.precision))
        stack.enter_context(using_config('precision', case.precision))
        if sys.stderr.isatty():
            print(f'{case.name}, {case.shapes}, {case.precision}', file=sys.stderr)
        functions, errors, reasons = make_functions(case)
        which = f'{case.name}, {case.shapes}, {case.precision}'
        for name, (word, reason) in reasons.items():
            table.note(f'{name}: {reason}' if word == 'missing' else f'{which}: {name}: {reason}')
            if name in (PLAIN, PREPARED) or name in WAYS and word == 'WRONG':
                table.failures.append(f'{which}, {name}: {reason}')
        clock = device.clock
        seconds = time_in_turns(
            {name: Timed(function, clock) for name, function in functions.items()},
            3 if options.quick else case.rounds, clock=time.perf_counter,
            budget=options.seconds) if functions else {}
        launches = {name: clock.launches(functions[name]) for name in WAYS if name in functions}
    if seconds:
        table.raw[f'{case.name} {case.shapes} {case.precision}'] = {
            **seconds.to_dict(), 'clock': clock.name, 'errors': errors, 'reasons': reasons}
    write_rows(table, peers, case, device, seconds, errors, reasons, launches, options.quick)
    del functions, case
    clock.free()


def write_rows(table, peers, case, device, seconds, errors, reasons, launches, quick):
    """Add the rows of what was measured; quick runs are not judged."""
    floor, bound = device.ceilings.floor(case.phases, case.precision)
    work, moved = (sum(each) for each in zip(*case.phases)) if case.phases else (0, 0)
    ways = [way for way in WAYS if way in case.functions]
    timed = [way for way in ways if way in seconds]
    best = min(timed, key=lambda way: quantile(seconds[way], .5), default=None)
    for way in ways:
        found = {peer: reasons[peer][0] if peer in reasons else None for peer in peers}
        ratios, share, cell = {}, None, reasons[way][0] if way in reasons else None
        if way in seconds:
            median, low, high = (1e3 * quantile(seconds[way], part) for part in (.5, .1, .9))
            cell = f'{median:.4g} ({low:.4g}-{high:.4g})'
            share = None if floor is None else 1e3 * floor / median
            ratios = {peer: compare(seconds[way], seconds[peer])[0] for peer in peers
                      if peer in seconds}
        for peer, ratio in ratios.items():
            found[peer] = f'{ratio:.2f} ({1e3 * quantile(seconds[peer], .5):.4g} ms)'
        table.add(case.name + f'; {way}' * (way != PLAIN), case.shapes, case.precision, cell,
                  work / 1e9 or None, moved / 1e9 or None, None if floor is None else 1e3 * floor,
                  None if share is None else f'{share:.0%}', bound, launches.get(way),
                  *(found[peer] for peer in peers), errors.get(way),
                  judge(case, ratios, share) if way == best and not quick else None)


def judge(case, ratios, share):
    """Return the cell of bars: what was to be reached, and whether it was; None without any."""
    found = [f'{peer} ' + ', '.join(verdict(ratios[peer], bar) for bar in wanted)
             for peer, wanted in case.bars.items() if peer in ratios and wanted]
    if case.share and share is not None:
        found.append('roofline ' + ', '.join(
            f'{wanted:.0%} {"met" if share >= wanted else "MISSED"}' for wanted in case.share))
    return '; '.join(found) or None


@dataclasses.dataclass
class Bench:
    """A device under test.

    Attributes:
        name: as on the command line.
        clock: CudaClock or HostClock. ceilings: GpuCeilings.
    """

    name: str
    clock: object
    ceilings: object

    @property
    def device(self):
        """The minichain Device."""
        return self.clock.device

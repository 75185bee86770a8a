"""Run benchmarks: python -m benchmarks [case ...]"""
import minichain  # noqa: F401  before NumPy: see minichain/cpu/blas_waiting.py

# isort: split
import argparse
import dataclasses
import importlib
import json
import math
import os
import sys
import time
import traceback

from benchmarks import frame
from benchmarks.gpu.ceilings import measure
from benchmarks.gpu.clock import clock_of
from benchmarks.gpu.rows import Bench
from benchmarks.machine import THREAD_VARIABLES
from benchmarks.timing import BUDGET
from minichain._atomic import write_atomically
from minichain.backend import import_cupy
from minichain.cpu.threads import processors
from minichain.errors import DeviceError, InvalidArgument, MinichainError
from minichain.gpu.dispatch import kernels

CASES = {
    'tape': 'microseconds that the tape costs for each operation',
    'caption_step': "steps of train.py's learner, beside nn.LSTM",
    'lstm_step': 'an LSTM over sequences, forward and backward, beside nn.LSTM',
    'decode': 'captions by greedy and beam search, beside the same search on torch',
    'conv': 'single convolutions, forward and backward',
    'networks': 'CaffeNet, SqueezeNet, GoogLeNet: inference; training of SqueezeNet, a U-Net',
    'optimizers': 'updates of all parameters, beside torch.optim',
    'memory': 'peak memory of the caption step and CaffeNet; what stays flat as data grow',
    'pipeline': 'images per second: reading, preparing, features end to end beside the CNN alone',
    'import': 'seconds that import minichain takes beyond the import of NumPy',
    'loading': 'time and memory to load a network of 244 MB, beside OpenCV',
    'article_004': "article 004's captioner: what stopped it, beside the same model in torch",
    'flickr8k': 'scores on real photos, beside torch and baselines (needs --data, --weights)',
}
MODULES = {'import': 'import_time'}
LONG = ('loading', 'article_004', 'flickr8k')   # run when named: minutes, or data, of their own
# With --device: those of which most is wanted first, since a run may be cut short.
ON_DEVICE = {
    'caption_step': "steps of train.py's learner, as one graph and without, beside torch's",
    'kernels': 'LRN, pooling, cross entropy, Adam, embedding over 256 MB, beside a copy',
    'networks': 'GoogLeNet, InceptionV3: features of 64 images; SqueezeNet: gradients',
    'decode': 'greedy and beam search, 1 to 64 images',
    'lstm_step': 'an LSTM over sequences, forward and backward',
    'optimizers': 'updates of all parameters',
    'conv': 'single convolutions, forward and backward',
    'tape': 'microseconds that the tape costs for each operation',
    'memory': 'memory that the caption step takes',
    'pipeline': 'JPEG files to captions: which stage the others wait for',
}
SIMULATED = 'sim'
WRONG, NOTHING, STOPPED = 1, 2, 130   # exit codes
READING = """
how to read a table:
  ms p50 (p10-p90)  of minichain: median, and the tenths of the rounds that were quicker or slower.
                    CPU time with --threads 1, on which other programs have little influence; wall
                    time otherwise.
  rate              GFLOP/s by the plain formula, or GB/s, or images/s.
  % of ceiling      of the matrix product, or the copy, that was measured at the start of the run
                    with as many threads.
  / torch           time of minichain / time of eager torch on NCHW tensors, median over pairs of
                    the same round; in brackets the peer's own median. Below 1 minichain is faster.
                    channels_last, torch.compile (--compile), onnxruntime, Chainer likewise.
  no Winograd       the same with config.winograd off: as many multiplications as peers make.
  oneDNN            the same with the extra minichain[onednn], where it is installed; all other
                    rows are without it.
  bar               the ratio aimed at, then a stretch, each with met or MISSED.
Outputs are compared before the clock starts: what differs is not timed. Libraries run in turns.
Rounds in which others used cores that were needed are repeated while --seconds last; what is
disturbed even so is counted in the last column. A peer that is not installed is shown as missing.

with --device cuda (or cuda:1; sim: a rehearsal without a GPU, on small data):
{cases}
  ms p50 (p10-p90)  by CUDA events. Two rows: as written, and captured as one graph.
  floor ms          what the operations and bytes of a case take at the ceilings measured before.
  launches          kernels, copies and fills that the GPU runs for a call.
  / torch           minichain's time over eager torch's; / torch graph: over the whole step as one
                    CUDA graph; / torch.compile with --compile.
  error             largest difference from the same in float64, as a part of the largest value; a
                    result that is off is WRONG, and not timed.
exit codes: 0 all is right (a peer may be missing), 1 a result of minichain was wrong or could not
be made, 2 nothing could run, 130 after Ctrl-C: files hold the cases that had ended.

examples:
  python -m benchmarks conv networks --threads 2
  python -m benchmarks networks --threads 2 --compile --chainer ~/chainer/bin/python
  python -m benchmarks --threads 2 --seconds 20 --json results.json --markdown results.md
"""


def parse_arguments(argv=None):
    """Return the options."""
    default = [case for case in CASES if case not in LONG]
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks', formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__.split(':')[0] + '. Each prints one table.',
        epilog='cases:\n' + '\n'.join(f'  {name:12} {what}' for name, what in CASES.items())
               + '\n' + READING.format(cases='\n'.join(
                   f'  {name:12} {what}' for name, what in ON_DEVICE.items())))
    add = parser.add_argument
    add('cases', nargs='*', metavar='case',
        help=f'which; without any, {", ".join(default)}')
    add('--quick', action='store_true', help='few rounds, small data: shows that it runs, no more')
    add('--seconds', type=float, default=BUDGET, metavar='S',
        help='for each row, after which no further round begins; five there are in any case '
             '(default: %(default)g)')
    add('--threads', type=int, metavar='N',
        help='threads of BLAS and of every peer (default: OPENBLAS_NUM_THREADS, else 1)')
    add('--device', default='cpu', metavar='NAME',
        help='cpu; cuda, cuda:1; or sim, which shows that all runs (default: %(default)s)')
    add('--compile', action='store_true', help='torch.compile, too: takes a minute a network')
    add('--chainer', metavar='PYTHON', help='Python of an environment with Chainer 7.8, a peer')
    add('--json', metavar='FILE', help='write tables, every second measured and the machine there')
    add('--markdown', metavar='FILE', help='write the tables there as Markdown')
    add('--data', metavar='FOLDER', help='flickr8k: captions and images in the Flickr8k layout')
    add('--weights', metavar='FILE', help='flickr8k: squeezenet_v1.0.caffemodel')
    add('--cache', metavar='FOLDER', default='result/features',
        help='flickr8k: of computed image features (default: %(default)s)')
    options = parser.parse_args(argv)
    known, where = (CASES, '') if options.device == 'cpu' else (
        ON_DEVICE, f' with --device {options.device}')
    unknown = [case for case in options.cases if case not in known]
    if unknown:
        parser.error(f'no case {", ".join(unknown)}{where}; there are {", ".join(known)}')
    most = processors()
    if options.threads is not None and not 1 <= options.threads <= most:
        parser.error(f'--threads: 1 to {most}, the processors that there are, expected, got '
                     f'{options.threads}')
    if not 0 <= options.seconds < math.inf:
        parser.error(f'--seconds: 0 or more expected, got {options.seconds:g}')
    for name, path in (('json', options.json), ('markdown', options.markdown)):
        # before the first case, which may take an hour
        folder = os.path.dirname(os.path.abspath(path or ''))
        if path is not None and (os.path.isdir(path) or not os.access(folder, os.W_OK)):
            parser.error(f'--{name}: a file in a folder that can be written to expected, got '
                         f'{path!r}')
    options.quick = options.quick or options.device == SIMULATED
    options.cases = options.cases or (default if options.device == 'cpu' else list(ON_DEVICE))
    return options


def start_again_with(threads, arguments):
    """Run this program with another number of threads, which BLAS reads when it is loaded."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    os.execve(sys.executable, [sys.executable, '-m', 'benchmarks', *arguments], environment)


def run(case, options, bench=None):
    """Return the Table of a case.

    Args:
        bench: the device under test, or None for the CPU.
    """
    started = time.perf_counter()
    folder = 'benchmarks' if bench is None else 'benchmarks.gpu'
    module = importlib.import_module(f'{folder}.{MODULES.get(case, case)}')
    table = module.run(options) if bench is None else module.run(options, bench)
    table.seconds = round(time.perf_counter() - started, 1)
    return table


def write(options, machine, ceilings, tables, failures):
    """Write the files that were asked for."""
    if options.json:
        found = {'machine': machine, 'quick': options.quick, 'threads': frame.n_threads(),
                 'device': options.device, 'ceilings': dataclasses.asdict(ceilings),
                 'tables': {case: dataclasses.asdict(table) for case, table in tables.items()},
                 'failures': failures}
        write_atomically(options.json, (json.dumps(found, indent=1) + '\n').encode())
    if options.markdown:
        parts = [f'{machine}\n\n{ceilings}',
                 *(f'## {case}\n\n{table.markdown()}' for case, table in tables.items())]
        write_atomically(options.markdown, ('\n\n'.join(parts) + '\n').encode())


def describe_device(bench):
    """Return a line about a device: its name, CUDA, and which functions have kernels."""
    found = kernels('sim' if bench.name == SIMULATED else bench.name)
    generic = [name for name, how in found.items() if how != 'kernels']
    words = 'the simulator: no figure below means anything'
    if bench.name != SIMULATED:
        runtime = import_cupy().cuda.runtime
        number = runtime.getDevice()
        words = (f'{runtime.getDeviceProperties(number)["name"].decode()}, CUDA runtime '
                 f'{runtime.runtimeGetVersion()}, driver for {runtime.driverGetVersion()}, '
                 f'CuPy {import_cupy().__version__}')
    missing = '; '.join(f'{name}: {found[name]}' for name in generic)
    return f'{bench.name}: {words}; {len(found) - len(generic)} functions run by kernels' + (
        f', {missing}' if missing else '')


def run_on_device(options, machine):
    """Run cases on a device; what becomes of one leaves the others alone. Returns the exit code.

    Raises:
        DeviceError: there is no such device.
    """
    clock = clock_of(options.device)
    bench = Bench(options.device, clock, measure(clock, options.quick))
    machine = f'{machine}\n{describe_device(bench)}'
    print(f'{machine}\n{bench.ceilings}', flush=True)
    tables, failures = {}, []
    for case in options.cases:
        try:
            tables[case] = run(case, options, bench)
        except Exception:       # of a driver, or memory that ran out: the rest may still be had
            failures.append(f'{case}: {traceback.format_exc(limit=-3)}')
            print(f'\n=== {case}: it failed\n{failures[-1]}', flush=True)
        else:
            failures += tables[case].failures
            print(f'\n=== {case} ({tables[case].seconds:.0f} s)\n{tables[case]}', flush=True)
        write(options, machine, bench.ceilings, tables, failures)
    if failures:
        print('\n'.join(['', f'WRONG or not made, {len(failures)}:', *failures]))
    return WRONG if failures else 0


def main(argv=None):
    """Run cases, print their tables; return the exit code."""
    options = parse_arguments(argv)
    if options.threads not in (None, frame.n_threads()):
        start_again_with(options.threads, sys.argv[1:] if argv is None else argv)
    machine = frame.describe_machine()
    if options.device != 'cpu':
        return run_on_device(options, machine)
    print(f'{machine}\n{frame.ceilings(options.quick)}', flush=True)
    if options.quick:
        print('--quick: small data and few rounds; whether a bar is met does not follow from it')
    tables = {}
    for case in options.cases:
        tables[case] = run(case, options)
        print(f'\n=== {case} ({tables[case].seconds:.0f} s)\n{tables[case]}', flush=True)
        # after each, so that an interruption loses one
        write(options, machine, frame.ceilings(options.quick), tables, [])
    return 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except InvalidArgument as error:
        print(f'benchmarks: error: {error}', file=sys.stderr)
        sys.exit(NOTHING)
    except DeviceError as error:
        print(f'benchmarks: {error}', file=sys.stderr)
        sys.exit(NOTHING)
    except MinichainError as error:
        sys.exit(f'benchmarks: {error}')
    except KeyboardInterrupt:
        print('benchmarks: stopped', file=sys.stderr)
        sys.exit(STOPPED)

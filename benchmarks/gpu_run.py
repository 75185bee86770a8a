"""python -m benchmarks.gpu_run --out FOLDER: all that wants a GPU, in one run of some minutes.

Kernels are compiled, device tests run, compute-sanitizer looks on, benchmarks measure. Each step
has its share of the time, and what is not used is left to the steps after it. FOLDER/<step>.log is
what a step printed; FOLDER/summary.json is whole after every step.
"""
import argparse
import contextlib
import dataclasses
import importlib.metadata
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time

from benchmarks.fresh import ROOT
from benchmarks.machine import describe_machine
from minichain._atomic import write_atomically
from minichain.backend import check_cuda_available, import_cupy
from minichain.errors import FileError, InvalidArgument, MinichainError

CAPTURE = 'tests/gpu/test_capture_on_gpu.py'
KERNELS = 'tests/gpu/test_kernels.py'
# What needs no GPU, and minutes: it runs wherever the tests do.
WITHOUT_GPU = ('tests/gpu/test_nvrtc.py', 'tests/gpu/test_planted_faults.py',
               'tests/gpu/test_sim_device.py', 'tests/gpu/test_simulator.py')
SIMULATED = ('any_order_of_threads', 'sanitizers_have_nothing')
KERNELS_ON_GPU = 'formula_on_a_gpu'
# CuPy's pool hands out parts of large blocks, within which a wild access is none to memcheck.
WITHOUT_POOL = ('import sys, cupy, pytest; cupy.cuda.set_allocator(None); '
                'sys.exit(pytest.main(sys.argv[1:]))')
# Measured in this order, a file after each case: a run may end before all is done.
FIRST = 'caption_step', 'kernels', 'networks', 'decode'
AFTERWARDS = 'lstm_step', 'optimizers', 'conv', 'memory', 'tape', 'pipeline'
COMPILED = 'caption_step', 'networks'
SECONDS = '1'       # for each row, after which no further round begins
SANITIZER_PLACES = ('CUDA_PATH', 'CUDA_HOME')


@dataclasses.dataclass(frozen=True)
class Step:
    """A program to run: its name, its command, its share of the time (of the sum of all)."""

    name: str
    command: tuple
    share: float


def find_sanitizer():
    """Return the path of compute-sanitizer, or None: PATH, then where CUDA is installed."""
    folders = [os.environ[name] for name in SANITIZER_PLACES if os.environ.get(name)]
    places = [os.environ.get('PATH', os.defpath),
              *(os.path.join(folder, 'bin') for folder in (*folders, '/usr/local/cuda'))]
    return shutil.which('compute-sanitizer', path=os.pathsep.join(places))


def make_steps(folder, sanitizer):
    """Return the steps.

    Args:
        folder: where benchmarks write their figures, <step>.json, an absolute path.
        sanitizer: path of compute-sanitizer, or None: its steps are left out.
    """
    python = sys.executable
    options = ('-q', '-p', 'no:cacheprovider')
    quicker = ' and '.join(f'not {name}' for name in SIMULATED)
    kernel_tests = (python, '-c', WITHOUT_POOL, *options, KERNELS, '-k', KERNELS_ON_GPU)

    def measure(name, cases, share, *more):
        return Step(name, (python, '-m', 'benchmarks', *cases, '--device', 'cuda', '--seconds',
                           SECONDS, '--json', os.path.join(folder, f'{name}.json'), *more), share)
    looked_at = [Step(tool, (sanitizer, '--tool', tool, '--error-exitcode', '9', *kernel_tests), 2)
                 for tool in ('memcheck', 'racecheck') if sanitizer]
    return [
        Step('warmup', (python, '-m', 'minichain.gpu', 'warmup'), 1),
        Step('tests', (python, '-m', 'pytest', *options, 'tests/gpu', '-k', quicker,
                       *(f'--ignore={path}' for path in (CAPTURE, *WITHOUT_GPU))), 3),
        Step('capture', (python, '-m', 'pytest', *options, CAPTURE), 1),
        measure('benchmarks', FIRST, 6),
        *looked_at,
        measure('more', AFTERWARDS, 4),
        measure('compiled', COMPILED, 3, '--compile')]


def describe_gpu():
    """Return lines: processor and libraries, CuPy and CUDA, each GPU with its driver.

    Raises:
        DeviceError: there is no usable GPU, with what is missing.
    """
    check_cuda_available()
    cupy = import_cupy()
    runtime = cupy.cuda.runtime
    try:
        torch = importlib.metadata.version('torch')
    except importlib.metadata.PackageNotFoundError:
        torch = 'not installed'
    lines = [describe_machine(),
             f'CuPy {cupy.__version__}, CUDA runtime {runtime.runtimeGetVersion()}, driver for '
             f'CUDA {runtime.driverGetVersion()}, torch {torch}']
    for number in range(runtime.getDeviceCount()):
        found = runtime.getDeviceProperties(number)
        lines.append(f'GPU {number}: {found["name"].decode()}, {found["major"]}.{found["minor"]}, '
                     f'{found["multiProcessorCount"]} multiprocessors, '
                     f'{found["totalGlobalMem"] / 2 ** 30:.1f} GiB')
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        driver = subprocess.run(['nvidia-smi', '--query-gpu=driver_version,clocks.max.sm',
                                 '--format=csv,noheader'], capture_output=True, text=True,
                                timeout=20, check=True)
        lines += [f'driver, top clock: {line}' for line in driver.stdout.splitlines()]
    return lines


def last_line(path):
    """Return the last line of a file that is not blank, at most 300 characters of it."""
    with open(path, 'rb') as file:
        file.seek(max(0, os.path.getsize(path) - 4096))
        lines = file.read().decode(errors='replace').splitlines()
    return next((line.strip()[-300:] for line in reversed(lines) if line.strip()), '')


def run_step(step, folder, limit):
    """Run a program; when its time is up, end it and all that it started.

    Args:
        step: a Step.
        folder: gets <name>.log.
        limit: seconds.
    Returns:
        dict for the summary.
    """
    log, started, killed = os.path.join(folder, f'{step.name}.log'), time.monotonic(), False
    with open(log, 'wb') as output:
        try:
            process = subprocess.Popen(
                step.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, 'PYTHONUNBUFFERED': '1'})    # what a killed step said is kept
        except OSError as error:
            output.write(f'{step.command[0]} does not start: {error.strerror}\n'.encode())
            process = None
        try:
            code = process.wait(limit) if process else 127
        except subprocess.TimeoutExpired:
            killed = True
        finally:    # an interrupted run, too, leaves no program on the GPU
            if process:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return {'step': step.name, 'exit_code': None if killed else code, 'killed': killed,
            'seconds': round(time.monotonic() - started, 1), 'limit': round(limit, 1),
            'last_line': last_line(log), 'command': list(step.command)}


def run_steps(steps, folder, seconds, **about):
    """Run all steps, whatever becomes of each, and return their results.

    Args:
        steps: list of Step.
        folder: for logs and the summary.
        seconds: of all steps together.
        about: more for the summary.
    """
    end, results = time.monotonic() + seconds, []
    for number in range(len(steps) + 1):
        summary = {**about, 'complete': number == len(steps), 'steps': results,
                   'to_come': [step.name for step in steps[number:]]}
        write_atomically(os.path.join(folder, 'summary.json'),
                         (json.dumps(summary, indent=1) + '\n').encode())
        if number < len(steps):
            share = steps[number].share / sum(step.share for step in steps[number:])
            result = run_step(steps[number], folder, max(.1, share * (end - time.monotonic())))
            results.append(result)
            how = 'KILLED' if result['killed'] else f'exit code {result["exit_code"]}'
            print(f'{result["step"]:12} {how:12} {result["seconds"]:6.1f} of '
                  f'{result["limit"]:.0f} s  {result["last_line"]}', flush=True)
    return results


def parse_arguments(argv=None):
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.gpu_run', description=__doc__.partition(': ')[2],
        epilog='exit code: 0 all steps passed, 1 a step failed or was killed, 2 nothing could run')
    parser.add_argument('--out', required=True, metavar='FOLDER',
                        help='for logs, summary.json and figures; made if it is missing')
    parser.add_argument('--minutes', type=float, default=8., metavar='M',
                        help='of all steps together (default: %(default)g)')
    return parser.parse_args(argv)


def run(options):
    """Run what the options ask for; return the exit code."""
    if not (options.minutes > 0 and math.isfinite(options.minutes)):
        raise InvalidArgument(f'--minutes: more than 0 expected, got {options.minutes:g}')
    machine = describe_gpu()
    folder = os.path.abspath(options.out)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise FileError(f'--out {options.out}: the folder cannot be made ({error.strerror})'
                        ) from error
    sanitizer = find_sanitizer()
    notes = [] if sanitizer else [
        'compute-sanitizer was not found in PATH, CUDA_PATH, CUDA_HOME or /usr/local/cuda: '
        'memcheck and racecheck are left out']
    print('\n'.join([*machine, *notes]), flush=True)
    results = run_steps(make_steps(folder, sanitizer), folder, 60 * options.minutes,
                        machine=machine, notes=notes, minutes=options.minutes)
    return int(any(result['exit_code'] != 0 for result in results))


def main(argv=None):
    """Run the program; return its exit code."""
    options = parse_arguments(argv)
    # A plain end by SIGTERM would leave the step's programs running.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return run(options)
    except MinichainError as error:
        print(f'python -m benchmarks.gpu_run: {error}', file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())

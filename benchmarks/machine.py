"""The machine: what it is, what it can do at best, and how much of it others use meanwhile."""
import concurrent.futures
import dataclasses
import functools
import importlib.metadata
import importlib.util
import os
import platform
import re
import time

import numpy as np

THREAD_VARIABLES = ('OPENBLAS_NUM_THREADS', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS')


def n_threads():
    """Return how many threads BLAS was given, and peers are given."""
    return int(os.environ.get(THREAD_VARIABLES[0]) or n_cores())


def cores():
    """Return the numbers of the cores that this process may use, as a set."""
    try:
        return os.sched_getaffinity(0)
    except AttributeError:      # not Linux
        return set(range(os.cpu_count() or 1))


def n_cores():
    """Return how many cores this process may use."""
    return len(cores())


def describe_machine():
    """Return one line: processor, cores, Python and the libraries that matter."""
    found = [f'{name} {importlib.metadata.version(name)}' if importlib.util.find_spec(name)
             else f'no {name}' for name in ('numpy', 'torch', 'onnxruntime')]
    blas = np.show_config(mode='dicts')['Build Dependencies']['blas']
    threads = n_threads()
    return (f'{n_cores()} cores of {processor()}, {platform.system()}, '
            f'Python {platform.python_version()}, {", ".join(found)}, '
            f'{blas.get("name")} {blas.get("version")}, '
            f'{threads} BLAS thread{"s" * (threads > 1)}, {time.strftime("%Y-%m-%d")}')


def processor():
    """Return the name of the processor."""
    try:
        with open('/proc/cpuinfo') as file:
            return re.search(r'model name\s*: (.*)', file.read())[1]
    except (OSError, TypeError):
        return f'{platform.machine()} CPU'


def default_clock():
    """Return the clock that is read: CPU time of this process for one thread, else wall time."""
    return time.process_time if n_threads() == 1 else time.perf_counter


class ForeignLoad:
    """How many cores other processes use, by the kernel's count of busy time less our own."""

    def __init__(self):
        self._before = self._read()

    def _read(self):
        busy, wanted = 0, {f'cpu{number}' for number in cores()}
        try:
            with open('/proc/stat') as file:
                for line in file:
                    name, *ticks = line.split()
                    if name in wanted:      # user, nice, system, (idle, iowait,) irq, softirq, ...
                        busy += sum(map(int, ticks[:3])) + sum(map(int, ticks[5:8]))
        except OSError:
            return None
        return (time.perf_counter(), busy / os.sysconf('SC_CLK_TCK'), time.process_time())

    def take(self, of_children=0.):
        """Return the cores that others used since the last time, None where it is not known.

        Args:
            of_children: CPU seconds of processes that belong to the benchmark.
        """
        if self._before is None:
            return None
        now = self._read()
        wall, busy, own = (after - before for after, before in zip(now, self._before))
        self._before = now
        return max(0., busy - own - of_children) / wall


@dataclasses.dataclass(frozen=True)
class Ceilings:
    """What this machine reaches at best: GFLOP/s of a matrix product, GB/s read and written."""

    gflops: float
    gbytes: float

    def __str__(self):
        return (f'ceilings: sgemm {self.gflops:.0f} GFLOP/s, copy {self.gbytes:.1f} GB/s read '
                'and written')


@functools.cache
def ceilings(quick=False):
    """Measure the ceilings, once: float32, as many threads as BLAS was given.

    Args:
        quick: small arrays, a rough answer.
    """
    side, n_values = (512, 12_000_000) if quick else (2048, 25_000_000)
    a = np.random.default_rng(0).standard_normal((2, side, side), np.float32)
    product = np.empty((side, side), 'float32')
    gemm = least(lambda: np.matmul(a[0], a[1], out=product), .3 if quick else 2)
    source, target = np.ones(n_values, 'float32'), np.zeros(n_values, 'float32')
    parts = list(zip(np.array_split(target, n_threads()), np.array_split(source, n_threads())))
    with concurrent.futures.ThreadPoolExecutor(n_threads()) as pool:
        copy = least(lambda: list(pool.map(lambda part: np.copyto(*part), parts)), .3)
    return Ceilings(2e-9 * side ** 3 / gemm, 2e-9 * source.nbytes / copy)


def least(function, budget):
    """Return the least seconds of a call, of as many as fit in a budget of wall seconds."""
    function()
    found, end, clock = [], time.perf_counter() + budget, default_clock()
    while not found or time.perf_counter() < end:
        start = clock()
        function()
        found.append(clock() - start)
    return min(found)

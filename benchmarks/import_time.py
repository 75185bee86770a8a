"""How long does ``import minichain`` take beyond the import of NumPy?"""
import os
import statistics
import subprocess
import sys

from benchmarks.frame import Table, find_peer, missing, verdict

BAR = .2
SCRIPT = ('import time, numpy; wall, cpu = time.perf_counter(), time.process_time(); import {}; '
          'print(time.perf_counter() - wall, time.process_time() - cpu)')
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def measure(module):
    """Return (wall seconds, CPU seconds) of an import in a fresh interpreter that has NumPy."""
    printed = subprocess.run([sys.executable, '-c', SCRIPT.format(module)], cwd=ROOT, check=True,
                             capture_output=True, text=True).stdout
    wall, cpu = map(float, printed.split())
    return wall, cpu


def run(options):
    """Return the Table."""
    table = Table('Import beyond that of NumPy, in fresh interpreters',
                  ['library', 'wall s, median', 'least', 'CPU s, median', 'bar'])
    modules = ['minichain'] + ['torch'] * (find_peer('torch') is not None)
    seconds = {module: [] for module in modules}
    for module in modules:      # the first import fills the disk's cache and writes bytecode
        measure(module)
    for _ in range(1 if options.quick else 11):
        for module in modules:
            seconds[module].append(measure(module))
    for module, times in seconds.items():
        wall, cpu = zip(*times)
        median = statistics.median(wall)
        table.add(module, median, min(wall), statistics.median(cpu),
                  verdict(median, BAR) if module == 'minichain' else None)
        table.raw[module] = {'wall': wall, 'cpu': cpu}
    if 'torch' not in modules:
        cell, note = missing('torch')
        table.add('torch', cell, cell, cell, None)
        table.note(note)
    return table

"""What every case imports: peers that may be missing; tables, timing and the machine beside it."""
import importlib

from benchmarks.machine import ceilings, describe_machine, n_threads
from benchmarks.table import Table, format_cell, verdict
from benchmarks.timing import Seconds, compare, quantile, time_in_turns

__all__ = ['Seconds', 'Table', 'ceilings', 'compare', 'describe_machine', 'find_peer',
           'format_cell', 'missing', 'n_threads', 'quantile', 'time_in_turns', 'verdict']


def find_peer(name):
    """Return the module of a peer, with the threads that BLAS has here; None: not installed."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    if name == 'torch':
        module.set_num_threads(n_threads())
    return module


def missing(name):
    """Return the cell and the note that stand for a peer that is not installed."""
    return 'missing', f'{name} is not installed: nothing to compare with. pip install {name}'

"""Every kernel with the formula that it is compared with, and what it may cost.

A kernel without a reference fails test_kernels.py, so that none can be forgotten.
"""
import importlib
import pkgutil
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from tests.gpu import cases

ml_dtypes = pytest.importorskip('ml_dtypes', reason='bfloat16 arrays of NumPy need ml_dtypes')
DTYPES = {'float32': np.dtype(np.float32), 'bfloat16': np.dtype(ml_dtypes.bfloat16)}
# By dtype of an output: |got - expected| <= tolerance (1 + |expected|).
TOLERANCE = {'float32': 3e-6, 'bfloat16': 2 ** -8}


class Reference(NamedTuple):
    """How a kernel is tested.

    Attributes:
        formula: called with (random, store, *size); returns the arguments of ``launch`` by name,
            and the expected contents of some of them afterwards, computed in float64.
        launch: the Python function that launches the kernel.
        sizes: tuples of ints, the first small: sanitizers run it.
        registers: that a thread may use, on any architecture.
        dtypes: of storage, ends of the names of the kernels; ('',) for one kernel of this name.
        tolerance: dict as TOLERANCE.
    """

    formula: Callable
    launch: Callable
    sizes: tuple
    registers: int
    dtypes: tuple
    tolerance: dict


REFERENCES = {}


def reference(name, launch, sizes, registers=64, dtypes=('float32', 'bfloat16'), tolerance=None):
    """Register the decorated formula for the kernels ``name_dtype``; see :class:`Reference`."""
    def register(formula):
        assert name not in REFERENCES, f'{name} has two references'
        REFERENCES[name] = Reference(formula, launch, tuple(sizes), registers, dtypes,
                                     {**TOLERANCE, **(tolerance or {})})
        return formula
    return register


def entries():
    """Return dict from the name of every kernel that has a reference to (reference, dtype)."""
    for module in pkgutil.iter_modules(cases.__path__):
        importlib.import_module(f'{cases.__name__}.{module.name}')
    return {f'{name}_{dtype}' if dtype else name: (case, dtype)
            for name, case in REFERENCES.items() for dtype in case.dtypes}


def check(name, size, xp=np):
    """Run a kernel on ``xp``'s device and compare what it wrote with its formula."""
    case, dtype = entries()[name]
    storage = DTYPES[dtype or 'float32']

    def store(values):
        return np.ascontiguousarray(values, np.float32).astype(storage)

    random = np.random.default_rng(list(size))
    arguments, expected = case.formula(random, store, *size)
    moved = {key: xp.asarray(value) if isinstance(value, np.ndarray) else value
             for key, value in arguments.items()}
    case.launch(**moved)
    assert expected, 'a reference says what is expected of at least one array'
    for key, wanted in expected.items():
        got = moved[key] if xp is np else moved[key].get()
        assert got.shape == np.shape(wanted), f'{name}: {key}'
        tolerance = case.tolerance.get(got.dtype.name, 0)
        error = np.abs(got.astype(np.float64) - wanted) / (1 + np.abs(wanted))
        assert np.all(error <= tolerance), (   # false for NaN too
            f'{name} {size}: {key} differs by {np.max(error)} (tolerance {tolerance}) in '
            f'{np.sum(~(error <= tolerance))} of {error.size} places')

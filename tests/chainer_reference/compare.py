"""Compares what minichain did with what was recorded from Chainer."""

import pathlib

import numpy as np
import pytest

from . import not_in_minichain
from .storage import load

HERE = pathlib.Path(__file__).parent
TOLERANCES = {'float16': 2e-3, 'float32': 1e-5, 'float64': 1e-7}


def parameters(cases):
    """Return the cases as pytest parameters under their own ids."""
    return [pytest.param(case, id=case.id) for case in cases]


def recorded(kind):
    """Return {id: result} of one kind of cases, as record.py wrote it."""
    return load(HERE / f'{kind}.npz')


def skip_if_left_out(kind, case):
    """Skip a case that minichain leaves out on purpose; its reason is printed."""
    names, ids = getattr(not_in_minichain, kind.upper()), not_in_minichain.CASES
    reason = ids.get(case.id) or names.get(case.name)
    if reason:
        pytest.skip(reason)


def check_left_out(kind, cases, module):
    """Fail if the list of what is left out names something that is there, or that no case uses."""
    listed = getattr(not_in_minichain, kind.upper())
    present = [name for name in listed if hasattr(module, name)]
    assert not present, f'minichain has these now: take them off the list: {present}'
    unknown = set(listed) - {case.name for case in cases}
    assert not unknown, f'no case has these names: {sorted(unknown)}'


def check_coverage(kind, cases):
    """Fail if the record and the table do not hold the same cases."""
    results, ids = recorded(kind), [case.id for case in cases]
    assert len(ids) == len(set(ids)), 'ids are unique'
    assert list(results) == ids, 'the table changed: run record.py again'


def assert_close(actual, expected, what, tolerance=None):
    """Fail unless two arrays agree in dtype, shape and, to the tolerance, in value.

    The tolerance is relative to the larger of 1 and the largest expected number; None means
    1e-7, 1e-5 or 2e-3 for float64, float32 and float16. A missing array counts as zeros.
    """
    if actual is None or expected is None:
        for each in (actual, expected):
            assert each is None or not np.any(each), f'{what}: one is missing, one not zero'
        return
    assert isinstance(actual, np.ndarray), f'{what}: an array expected, got {type(actual)}'
    assert actual.dtype == expected.dtype, f'{what}: {expected.dtype} expected, got {actual.dtype}'
    assert actual.shape == expected.shape, f'{what}: {expected.shape} expected, got {actual.shape}'
    if expected.dtype.kind != 'f':
        np.testing.assert_array_equal(actual, expected, what)
        return
    finite = np.abs(expected[np.isfinite(expected)], dtype='float64')
    tolerance = tolerance or TOLERANCES[expected.dtype.name]
    scale = max(1., finite.max(initial=0.))
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale,
                               err_msg=what)


def assert_all_close(actual, expected, what, tolerance=None):
    """Fail unless two nests agree in structure, in the order of their keys and in every leaf."""
    if isinstance(expected, dict):
        assert list(actual) == list(expected), what
        for key in expected:
            assert_all_close(actual[key], expected[key], f'{what}, {key}', tolerance)
    elif isinstance(expected, list):
        assert len(actual) == len(expected), f'{what}: {len(expected)} expected, got {len(actual)}'
        for position, pair in enumerate(zip(actual, expected)):
            assert_all_close(*pair, f'{what} {position}', tolerance)
    elif isinstance(expected, np.ndarray) or isinstance(actual, np.ndarray):
        assert_close(actual, expected, what, tolerance)
    elif isinstance(expected, float):
        assert actual == pytest.approx(expected, rel=1e-7, nan_ok=True), what
    else:
        assert actual == expected, f'{what}: {expected!r} expected, got {actual!r}'

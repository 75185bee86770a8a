"""Every function, operator and method of Variable has Chainer's values and gradients."""

import pytest

import minichain
from minichain.errors import MinichainError

from . import not_in_minichain
from .cases_functions import CASES
from .compare import (
    assert_all_close,
    check_coverage,
    check_left_out,
    parameters,
    recorded,
    skip_if_left_out,
)
from .runner import fingerprint, run_case

RECORDED = recorded('functions')
# Beside minichain's own: what len, indices, unset operators and truth values raise in Python.
REFUSALS = (MinichainError, TypeError, ValueError, IndexError, NotImplementedError)


@pytest.mark.parametrize('case', parameters(CASES))
def test_function_is_chainers(case):
    skip_if_left_out('functions', case)
    expected = RECORDED[case.id]
    if case.refused:
        with pytest.raises(REFUSALS):
            run_case(case, minichain)
        return
    assert fingerprint(case.arrays()) == expected['inputs'], 'inputs changed: run record.py again'
    actual = run_case(case, minichain)
    assert actual['structure'] == expected['structure']
    assert_all_close(actual['outputs'], expected['outputs'], 'output', case.tolerance)
    if expected['gradients'] is not None:
        assert actual['gradients'] is not None, 'no output can be differentiated'
        assert_part(actual, expected, 'gradients', case, not_in_minichain.GRADIENTS)
    if isinstance(expected['second'], list) and case.id not in not_in_minichain.GRADIENTS:
        assert isinstance(actual['second'], list), actual['second']
        assert_part(actual, expected, 'second', case, not_in_minichain.SECOND)


def assert_part(actual, expected, part, case, different):
    """Fail unless gradients agree, or do not agree where they are listed as different."""
    tolerance = case.tolerance and case.tolerance * (10 if part == 'second' else 1)
    if case.id not in different:
        assert_all_close(actual[part], expected[part], part, tolerance)
        return
    with pytest.raises(AssertionError):
        assert_all_close(actual[part], expected[part], part, tolerance)


def test_the_record_holds_the_cases_of_the_table():
    check_coverage('functions', CASES)


def test_what_differs_is_in_the_table():
    listed = {*not_in_minichain.GRADIENTS, *not_in_minichain.SECOND}
    assert listed <= {case.id for case in CASES}


def test_what_is_left_out_is_absent():
    check_left_out('functions', CASES, minichain.functions)

"""Every link has Chainer's parameters, file entries, outputs, gradients and running averages."""

import numpy as np
import pytest

import minichain

from .cases_links import CASES
from .compare import (
    assert_all_close,
    assert_close,
    check_coverage,
    check_left_out,
    parameters,
    recorded,
    skip_if_left_out,
)
from .runner import run_link

RECORDED = recorded('links')


@pytest.fixture(scope='module')
def results():
    """What minichain made of a case, computed once for the tests of its parts."""
    return {}


def of(results, case):
    """Return (actual, expected) of a case, or skip it where minichain leaves it out."""
    skip_if_left_out('links', case)
    if case.id not in results:
        results[case.id] = run_link(case, minichain)
    return results[case.id], RECORDED[case.id]


@pytest.mark.parametrize('case', parameters(CASES))
def test_parameters_and_file_entries_are_chainers(case, results):
    actual, expected = of(results, case)
    for key in ('created', 'params', 'links'):
        assert actual[key] == expected[key], key
    for key in ('file_created', 'file'):
        assert actual[key] == expected[key], key


@pytest.mark.parametrize('case', parameters(CASES))
def test_outputs_gradients_and_averages_are_chainers(case, results):
    actual, expected = of(results, case)
    for mode, ours, theirs in zip(case.modes, actual['runs'], expected['runs']):
        assert_all_close(ours, theirs, 'training' if mode else 'test', case.tolerance)


@pytest.mark.parametrize('case', parameters(CASES))
def test_initial_constants_are_chainers(case, results):
    """What Chainer starts as one constant starts as the same here; the rest is drawn here too."""
    actual, expected = of(results, case)
    for path, initial in expected['initial'].items():
        if np.all((initial == initial.ravel()[:1]) | np.isnan(initial)):
            assert_close(actual['initial'][path], initial, path)
        elif initial.size > 4:
            assert np.ptp(actual['initial'][path]) > 0, f'{path} is constant'


@pytest.mark.parametrize('case', parameters(CASES))
def test_initial_draws_are_chainers_under_one_seed(case, results):
    actual, expected = of(results, case)
    assert_all_close(actual['initial'], expected['initial'], 'initial', case.tolerance)


def test_the_record_holds_the_cases_of_the_table():
    check_coverage('links', CASES)


def test_what_is_left_out_is_absent():
    check_left_out('links', CASES, minichain.links)

"""Every initializer makes Chainer's arrays."""

import pytest

import minichain
from minichain.errors import MinichainError

from .cases_initializers import CASES
from .compare import (
    assert_all_close,
    check_coverage,
    check_left_out,
    parameters,
    recorded,
    skip_if_left_out,
)
from .runner import run_initializer

RECORDED = recorded('initializers')
REFUSALS = (MinichainError, TypeError, ValueError)
STATISTICS = 'mean', 'deviation', 'least', 'largest'


@pytest.mark.parametrize('case', parameters(CASES))
def test_arrays_are_chainers_under_one_seed(case):
    skip_if_left_out('initializers', case)
    if case.refused:
        with pytest.raises(REFUSALS):
            run_initializer(case, minichain)
        return
    assert_all_close(run_initializer(case, minichain), RECORDED[case.id], case.id)


@pytest.mark.parametrize('case', parameters([case for case in CASES if case.statistics]))
def test_large_arrays_have_chainers_mean_deviation_and_range(case):
    """For any stream of random numbers, within 5 % of the deviation, extremes within 40 %."""
    skip_if_left_out('initializers', case)
    actual, expected = (each['statistics']
                        for each in (run_initializer(case, minichain), RECORDED[case.id]))
    deviation = expected[1]
    for word, ours, theirs, bound in zip(STATISTICS, actual, expected, (.05, .05, .4, .4)):
        scale = max(abs(theirs), deviation)
        assert abs(ours - theirs) <= bound * scale, f'{word}: {theirs} expected, got {ours}'


def test_the_record_holds_the_cases_of_the_table():
    check_coverage('initializers', CASES)


def test_what_is_left_out_is_absent():
    check_left_out('initializers', CASES, minichain.initializers)

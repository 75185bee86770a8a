"""Every optimizer and hook takes Chainer's steps, keeps its state and writes its entries."""

import pytest

import minichain

from .cases_optimizers import CASES
from .compare import (
    assert_all_close,
    check_coverage,
    check_left_out,
    parameters,
    recorded,
    skip_if_left_out,
)
from .runner import run_optimizer

RECORDED = recorded('optimizers')


@pytest.mark.parametrize('case', parameters(CASES))
def test_steps_state_and_file_entries_are_chainers(case):
    skip_if_left_out('optimizers', case)
    actual, expected = run_optimizer(case, minichain), RECORDED[case.id]
    assert_all_close(actual, expected, case.id, case.tolerance)


def test_the_record_holds_the_cases_of_the_table():
    check_coverage('optimizers', CASES)


@pytest.mark.parametrize('module', ['optimizers', 'optimizer_hooks'])
def test_what_is_left_out_is_absent(module):
    check_left_out('optimizers', CASES, getattr(minichain, module))

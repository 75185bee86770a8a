"""Helpers of test suites written for Chainer."""
import unittest

import numpy as np
import pytest

import minichain
from minichain import testing


def test_assert_allclose_compares_arrays_variables_and_numbers():
    testing.assert_allclose(minichain.Variable(np.ones(3, 'f')), np.ones(3) + 1e-6)
    testing.assert_allclose(1., np.array(1.))
    testing.assert_allclose(np.array([np.nan]), np.array([np.nan]))
    for x, y in ((1., 1.1), (np.ones(3), np.zeros(3)), (np.ones(3), 1.), (np.nan, 0.)):
        with pytest.raises(AssertionError):
            testing.assert_allclose(x, y)


def test_product_gives_every_combination():
    assert testing.product({'b': [3], 'a': [1, 2]}) == [{'a': 1, 'b': 3}, {'a': 2, 'b': 3}]
    assert testing.product([[{'a': 1}, {'a': 2}], [{'b': 3}]]) == [
        {'a': 1, 'b': 3}, {'a': 2, 'b': 3}]


@testing.parameterize(*testing.product({'value': [1, 2], 'other': ['x']}))
class Parameterized(unittest.TestCase):
    seen = []

    def setUp(self):
        super(Parameterized, self).setUp()   # noqa: UP008  as scripts for Chainer write it
        self.doubled = self.value * 2

    def test_value(self):
        assert self.doubled == self.value * 2 and self.other == 'x'
        Parameterized.seen.append(self.value)


def test_every_parameter_set_has_run():
    assert sorted(Parameterized.seen) == [1, 2]
    assert 'value' in str(globals()['Parameterized_param_1']('test_value'))


class Unsteady:
    def __init__(self, failures):
        self.failures = failures
        self.runs = 0

    def run(self):
        self.runs += 1
        assert self.runs > self.failures


def test_unsteady_tests_are_run_again():
    for decorator, failures, passes, runs in (
            (testing.condition.retry(3), 2, True, 3), (testing.condition.retry(3), 3, False, 3),
            (testing.condition.repeat(3), 0, True, 3), (testing.condition.repeat(3), 1, False, 1),
            (testing.condition.repeat_with_success_at_least(4, 2), 2, True, 4)):
        case = Unsteady(failures)
        test = decorator(Unsteady.run)
        if passes:
            test(case)
        else:
            with pytest.raises(AssertionError):
                test(case)
        assert case.runs == runs


def test_gpu_tests_run_only_where_there_is_a_gpu(monkeypatch):
    for available in (True, False):
        monkeypatch.setattr('minichain.backend.cuda_available', lambda there=available: there)
        test = testing.attr.gpu(lambda: 'ran')
        if available:
            assert test() == 'ran'
        else:
            with pytest.raises(unittest.SkipTest):
                test()

import numpy as np
import pytest

from minichain import Variable
from minichain import functions as F
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('cuts, axis', [(3, 1), (2, -1), ([1, 4], 1), ((1,), 0), ([], 1),
                                        (np.array([2, 2, 5]), 1), (np.int64(2), 0), ([0, 6], 1)])
def test_split_axis_is_numpys_split(cuts, axis):
    check_function(lambda x: F.split_axis(x, cuts, axis), [RANDOM.randn(4, 6)],
                   lambda x: np.split(x, cuts, axis))


def test_parts_that_nobody_uses_have_gradient_zero():
    check_function(lambda x: F.split_axis(x, 3, 1)[1] * 2, [RANDOM.randn(2, 6)],
                   lambda x: x[:, 2:4] * 2)
    check_function(lambda x: F.separate(x, 1)[1] * 2, [RANDOM.randn(2, 3)], lambda x: x[:, 1] * 2)


def test_one_part_is_a_tuple_unless_told_otherwise():
    x = Variable(np.ones((2, 3)))
    assert isinstance(F.split_axis(x, 1, 0), tuple)
    assert isinstance(F.split_axis(x, 1, 0, force_tuple=False), Variable)


@pytest.mark.parametrize('axis', [0, 1, -1])
def test_separate_gives_slices(axis):
    check_function(lambda x: F.separate(x, axis), [RANDOM.randn(2, 3, 2)],
                   lambda x: list(np.moveaxis(x, axis, 0)))


@pytest.mark.parametrize('cuts', [4, 0, [7], [3, 1], [-1]])
def test_cuts_that_do_not_fit_are_refused(cuts):
    with pytest.raises(InvalidType, match='split_axis.*6'):
        F.split_axis(np.ones((2, 6)), cuts, 1)


def test_other_senseless_operands_are_refused():
    with pytest.raises(InvalidArgument, match='an int or a sequence'):
        F.split_axis(np.ones(3), 1.5, 0)
    with pytest.raises(InvalidType, match='at least one slice'):
        F.separate(np.ones((0, 2)))

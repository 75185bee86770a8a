import numpy as np
import pytest

from minichain import Variable
from minichain import functions as F
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X = RANDOM.randn(3, 4)


@pytest.mark.parametrize('width', [0, 2, (1, 2), ((1, 0), (0, 2)), ((1,), (2,)), [[1, 2]]])
@pytest.mark.parametrize('mode', ['constant', 'edge', 'reflect', 'symmetric', 'wrap'])
def test_pad_is_numpys(width, mode):
    check_function(lambda x: F.pad(x, width, mode), [X], lambda x: np.pad(x, width, mode))


@pytest.mark.parametrize('values', [1.5, (1., 2.), ((1., 2.), (3., 4.))])
def test_constants_are_filled_in(values):
    check_function(lambda x: F.pad(x, 1, 'constant', constant_values=values), [X],
                   lambda x: np.pad(x, 1, constant_values=values))


@pytest.mark.parametrize('arguments, options, message', [
    ((-1, 'constant'), {}, 'pad_width'), (((1, 2, 3), 'constant'), {}, 'pad_width'),
    ((1.5, 'constant'), {}, 'pad_width'), ((1, 'mean'), {}, "'mean'"),
    ((1, 'edge'), {'constant_values': 1}, 'constant_values')])
def test_what_makes_no_sense_is_refused(arguments, options, message):
    with pytest.raises(InvalidArgument, match=message):
        F.pad(X, *arguments, **options)


def test_nothing_can_be_repeated_of_an_empty_axis():
    with pytest.raises(InvalidType, match='something to repeat'):
        F.pad(np.zeros((0, 2)), 1, 'edge')
    assert F.pad(np.zeros((0, 2)), 1, 'constant').shape == (2, 4)


@pytest.mark.parametrize('length', [None, 4])
@pytest.mark.parametrize('rest', [(), (2,)])
def test_sequences_are_filled_up_behind(length, rest):
    xs = [RANDOM.randn(n, *rest) for n in (3, 1, 0)]

    def reference(*xs):
        y = np.full((3, length or 3, *rest), -1.)
        for row, x in zip(y, xs):
            row[:len(x)] = x
        return y
    check_function(lambda *xs: F.pad_sequence(xs, length, -1), xs, reference)


def test_sequences_of_integers_are_padded_too():
    y = F.pad_sequence([np.array([1, 2], 'int32'), Variable(np.array([3], 'int32'))], padding=-1)
    np.testing.assert_array_equal(y.array, [[1, 2], [3, -1]])
    assert y.dtype == np.int32


@pytest.mark.parametrize('xs, length', [
    ([], None), ([X], 2), ([X, X[0]], None), ([X, X.astype('f')], None), ([np.array(1.)], None)])
def test_sequences_that_do_not_fit_are_refused(xs, length):
    with pytest.raises(InvalidType, match='pad_sequence'):
        F.pad_sequence(xs, length)

import numpy as np
import pytest

from minichain import Variable, get_device
from minichain import functions as F
from minichain.errors import InvalidType
from minichain.gpu.simulator.arrays import no_waiting
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('axis', [0, 1, -1])
def test_concat_joins_along_any_axis(axis):
    shapes = np.full((3, 3), 2)
    shapes[:, axis] = 1, 0, 3
    xs = [RANDOM.randn(*shape) for shape in shapes]
    check_function(lambda *xs: F.concat(xs, axis), xs, lambda *xs: np.concatenate(xs, axis))


def test_a_single_array_and_the_same_twice_can_be_joined():
    check_function(lambda x: F.concat([x]), [RANDOM.randn(2, 3)], lambda x: x)
    check_function(lambda x: F.concat([x, x * x, x]), [RANDOM.randn(2, 2)],
                   lambda x: np.hstack([x, x * x, x]))


@pytest.mark.parametrize('axis', [0, 1, 2, -1])
def test_stack_makes_an_axis_anywhere(axis):
    xs = [RANDOM.randn(2, 3) for _ in range(3)]
    check_function(lambda *xs: F.stack(xs, axis), xs, lambda *xs: np.stack(xs, axis))


@pytest.mark.parametrize('join', ['concat', 'stack'])
@pytest.mark.parametrize('axis', [0, 1])
def test_many_arrays_on_a_gpu_are_joined_without_a_list_of_them_sent_there(join, axis):
    xs = [RANDOM.randn(2, 2).astype('f') for _ in range(12)]
    sent = [get_device('sim').send(x) for x in xs]
    with no_waiting():
        y = getattr(F, join)(sent, axis)
    expected = getattr(F, join)(xs, axis).array
    np.testing.assert_array_equal(y.array.get(), expected)
    assert y.dtype == expected.dtype


@pytest.mark.parametrize('name, shapes', [
    ('vstack', [(3,), (2, 3)]), ('vstack', [(2, 3), (1, 3)]), ('hstack', [(3,), (2,)]),
    ('hstack', [(), (2,)]), ('hstack', [(2, 3), (2, 1)]), ('dstack', [(3,), (3,)]),
    ('dstack', [(2, 3), (2, 3)]), ('dstack', [(2, 3, 1), (2, 3)]), ('dstack', [(), ()])])
def test_the_stack_family_is_numpys(name, shapes):
    check_function(lambda *xs: getattr(F, name)(xs), [RANDOM.randn(*shape) for shape in shapes],
                   lambda *xs: getattr(np, name)(xs))


@pytest.mark.parametrize('join, xs, message', [
    (F.concat, [], 'at least one'), (F.stack, (), 'at least one'), (F.vstack, [], 'at least one'),
    (F.concat, [np.ones((2, 3)), np.ones((3, 3))], r'except along axis 1.*\(3, 3\)'),
    (F.concat, [np.ones((2, 3)), np.ones((2, 3, 1))], 'one shape'),
    (F.concat, [np.ones((2, 3)), np.ones((2, 3), 'f')], 'float32'),
    (F.stack, [np.ones(2), np.ones(3)], 'one shape')])
def test_what_does_not_fit_is_refused(join, xs, message):
    with pytest.raises(InvalidType, match=message):
        join(xs)


def test_integers_can_be_joined():
    y = F.concat([Variable(np.arange(3)), np.arange(2)], 0)
    np.testing.assert_array_equal(y.array, [0, 1, 2, 0, 1])

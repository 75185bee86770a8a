"""What fills parameters: initializers, numbers, arrays; where and in which dtype."""
import numpy as np
import pytest

import minichain
from minichain.errors import InvalidArgument
from minichain.initializer import Constant, Initializer, generate_array, get_initializer
from tests import strict_cupy


class Ramp(Initializer):
    def __call__(self, array):
        array[...] = range(len(array))


def test_a_user_s_initializer_fills_in_place_in_its_own_dtype():
    array = generate_array(Ramp('float64'), (3,))
    assert array.tolist() == [0, 1, 2] and array.dtype == np.float64
    assert generate_array(Ramp('float64'), (3,), dtype='float16').dtype == np.float16
    assert generate_array(Ramp(), (3,)).dtype == np.float32
    with minichain.using_config('dtype', np.float16):
        assert generate_array(Ramp(), (3,)).dtype == np.float16


def test_a_base_without_a_rule_says_so():
    with pytest.raises(NotImplementedError, match='Initializer does not say how to fill'):
        Initializer()(np.zeros(2))


@pytest.mark.parametrize('given', [2, 2., np.float64(2), np.full((3,), 2.), Constant(2)])
def test_numbers_arrays_and_initializers_are_taken(given):
    assert generate_array(get_initializer(given), (3,)).tolist() == [2, 2, 2]


def test_none_stands_for_the_default():
    assert generate_array(get_initializer(None, default=5), (2,)).tolist() == [5, 5]


@pytest.mark.parametrize('given', ['zeros', [1, 2], None, {}])
def test_what_fills_nothing_is_refused_with_its_type(given):
    with pytest.raises(InvalidArgument, match=type(given).__name__):
        get_initializer(given)


def test_an_array_of_another_shape_is_refused_not_cut():
    with pytest.raises(ValueError):
        generate_array(Constant(np.zeros(3)), (2,))


def test_arrays_are_made_on_the_device_that_is_named():
    with strict_cupy.installed() as cupy:
        for where in ({'xp': cupy}, {'device': minichain.get_device('cuda')}):
            for rule in (Constant(2), Constant(np.full((3,), 2.)), Constant(cupy.full((3,), 2.))):
                array = generate_array(rule, (3,), **where)
                assert type(array) is cupy.ndarray and array.tolist() == [2, 2, 2]
        assert type(generate_array(Constant(cupy.full((3,), 2.)), (3,))) is np.ndarray


def test_initial_values_of_another_shape_are_refused_with_both():
    with pytest.raises(InvalidArgument, match=r'shape \(2, 3\) expected, got \(3, 2\)'):
        generate_array(get_initializer(np.zeros((3, 2))), (2, 3))

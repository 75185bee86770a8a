import numpy as np
import pytest

from minichain import Variable
from minichain import functions as F
from minichain.errors import InvalidType
from tests.functions.check import check_function

X = np.array([-1.7, -1, -.2, 0, .2, 1.7])


@pytest.mark.parametrize('name', ['sign', 'floor', 'ceil', 'fix'])
def test_roundings_are_numpys_constants(name):
    y = getattr(F, name)(Variable(X))
    np.testing.assert_array_equal(y.array, getattr(np, name)(X))
    assert not y.requires_grad
    assert getattr(F, name)(np.array(1.5, 'float32')).dtype == np.float32


@pytest.mark.parametrize('shapes', [((2, 3), (2, 3)), ((2, 3), (3,)), ((3,), ())])
def test_fmod_has_the_sign_of_its_first_operand(shapes):
    random = np.random.RandomState(0)
    x, divisor = random.uniform(-9, 9, shapes[0]), random.uniform(2.1, 2.3, shapes[1])
    check_function(F.fmod, [x, divisor], np.fmod, dtypes=('float32', 'float64'))


def test_fmod_of_integers_is_refused():
    with pytest.raises(InvalidType, match='fmod'):
        F.fmod(np.arange(3), np.arange(1, 4))

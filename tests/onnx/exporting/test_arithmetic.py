import numpy as np
import pytest

import minichain.functions as F
from tests.onnx.exporting.running import RUNNERS, expect_same

RANDOM = np.random.default_rng(2)
OF_TWO = {
    'operators': lambda x, y: (x + y, x - y, x * y, x / y, x // y, -x, abs(x)),
    'power': lambda x, y: F.exp(x) ** y,
    'numbers': lambda x, y: (x + 1, 2 - x, x * 3, x / 4, 1 / y, x ** 2, 2 ** x, x // 2),
    'arrays': lambda x, y: x * np.array([1, 2, 3], 'f') + np.float32(2),
    'limits': lambda x, y: (F.maximum(x, y), F.minimum(x, y), F.clip(x, -.5, .5),
                            F.clip(x, None, .5)),
    'roots': lambda x, y: (F.sqrt(abs(x)), F.rsqrt(abs(x)), F.square(x)),
    'logarithms': lambda x, y: (F.log(abs(x)), F.log2(abs(x)), F.log1p(abs(x)), F.expm1(x)),
    'differences': lambda x, y: (F.squared_difference(x, y), F.mean_squared_error(x, y)),
    'casts': lambda x, y: F.cast(F.cast(x * 3, 'int32'), 'float64'),
    'float64': lambda x, y: F.cast(x, 'float64') * 1.1 + F.cast(y, 'float64'),
}


@pytest.mark.parametrize('runner', RUNNERS)
@pytest.mark.parametrize('name', OF_TWO)
def test_arithmetic(name, runner):
    expect_same(OF_TWO[name], tuple(RANDOM.standard_normal((2, 4, 3), 'f')), runner)


@pytest.mark.parametrize('runner', RUNNERS)
def test_integers_are_divided_towards_minus_infinity(runner):
    expect_same(lambda x, y: x // y, (np.array([7, -7, 7, -7]), np.array([2, 2, -2, -2])), runner)


@pytest.mark.parametrize('runner', RUNNERS)
def test_a_condition_may_be_an_input_or_a_constant(runner):
    fixed = np.array([[True, False]])
    condition = np.array([[True, False], [False, False]])
    expect_same(lambda c, x: (F.where(c, x, x * 0), F.where(fixed, x, -x)),
                (condition, RANDOM.standard_normal((2, 2), 'f')), runner)

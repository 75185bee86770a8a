import numpy as np
import pytest

from minichain.errors import InvalidType
from minichain.functions import gaussian
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
MEAN, LN_VAR, EPS = RANDOM.uniform(-1, 1, (3, 2, 3))


def test_given_noise_is_scaled_and_shifted():
    check_function(lambda m, v: gaussian(m, v, eps=m.xp.asarray(EPS, m.dtype)), [MEAN, LN_VAR],
                   lambda m, v: m + np.sqrt(np.exp(v)) * EPS)


@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64'])
def test_samples_have_the_mean_and_the_variance(dtype):
    np.random.seed(0)
    mean, ln_var = np.full(20000, 3, dtype), np.full(20000, np.log(4), dtype)
    y, eps = gaussian(mean, ln_var, return_eps=True)
    assert y.dtype == eps.dtype == dtype
    assert abs(y.array.mean(dtype=float) - 3) < .05 and abs(y.array.std(dtype=float) - 2) < .05
    np.testing.assert_array_equal(gaussian(mean, ln_var, eps=eps).array, y.array)


def test_shapes_that_differ_are_refused():
    with pytest.raises(InvalidType, match=r'mean \(2, 3\), ln_var \(3,\)'):
        gaussian(MEAN, LN_VAR[0])
    with pytest.raises(InvalidType, match=r'eps.shape \(2, 3\) expected'):
        gaussian(MEAN, LN_VAR, eps=EPS[0])

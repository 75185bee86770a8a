import numpy as np
import pytest

from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import batch_renormalization, fixed_batch_renormalization
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X = RANDOM.uniform(-2, 2, (4, 3))
GAMMA, BETA, VAR = (RANDOM.uniform(.5, 1.5, 3) for _ in range(3))
MEAN = RANDOM.uniform(-1, 1, 3)


def test_within_the_bounds_values_are_those_of_the_running_averages():
    y = batch_renormalization(X, GAMMA, BETA, 100, 100, running_mean=MEAN, running_var=VAR)
    np.testing.assert_allclose(y.array, GAMMA * (X - MEAN) / np.sqrt(VAR + 2e-5) + BETA)


@pytest.mark.parametrize('rmax, dmax', [(1, 0), (1.1, .2), (3, 5)])
def test_the_correction_is_clipped(rmax, dmax):
    deviation = np.sqrt(VAR + 2e-5)
    r = np.clip(np.sqrt(X.var(axis=0) + 2e-5) / deviation, 1 / rmax, rmax)
    d = np.clip((X.mean(axis=0) - MEAN) / deviation, -dmax, dmax)
    y = batch_renormalization(X, GAMMA, BETA, rmax, dmax, running_mean=MEAN, running_var=VAR)
    normalized = (X - X.mean(axis=0)) / np.sqrt(X.var(axis=0) + 2e-5)
    np.testing.assert_allclose(y.array, GAMMA * (normalized * r + d) + BETA)


def test_the_correction_is_a_constant_to_the_gradient():
    """Bounds so tight that small steps leave r at 1 and d at 0: plain batch normalization."""
    check_function(
        lambda x, gamma, beta: batch_renormalization(
            x, gamma, beta, 1, 0, running_mean=x.xp.asarray(MEAN),
            running_var=x.xp.asarray(VAR)), [X, GAMMA, BETA],
        lambda x, gamma, beta: gamma * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 2e-5) + beta)


def test_averages_change_only_when_asked_and_after_use():
    mean, var = MEAN.copy(), VAR.copy()
    options = {'running_mean': mean, 'running_var': var, 'decay': .8}
    before = batch_renormalization(X, GAMMA, BETA, 2, 1, **options)
    np.testing.assert_array_equal(mean, MEAN)
    after = batch_renormalization(X, GAMMA, BETA, 2, 1, update_statistics=True, **options)
    np.testing.assert_array_equal(after.array, before.array)
    np.testing.assert_allclose(mean, .8 * MEAN + .2 * X.mean(axis=0))
    np.testing.assert_allclose(var, .8 * VAR + .2 * X.var(axis=0, ddof=1))


def test_fixed_statistics():
    check_function(fixed_batch_renormalization, [X, GAMMA, BETA, MEAN, VAR],
                   lambda x, gamma, beta, mean, var: gamma * (x - mean) / np.sqrt(var + 2e-5)
                   + beta, double=False)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidArgument, match='running_mean and running_var'):
        batch_renormalization(X, GAMMA, BETA, 2, 1)
    with pytest.raises(InvalidType, match=r'running_mean.shape \(3\) expected'):
        batch_renormalization(X, GAMMA, BETA, 2, 1, running_mean=MEAN[:1], running_var=VAR)

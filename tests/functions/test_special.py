import numpy as np
import pytest

from minichain import functions as F
from minichain.errors import InvalidType, MinichainError
from minichain.functions import special
from tests.functions.check import check_function

scipy_special = pytest.importorskip('scipy.special', reason='special functions need SciPy')
RANDOM = np.random.RandomState(0)


@pytest.mark.parametrize('name, low, high', [
    ('erf', -2, 2), ('erfc', -2, 2), ('erfcx', -1, 2), ('erfinv', -.9, .9), ('erfcinv', .2, 1.8),
    ('ndtr', -2, 2), ('ndtri', .1, .9), ('log_ndtr', -3, 3), ('lgamma', .5, 4),
    ('digamma', .5, 4)])
@pytest.mark.parametrize('shape', [(2, 3), (), (0,)])
def test_special_functions_are_scipys(name, low, high, shape):
    reference = getattr(scipy_special, 'gammaln' if name == 'lgamma' else name)
    check_function(getattr(F, name), [RANDOM.uniform(low, high, shape)], reference, gpu=False)


def test_log_ndtr_and_its_gradient_do_not_underflow():
    x = F.identity(np.array([-100.]))
    x.requires_grad = True
    y = F.log_ndtr(x)
    y.backward()
    np.testing.assert_allclose(x.grad, 100.01, rtol=1e-4)


@pytest.mark.parametrize('shapes', [((2, 3), (2, 3)), ((3,), (2, 3)), ((2, 3), (3,)), ((), (2,))])
def test_polygamma_and_zeta_broadcast_and_have_gradients_by_the_second(shapes):
    n, x = RANDOM.randint(0, 4, shapes[0]), RANDOM.uniform(1, 2, shapes[1])
    check_function(F.polygamma, [n, x], scipy_special.polygamma, gpu=False,
                   dtypes=('float32', 'float64'))
    s = RANDOM.uniform(1.5, 4, shapes[0])
    check_function(lambda q: F.zeta(s, q), [x], lambda q: scipy_special.zeta(s, q), gpu=False)


def test_orders_that_are_no_integers_are_refused():
    with pytest.raises(InvalidType, match='polygamma'):
        F.polygamma(np.ones(2), np.ones(2))


def test_without_scipy_the_message_names_the_extra(monkeypatch):
    def absent(name):
        raise ImportError(f'No module named {name!r}')
    monkeypatch.setattr(special.importlib, 'import_module', absent)
    special._library.cache_clear()
    with pytest.raises(MinichainError, match=r'minichain\[scipy\]'):
        F.erf(np.ones(2))
    monkeypatch.undo()
    special._library.cache_clear()

import numpy as np
import pytest

from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import bernoulli_nll, gaussian_kl_divergence, gaussian_nll
from tests.functions.check import check_function

A, B, C = np.random.RandomState(0).uniform(.1, .9, (3, 2, 3))


def bernoulli(x, y):
    p = 1 / (1 + np.exp(-y))
    return -x * np.log(p) - (1 - x) * np.log(1 - p)


def normal(x, mean, ln_var):
    deviation = np.exp(ln_var / 2)
    return -np.log(np.exp(-((x - mean) / deviation) ** 2 / 2) / deviation / np.sqrt(2 * np.pi))


def divergence(mean, ln_var):
    """Integral of p log(p / q), by sums over a fine grid."""
    x = np.linspace(-15, 15, 20001).reshape(-1, 1, 1)
    p = np.exp(-normal(x, mean, ln_var))
    return (p * (normal(x, 0, 0) - normal(x, mean, ln_var))).sum(axis=0) * (x[1] - x[0])


CASES = [(bernoulli_nll, bernoulli, [A, B - .5]), (gaussian_nll, normal, [A, B, C]),
         (gaussian_kl_divergence, divergence, [A, B])]


@pytest.mark.parametrize('function, formula, operands', CASES)
@pytest.mark.parametrize('reduce, reduction', [('sum', np.sum), ('mean', np.mean),
                                               ('no', lambda y: y)])
def test_values_and_gradients(function, formula, operands, reduce, reduction):
    check_function(lambda *xs: function(*xs, reduce=reduce), operands,
                   lambda *xs: reduction(formula(*xs)))


@pytest.mark.parametrize('function, formula, operands', CASES)
def test_what_does_not_fit_is_refused(function, formula, operands):
    with pytest.raises(InvalidType, match='one shape'):
        function(operands[0][:1], *operands[1:])
    with pytest.raises(InvalidArgument, match="'all'"):
        function(*operands, reduce='all')

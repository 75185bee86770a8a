import numpy as np
import pytest

from minichain import Variable
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions import contrastive, triplet
from tests.functions.check import check_function

A, B, C = np.random.RandomState(0).uniform(-1, 1, (3, 5, 3))
ALIKE = np.array([0, 1, 1, 0, 0])


def pairs(x, y, alike, margin):
    d = np.sqrt(((x - y) ** 2).sum(axis=1))
    return np.where(alike == 1, d ** 2, np.maximum(margin - d, 0) ** 2) / 2


@pytest.mark.parametrize('margin', [1, 1.8, 3.])
def test_contrastive(margin):
    check_function(lambda *xs: contrastive(*xs, margin), [A, B, ALIKE],
                   lambda *xs: pairs(*xs, margin).mean())
    check_function(lambda *xs: contrastive(*xs, margin, reduce='no'), [A, B, ALIKE],
                   lambda *xs: pairs(*xs, margin))


def test_equal_samples_have_finite_gradients():
    x = Variable(A)
    contrastive(x, A, ALIKE).backward()
    assert not x.grad.any()


@pytest.mark.parametrize('margin', [.2, 2.])
def test_triplet(margin):
    def losses(a, p, n):
        return np.maximum(0, ((a - p) ** 2).sum(axis=1) - ((a - n) ** 2).sum(axis=1) + margin)
    assert (losses(A, B, C) > 0).any()
    check_function(lambda *xs: triplet(*xs, margin), [A, B, C], lambda *xs: losses(*xs).mean())
    check_function(lambda *xs: triplet(*xs, margin, reduce='no'), [A, B, C], losses)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InvalidArgument, match='margin > 0'):
        contrastive(A, B, ALIKE, margin=0)
    with pytest.raises(InvalidArgument, match='margin > 0'):
        triplet(A, B, C, margin=-1)
    with pytest.raises(InvalidType, match=r'negative \(4, 3\)'):
        triplet(A, B, C[1:])
    with pytest.raises(InvalidType, match='integer'):
        contrastive(A, B, ALIKE.astype(float))

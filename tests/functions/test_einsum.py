import numpy as np
import pytest

from minichain import Variable
from minichain import functions as F
from minichain.errors import InvalidArgument, InvalidType
from tests.functions.check import check_function

RANDOM = np.random.RandomState(0)
X = np.ones((2, 3))


@pytest.mark.parametrize('subscripts, shapes', [
    ('ij,jk->ik', [(2, 3), (3, 4)]), ('ij,jk', [(2, 3), (3, 4)]), ('ba', [(2, 3)]),
    ('ij->', [(2, 3)]), ('ii', [(3, 3)]), ('ii->i', [(3, 3)]), ('iij,j->i', [(2, 2, 3), (3,)]),
    ('iii->i', [(2, 2, 2)]), ('ij,jk,kl->il', [(2, 3), (3, 4), (4, 2)]),
    ('ij,ij,ij->j', [(2, 3)] * 3), ('i,j->ji', [(2,), (3,)]), ('ij,k->k', [(2, 3), (2,)]),
    ('...j,jk->...k', [(2, 3, 4), (4, 2)]), ('...ij,...jk->...ik', [(1, 2, 3), (5, 3, 2)]),
    ('...i,...i', [(2, 1, 3), (4, 3)]), (' ij, ij -> j', [(2, 3), (2, 3)]), ('i,->i', [(2,), ()]),
    ('ij,jk->ik', [(2, 0), (0, 3)])])
def test_einsum_is_numpys(subscripts, shapes):
    check_function(lambda *xs: F.einsum(subscripts, *xs), [RANDOM.randn(*s) for s in shapes],
                   lambda *xs: np.einsum(subscripts, *xs))


def test_labels_may_be_lists():
    a, b = RANDOM.randn(2, 3), RANDOM.randn(3, 4)
    check_function(lambda a, b: F.einsum(a, [0, 1], b, [1, 2], [0, 2]), [a, b], np.matmul)
    check_function(lambda a, b: F.einsum(a, [Ellipsis, 1], b, [1, 2]), [a, b], np.matmul)


@pytest.mark.parametrize('operands, error', [
    (('ij,jk->ik', X), InvalidArgument), (('ij->ijj', X), InvalidArgument),
    (('ij->k', X), InvalidArgument), (('...j->j', X), InvalidArgument),
    (('i1->i', X), InvalidArgument), ((X, ['a', 'b']), InvalidArgument), ((), InvalidArgument),
    (('ijk->i', X), InvalidType), (('ij,jk', X, np.ones((1, 2))), InvalidType),
    (('i->i', np.arange(3)), InvalidType)])
def test_subscripts_that_do_not_fit_are_refused(operands, error):
    with pytest.raises(error, match='einsum'):
        F.einsum(*operands)


@pytest.mark.parametrize('multiply', [
    lambda a, b: F.einsum('ij,jk->ik', a, b), F.matmul, lambda a, b: F.linear(a, b.T),
    lambda a, b: F.matmul(a.T, b.T, True, True)])
def test_half_floats_are_added_up_in_more_room(multiply):
    a = np.full((3, 5000), .25, 'float16')      # halves from 2048 on are lost in float16
    b = np.ones((5000, 2), 'float16')
    b[0] = 7996
    y = multiply(a, b)
    assert y.dtype == np.float16
    np.testing.assert_array_equal(y.array, np.full((3, 2), np.float16(.25 * (7996 + 4999))))
    x = Variable(a)
    y = multiply(x, b)
    y.grad = np.ones((3, 2), 'float16')
    y.backward()
    assert x.grad.dtype == np.float16
    np.testing.assert_array_equal(x.grad[:, 1:], np.full((3, 4999), 2))

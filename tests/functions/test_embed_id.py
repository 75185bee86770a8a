import numpy as np
import pytest

from minichain import Variable
from minichain.errors import InvalidType
from minichain.functions import embed_id
from tests.functions.check import check_function

W = np.random.RandomState(0).randn(5, 3)


@pytest.mark.parametrize('ids', [[1, 1, 4, 1], [[0, 2], [4, 2]], [], 3], ids=str)
def test_a_row_for_every_id(ids):
    ids = np.array(ids, int)
    check_function(lambda ids, W: embed_id(ids, W), [ids, W], lambda ids, W: np.array(
        [W[i] for i in ids.ravel()]).reshape(*ids.shape, 3))


@pytest.mark.parametrize('ignored, ids', [(-1, [[1, -1], [4, 1]]), (4, [[1, 4], [4, 1]])])
def test_the_ignored_id_gives_zeros_and_gets_no_gradient(ignored, ids):
    ids = np.array(ids)

    def reference(ids, W):
        return np.where((ids == ignored)[..., None], 0, W[ids])
    check_function(lambda ids, W: embed_id(ids, W, ignore_label=ignored), [ids, W], reference)


def test_gradients_of_repeated_ids_add_up():
    table = Variable(W)
    y = embed_id(np.array([2, 0, 2]), table)
    y.grad = np.array([[1., 2, 3], [4, 5, 6], [10, 20, 30]])
    y.backward()
    np.testing.assert_array_equal(table.grad[[2, 0, 1]], [[11, 22, 33], [4, 5, 6], [0, 0, 0]])


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('shape', [(0,), (1,), (40, 5), (1000,)])
def test_gradients_of_many_ids_are_sums_by_id(shape, dtype):
    random = np.random.RandomState(3)
    ids, gy = random.randint(0, 30, shape), random.randn(*shape, 4).astype(dtype)
    table = Variable(np.zeros((50, 4), dtype))
    y = embed_id(ids, table)
    y.grad = gy
    y.backward()
    one_hot = np.arange(50)[:, None] == ids.reshape(-1)
    np.testing.assert_allclose(table.grad, one_hot @ gy.reshape(-1, 4).astype('float64'),
                               rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('ids, ignored, message', [
    ([0, 5], None, 'ids from 0 to 4 expected, as W has rows, got 0 to 5'),
    ([0, -1], None, 'got -1 to 0'), ([-2, -1], -1, 'got -2'), ([.5], None, 'integer dtype')])
def test_ids_without_a_row_are_refused(ids, ignored, message):
    with pytest.raises(InvalidType, match=message):
        embed_id(np.array(ids), W, ignored)

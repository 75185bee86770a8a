"""Gradients of embeddings beyond their formula: bits, ids that are not there, nothing to do."""
import numpy as np
import pytest

from minichain.errors import InvalidType
from minichain.gpu.embedding import embedding_gradient, embedding_gradient_sorted
from minichain.gpu.error_flag import new_error_flag, raise_if_set
from minichain.gpu.simulator import ORDERS, simulation
from minichain.gpu.simulator.builder import missing

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def gradients(launch, orders, ids, **options):
    gy = np.random.default_rng(0).standard_normal((len(ids), 40)).astype(np.float32)
    order = {'order': np.argsort(ids, kind='stable').astype(np.int32)}
    for turns in orders:
        gW, error = np.zeros((5, 40), np.float32), new_error_flag()
        with simulation(turns):
            launch(gy=gy, ids=ids, gW=gW, error=error,
                   **(order if launch is embedding_gradient_sorted else {}), **options)
        yield gW, error


def test_sorted_additions_have_the_same_bits_in_any_order_of_threads_and_atomic_ones_not():
    ids = np.random.default_rng(1).integers(0, 5, 200).astype(np.int32)
    first, *others = [gW.tobytes() for gW, _ in gradients(embedding_gradient_sorted, ORDERS, ids)]
    assert all(other == first for other in others)
    assert len({gW.tobytes() for gW, _ in gradients(embedding_gradient, ORDERS, ids)}) > 1


@pytest.mark.parametrize('launch', [embedding_gradient, embedding_gradient_sorted])
@pytest.mark.parametrize('bad', [-1, 5, 2 ** 31 - 1])
def test_an_id_without_a_row_is_skipped_and_reported_when_the_host_looks(launch, bad):
    ids = np.array([1, 4, bad, 0, bad, 3], np.int32)
    (gW, error), = gradients(launch, ['random'], ids)
    assert np.isfinite(gW).all() and not gW[2].any() and gW[[0, 1, 3, 4]].all()
    with pytest.raises(InvalidType, match='ids of the caption: an index out of range in row [24]'):
        raise_if_set(error, 'ids of the caption')
    raise_if_set(error, 'a second look finds nothing')


@pytest.mark.parametrize('launch', [embedding_gradient, embedding_gradient_sorted])
def test_the_ignored_id_may_lie_outside_of_the_table(launch):
    (gW, error), = gradients(launch, ['forward'], np.array([7, 1, 7], np.int32), ignore_label=7)
    assert gW[1].all() and not gW[[0, 2, 3, 4]].any() and error[0] == 0


@pytest.mark.parametrize('launch', [embedding_gradient, embedding_gradient_sorted])
def test_no_rows_change_nothing(launch):
    (gW, error), = gradients(launch, ['forward'], np.zeros(0, np.int32))
    assert not gW.any() and error[0] == 0

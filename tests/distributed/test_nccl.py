"""Sums over GPUs, on stand-ins for CuPy and NCCL that check pointers, types, counts, streams."""
import sys

import numpy as np
import pytest

import minichain.functions as F
import minichain.links as L
from minichain import ChainList
from minichain import optimizers as O
from minichain.distributed import create_multi_node_optimizer
from minichain.distributed.nccl import NcclSums
from minichain.errors import DeviceError, InvalidType
from tests import strict_cupy
from tests.distributed import fake_nccl
from tests.distributed.ranks import Meeting, ThreadCommunicator, on_ranks

X = np.random.RandomState(0).normal(size=(6, 5)).astype('f')


class GpuRank(ThreadCommunicator):
    """A rank whose sums go over the stand-in for NCCL."""

    def start_sum(self, array):
        if not hasattr(self, 'nccl'):
            self.nccl = NcclSums(self)
        self.started.append(array)
        return self.nccl.start(array)


def on_gpus(size, work, **options):
    with fake_nccl.installed(Meeting(size), **options) as cupy:
        return on_ranks(size, lambda rank: work(GpuRank(rank.meeting, rank.rank), cupy))


@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64', 'int64'])
def test_arrays_are_summed_on_a_stream_of_their_own(dtype):
    def work(communicator, cupy):
        arrays = [cupy.asarray(np.full((2, n), communicator.rank + n, dtype)) for n in (1, 3)]
        sums = [communicator.start_sum(array) for array in arrays]
        for each in sums:
            each.poll()
        before = [array.get() for array in arrays]
        for each in sums:
            each.wait()
        stream = communicator.nccl._stream
        assert stream is not fake_nccl.get_current_stream()
        assert fake_nccl.get_current_stream().log[-1] == ('wait', stream)
        return before, [array.get() for array in arrays]
    for before, after in on_gpus(3, work):
        assert not any((x == y).any() for x, y in zip(before, after))
        for n, array in zip((1, 3), after):
            np.testing.assert_array_equal(array, np.full((2, n), 3 + 3 * n, dtype))


def test_training_on_gpus_is_training_on_one_cpu():
    def make():
        model = ChainList(L.Linear(5, 4), L.Linear(4, 2))
        random = np.random.RandomState(1)
        for param in model.params():
            param.array[...] = random.normal(size=param.shape)
        return model

    def work(communicator, cupy):
        model = make().to_device('cuda')
        optimizer = create_multi_node_optimizer(O.SGD(.1), communicator, bucket_bytes=30)
        optimizer.setup(model)
        x = cupy.asarray(X[communicator.rank::2])
        for _ in range(3):
            optimizer.update(lambda: F.mean(model[1](F.tanh(model[0](x))) ** 2))
        assert len(communicator.started) > 6
        return [param.array.get() for param in model.params()]
    expected = make()
    optimizer = O.SGD(.1).setup(expected)
    for _ in range(3):
        optimizer.update(lambda: F.mean(expected[1](F.tanh(expected[0](X))) ** 2))
    for found in on_gpus(2, work):
        for array, param in zip(found, expected.params()):
            np.testing.assert_allclose(array, param.array, rtol=1e-5, atol=1e-6)


def test_what_nccl_cannot_sum_is_refused():
    def work(communicator, cupy):
        for array in (np.zeros(2, '?'), np.zeros((2, 3), 'f').T):
            with pytest.raises(InvalidType, match='NCCL: a contiguous array of float16.*expected'):
                communicator.start_sum(strict_cupy.ndarray(array))
    on_gpus(1, work)


def test_gpus_that_do_not_come_together_are_an_error_with_advice():
    def work(communicator, cupy):
        communicator.start_sum(cupy.asarray(np.zeros(1, 'f')))
    with pytest.raises(DeviceError, match='NCCL brings 2 ranks not.*INVALID_USAGE.*naive'):
        on_gpus(2, work, place=b'\xff' * 128)


def test_cupy_without_nccl_is_an_error_with_advice():
    with fake_nccl.installed(Meeting(1)) as cupy:
        del sys.modules['cupy.cuda'].nccl
        with pytest.raises(DeviceError, match='CuPy finds no NCCL.*nvidia-nccl'):
            GpuRank(Meeting(1), 0).start_sum(cupy.asarray(np.zeros(1, 'f')))


def test_cupys_module_without_the_library_is_the_same_error_on_all_ranks():
    def work(communicator, cupy):
        nccl = sys.modules['cupy.cuda'].nccl
        vars(nccl).pop('get_unique_id', None)   # as CuPy 14 has it: there, and empty
        nccl.available = False
        with pytest.raises(DeviceError, match='CuPy finds no NCCL.*does not load.*nvidia-nccl'):
            communicator.start_sum(cupy.asarray(np.zeros(1, 'f')))
    on_gpus(2, work)

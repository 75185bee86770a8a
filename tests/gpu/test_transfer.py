"""Transfers on streams that do nothing until somebody waits: forgotten waits show as values."""
import gc
import itertools

import numpy as np
import pytest

from minichain.errors import InvalidArgument, InvalidType
from minichain.gpu.transfer import ALIGNMENT, SLOTS, Transfer
from tests.gpu import fake_cuda


@pytest.fixture
def cupy():
    with fake_cuda.installed() as module:
        yield module


def batch(number):
    return np.full((2, 3), number, np.float32), np.full(5, number, np.uint8)


def test_a_tree_arrives_in_one_copy_with_dtypes_kept_and_other_things_left(cupy):
    images = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)[:, ::-1]
    tokens, empty = np.arange(6, dtype=np.int32), np.zeros((0, 3), np.float32)
    got = Transfer().send({'image': images, 'rest': (tokens, None, 3, [empty])})
    assert sum(call[0] == 'from_host' for call in cupy.log) == 1
    assert got['rest'][1:3] == (None, 3)
    for array, expected in ((got['image'], images), (got['rest'][0], tokens),
                            (got['rest'][3][0], empty)):
        values = array.get()
        assert values.dtype == expected.dtype and array.data.ptr % ALIGNMENT == 0
        np.testing.assert_array_equal(values, expected)


def test_the_computing_stream_waits_for_the_copy_and_the_host_does_not(cupy):
    transfer = Transfer()
    cupy.log.clear()
    x, _ = transfer.send(batch(1))
    assert not (x.values == 1).any()   # the copy did not run yet
    copier = transfer.stream.name
    assert [call[:2] for call in cupy.log] == [
        ('synchronize', None), ('from_host', copier), ('record', copier), ('wait', 'null')]
    assert transfer.stream.non_blocking and (x.get() == 1).all()


def test_a_given_stream_copies_and_another_given_one_waits(cupy):
    copier, worker = fake_cuda.Stream(non_blocking=True), fake_cuda.Stream(non_blocking=True)
    Transfer(copier).send(batch(1), worker)
    assert ('wait', worker.name, copier.name) in cupy.log
    assert not any(call[:2] == ('wait', 'null') for call in cupy.log)


def test_what_the_user_gave_is_never_read_after_the_call(cupy):
    transfer, source = Transfer(), np.arange(6, dtype=np.float32)
    x = transfer.send(source)
    source[:] = -1
    address = next(call[2] for call in cupy.log if call[0] == 'from_host')
    assert address != source.ctypes.data
    np.testing.assert_array_equal(x.get(), np.arange(6))


def test_a_slot_is_written_again_only_after_its_event_and_values_stay_right(cupy):
    transfer, results = Transfer(), []
    for number in range(2 * SLOTS):
        cupy.log.clear()
        results.append(transfer.send(batch(number)))
        waits = [call for call in cupy.log if call == ('synchronize', transfer.stream.name)]
        assert len(waits) == (number >= SLOTS)
    addresses = [slot.address for slot in transfer._slots]
    assert len(set(addresses)) == SLOTS
    for number, (x, y) in enumerate(results):
        assert (x.get() == number).all() and (y.get() == number).all()


def test_without_the_wait_for_the_event_the_stand_in_shows_wrong_values(cupy, monkeypatch):
    monkeypatch.setattr(fake_cuda.Event, 'synchronize', lambda self: None)
    transfer = Transfer()
    first = [transfer.send(batch(number)) for number in range(SLOTS + 1)][0]
    assert (first[0].get() == SLOTS).all()


def test_device_memory_is_used_again_only_after_what_read_it(cupy):
    transfer, sums = Transfer(), []
    addresses = set()
    for number in range(8):
        x, y = transfer.send(batch(number))
        addresses.add(x.data.ptr)
        total = cupy.empty((1,), np.float32)
        cupy.launch(lambda total, x: total.fill(x.sum()), total, x)   # on the null stream, later
        sums.append(total)
        del x, y
    assert len(addresses) == 1
    assert [float(total.get()[0]) for total in sums] == [6. * number for number in range(8)]


def test_without_the_wait_of_the_copying_stream_the_stand_in_shows_wrong_values(cupy, monkeypatch):
    transfer, wait = Transfer(), fake_cuda.Stream.wait_event
    monkeypatch.setattr(fake_cuda.Stream, 'wait_event', lambda self, event: (
        None if self is transfer.stream else wait(self, event)))
    sums = []
    for number in range(2):
        x = transfer.send(batch(number))[0]
        total = cupy.empty((1,), np.float32)
        cupy.launch(lambda total, x: total.fill(x.sum()), total, x)
        sums.append(total)
        del x
    transfer.stream.synchronize()
    assert float(sums[0].get()[0]) == 6


def test_arrays_and_views_that_are_kept_are_not_overwritten(cupy):
    transfer = Transfer()
    kept = [transfer.send(batch(number))[0] for number in range(7)]
    assert len({x.data.ptr for x in kept}) == 7
    assert [x.get()[0, 0] for x in kept] == list(range(7))
    view, kept[:] = kept[0].data + 4, []
    gc.collect()
    assert transfer.send(batch(9))[0].data.ptr != view.ptr - 4


def test_batches_that_grow_get_larger_slots_and_buffers_and_smaller_ones_are_dropped(cupy):
    transfer = Transfer()
    for size in (10, 1000, 100000, 20):
        x = transfer.send(np.full(size, size, np.int32))
        assert (x.get() == size).all()
        del x
    assert [buffer.size for buffer in transfer._free] == [1 << 19]


def test_a_decoder_fills_pinned_arrays_in_place_and_sends_them_once(cupy):
    transfer = Transfer()
    staged = transfer.reserve([((2, 3), np.uint8), ((4,), np.int32)])
    staged.arrays[0][...], staged.arrays[1][...] = 7, -1
    images, tokens = staged.send()
    assert (images.get() == 7).all() and (tokens.get() == -1).all()
    with pytest.raises(InvalidArgument, match='were sent'):
        staged.send()


def test_slots_that_are_reserved_and_alive_are_not_given_twice(cupy):
    transfer = Transfer()
    staged = [transfer.reserve([((1,), np.int32)]) for _ in range(SLOTS)]
    with pytest.raises(InvalidArgument, match='3 slots are reserved'):
        transfer.reserve([((1,), np.int32)])
    staged.clear()   # a decoder failed and forgot them
    assert transfer.reserve([((1,), np.int32)]).arrays[0].shape == (1,)


def test_memory_that_runs_out_is_asked_for_twice_and_a_copy_that_fails_leaves_the_ring_usable(
        cupy, monkeypatch):
    transfer = Transfer()
    transfer._pool.pool.fail = 1
    assert (transfer.send(batch(1))[0].get() == 1).all()
    copy, failing = fake_cuda.MemoryPointer.copy_from_host_async, itertools.chain([1])

    def sometimes(self, *arguments):
        if next(failing, None):
            raise fake_cuda.CUDARuntimeError(1, 'cudaErrorInvalidValue')
        copy(self, *arguments)
    monkeypatch.setattr(fake_cuda.MemoryPointer, 'copy_from_host_async', sometimes)
    with pytest.raises(fake_cuda.CUDARuntimeError):
        transfer.send(batch(2))
    for number in range(3, 8):
        assert (transfer.send(batch(number))[0].get() == number).all()


@pytest.mark.parametrize('array', [np.array([None]), np.array(['text'])])
def test_arrays_of_objects_and_texts_are_refused(cupy, array):
    with pytest.raises(InvalidType, match='an array of numbers expected'):
        Transfer().send((np.zeros(3), array))

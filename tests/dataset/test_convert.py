"""concat_examples and converters, against NumPy written out by hand and Chainer's results."""
import collections

import numpy as np
import pytest

from minichain.backend import CpuDevice
from minichain.dataset import (
    ConcatWithAsyncTransfer,
    Converter,
    concat_examples,
    converter,
    to_device,
)
from minichain.errors import DataError, InvalidArgument, InvalidType
from tests.gpu import fake_cuda


def f32(*values):
    return np.array(values, np.float32)


def check(actual, expected):
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


@pytest.fixture(params=[concat_examples, ConcatWithAsyncTransfer()], ids=['plain', 'async'])
def concat(request):
    return request.param


@pytest.mark.parametrize('batch, expected', [
    ([1, 2, 3], np.array([1, 2, 3])),
    ([1., 2.], np.array([1., 2.])),
    ([1, 2.5], np.array([1, 2.5])),
    ([True, False], np.array([True, False])),
    ([np.int8(1), np.int8(2)], np.array([1, 2], np.int8)),
    ([f32(1, 2), f32(3, 4)], f32([1, 2], [3, 4])),
    ([f32(1), np.array([2.])], np.array([[1.], [2.]])),
    ([[1, 2], [3, 4]], np.array([[1, 2], [3, 4]])),
    ((1, 2, 3), np.array([1, 2, 3])),
    (np.arange(6).reshape(3, 2), np.arange(6).reshape(3, 2)),
    ([np.zeros((0, 2)), np.zeros((0, 2))], np.zeros((2, 0, 2))),
])
def test_arrays_and_numbers_are_stacked(concat, batch, expected):
    check(concat(batch), expected)


def test_tuples_become_a_tuple_of_arrays(concat):
    images, labels = concat([(f32(1, 2), 5), (f32(3, 4), 6)])
    check(images, f32([1, 2], [3, 4]))
    check(labels, np.array([5, 6]))


def test_a_named_tuple_becomes_a_plain_tuple():
    point = collections.namedtuple('point', 'x y')
    result = concat_examples([point(1, 2), point(3, 4)])
    assert type(result) is tuple
    check(result[1], np.array([2, 4]))


def test_dicts_become_a_dict_of_arrays(concat):
    result = concat([{'a': 1, 'b': f32(1)}, {'b': f32(2), 'a': 3}])
    assert list(result) == ['a', 'b']
    check(result['a'], np.array([1, 3]))
    check(result['b'], f32([1], [2]))


def test_a_tuple_inside_a_tuple_is_an_array():
    inner, outer = concat_examples([((1, 2), 3), ((4, 5), 6)])
    check(inner, np.array([[1, 2], [4, 5]]))
    check(outer, np.array([3, 6]))


def test_padding_fills_up_at_the_end_of_every_axis(concat):
    check(concat([f32([1]), f32([1, 2], [3, 4])], padding=-1),
          f32([[1, -1], [-1, -1]], [[1, 2], [3, 4]]))
    check(concat([[1], [2, 3]], padding=9), np.array([[1, 9], [2, 3]]))


def test_padding_of_a_batch_of_one_shape_changes_nothing():
    check(concat_examples([f32(1, 2), f32(3, 4)], padding=0), f32([1, 2], [3, 4]))


def test_one_padding_serves_all_entries_of_a_tuple_and_leaves_numbers_alone():
    arrays, labels = concat_examples([(f32(1), 1), (f32(1, 2), 2.5)], padding=7)
    check(arrays, f32([1, 7], [1, 2]))
    check(labels, np.array([1, 2.5]))


def test_padding_can_be_given_for_each_entry():
    batch = [(f32(1), f32(5), 1), (f32(1, 2), f32(6), 2)]
    for padding in [(0, None, None), [0, None, None]]:
        first, second, third = concat_examples(batch, padding=padding)
        check(first, f32([1, 0], [1, 2]))
        check(second, f32([5], [6]))
        check(third, np.array([1, 2]))
    result = concat_examples([{'a': f32(1), 'b': f32(1)}, {'a': f32(1, 2), 'b': f32(1, 2)}],
                             padding={'a': 5, 'b': 6})
    check(result['a'], f32([1, 5], [1, 2]))
    check(result['b'], f32([1, 6], [1, 2]))


@pytest.mark.parametrize('batch, message', [
    ([f32(1), f32(1, 2)], r'one shape expected.*got \(1,\), \(2,\)\. Give padding=0'),
    ([(f32(1), 1), (f32(1, 2), 2)], r'entry\[0\].*padding=0'),
    ([{'a': f32(1)}, {'a': f32(1, 2)}], r"entry\['a'\].*padding=0"),
    ([f32(1), f32([1])], 'different number of axes'),
    ([[1, 2], [3]], r'one shape expected'),
    ([[[1, 2], [3]]], 'rows of different lengths'),
    (['a', 'b'], 'arrays or numbers expected'),
    ([None, None], 'arrays or numbers expected'),
    ([(1, 2), (3,)], 'example 0 is a tuple of 2, example 1 is a tuple of 1'),
    ([(1, 2), 3], 'example 1 is int'),
    ([{'a': 1}, {'b': 2}], r"the keys \['a'\], example 1 is a dict with the keys \['b'\]"),
    ([{'a': 1}, 2], 'example 1 is int'),
    ([f32(1), 'a', None], 'is an array in example 0 and NoneType in example 2'),
])
def test_batches_that_do_not_fit_together_are_refused(batch, message):
    with pytest.raises(InvalidType, match=message):
        concat_examples(batch)


@pytest.mark.parametrize('batch, padding', [
    ([(1, 2)], (0,)), ([(1, 2)], {0: 0}), ([{'a': 1}], (0,)), ([{'a': 1}], {'b': 0}), ([1], (0,)),
    ([f32(1)], {'a': 0})])
def test_padding_that_does_not_fit_the_examples_is_refused(batch, padding):
    with pytest.raises(InvalidArgument, match='padding is a '):
        concat_examples(batch, padding=padding)


def test_an_empty_batch_is_refused(concat):
    with pytest.raises(DataError, match='the batch is empty'):
        concat([])


@pytest.mark.parametrize('device', [-1, '@numpy', 'cpu', CpuDevice()])
def test_a_device_in_any_spelling_is_taken(concat, device):
    check(concat([f32(1), f32(2)], device), f32([1], [2]))
    check(concat([f32(1), f32(2)], device=device), f32([1], [2]))


def test_a_device_that_is_none_is_refused():
    with pytest.raises(InvalidArgument, match='is not a device'):
        concat_examples([1], device='fridge')


def test_to_device_moves_what_is_in_tuples_lists_and_dicts():
    x = f32(1)
    assert to_device(None, x) is x
    assert to_device('cpu', x) is x
    moved = to_device(-1, {'a': (x, 2), 'b': None})
    assert moved['a'][0] is x
    check(moved['a'][1], np.array(2))
    assert moved['b'] is None


def test_a_converter_gets_a_device_whatever_was_given():
    @converter()
    def pair(batch, device):
        """Doc."""
        return batch, device

    assert isinstance(pair, Converter)
    assert (pair.__name__, pair.__doc__) == ('pair', 'Doc.')
    assert pair([1], -1) == ([1], CpuDevice())
    assert pair([1], device='@numpy') == ([1], CpuDevice())
    assert pair([1], CpuDevice()) == ([1], CpuDevice())
    assert pair([1]) == pair([1], None) == ([1], None)


def test_batches_go_to_a_gpu_by_one_ring_of_pinned_memory_and_the_compute_stream_waits():
    with fake_cuda.installed() as cupy:
        worker = fake_cuda.Stream(non_blocking=True)
        concat, batches = ConcatWithAsyncTransfer(compute_stream=worker), []
        for number in range(5):
            batches.append(concat([(f32(number, 1), number), (f32(number), 7)], 'cuda:0',
                                  padding=(0, None)))
        copiers = {call[1] for call in cupy.log if call[0] == 'from_host'}
        assert len(copiers) == 1
        assert cupy.log.count(('wait', worker.name, *copiers)) == 5
        with worker:
            for number, (x, y) in enumerate(batches):
                np.testing.assert_array_equal(x.get(), f32([number, 1], [number, 0]))
                np.testing.assert_array_equal(y.get(), [number, 7])

"""The reader of binary files: values, and what it does to files that lie."""

import os
import random
import time
import tracemalloc

import numpy as np
import pytest

from minichain.caffe import wire
from minichain.errors import DataError, FileError
from tests.caffe.encoding import blob, integer, layer, nested, single, small_net, varint

W = np.arange(6 * 2 * 3 * 3, dtype=np.float32).reshape(6, 2, 3, 3) / 50
b = np.linspace(-1, 1, 6).astype(np.float32)


@pytest.fixture
def read(tmp_path):
    def read(data):
        path = tmp_path / 'net.caffemodel'
        path.write_bytes(data)
        return wire.read_binary(path)
    return read


def read_blob(read, data):
    return read(layer('x', 'InnerProduct', blobs=[data])).layer[0].blobs[0]


def test_a_layer_reads_as_its_fields_say(read):
    convolution = read(small_net(W, b)).layer[1]
    assert (convolution.name, convolution.type) == ('conv/a', 'Convolution')
    assert convolution.bottom == ['data'] and convolution.top == ['conv']
    assert convolution.convolution_param == {
        'num_output': 6, 'pad': [1], 'kernel_size': [3], 'stride': [2], 'group': 2}
    np.testing.assert_array_equal(convolution.blobs[0], W)
    np.testing.assert_array_equal(convolution.blobs[1], b)


def test_unset_fields_have_caffes_defaults(read):
    first = read(small_net(W, b)).layer[1]
    assert first.convolution_param.bias_term is True
    assert first.lrn_param.beta == 0.75 and first.pooling_param.pool == 'MAX'
    assert first.batch_norm_param.eps == 1e-5 and 'batch_norm_param' not in first


@pytest.mark.parametrize('packed', [True, False])
@pytest.mark.parametrize('double', [True, False])
@pytest.mark.parametrize('legacy', [True, False])
def test_a_blob_reads_the_same_in_every_encoding(read, packed, double, legacy):
    array = read_blob(read, blob(W, packed, legacy, double))
    assert array.dtype == (np.float64 if double else np.float32)
    np.testing.assert_array_equal(array, W)


def test_values_in_several_pieces_are_joined(read):
    flat = W.ravel()
    pieces = (nested(5, flat[:5].tobytes()) + single(5, flat[5]) + single(5, flat[6])
              + nested(5, b'') + nested(5, flat[7:].tobytes()))
    np.testing.assert_array_equal(read_blob(read, pieces), W.ravel())


def test_gradients_stored_beside_the_values_are_left_out(read):
    data = blob(W) + nested(6, W.tobytes()) + b''.join(single(6, value) for value in b)
    np.testing.assert_array_equal(read_blob(read, data), W)


def test_numbers_are_signed_where_caffe_has_them_signed(read):
    net = read(layer('a', 'Softmax', parameters=nested(125, integer(2, -1))))
    assert net.layer[0].softmax_param.axis == -1


def test_unknown_fields_are_skipped_and_noted(read):
    parameters = nested(106, integer(21, 2) + nested(77, b'\1\2\3') + integer(1, 6))
    convolution = read(layer('a', 'Convolution', parameters=parameters)).layer[0]
    assert convolution.convolution_param == {'num_output': 6}
    assert convolution.convolution_param.unknown == [21, 77]


def test_writing_to_a_blob_leaves_the_file_alone(tmp_path):
    path = tmp_path / 'net.caffemodel'
    path.write_bytes(small_net(W, b))
    array = wire.read_binary(path).layer[1].blobs[0]
    array[...] = 7
    assert path.read_bytes() == small_net(W, b)
    np.testing.assert_array_equal(wire.read_binary(path).layer[1].blobs[0], W)


LIES = {
    'a length beyond the end': nested(1, 'net')[:-1],
    'a huge length': varint(100 * 8 + 2) + varint(1 << 62),
    'a number without end': varint(100 * 8 + 2) + b'\xff' * 11,
    'a number that is cut off': varint(100 * 8 + 2) + b'\xff',
    'field number zero': b'\x02\x01a',
    'an absurd field number': varint((1 << 33) * 8) + b'\x01',
    'the wire type of a group': b'\x0b\x0c',
    'a text as a number': integer(1, 5),
    'a number as a text': layer('a', 'ReLU', parameters=integer(123, 1)),
    'a double where a float belongs': layer('a', 'b', parameters=nested(
        123, varint(1 * 8 + 1) + b'\0' * 8)),
    'floats of five bytes': layer('a', 'b', blobs=[nested(5, b'12345')]),
    'fewer values than the shape': layer('a', 'b', blobs=[
        nested(7, nested(1, bytes([3, 4]))) + nested(5, b'\0' * 44)]),
    'more values than the shape': layer('a', 'b', blobs=[
        nested(7, nested(1, bytes([3]))) + nested(5, b'\0' * 16)]),
    'a negative dimension': layer('a', 'b', blobs=[
        nested(7, nested(1, varint(-1) + varint(-4))) + nested(5, b'\0' * 16)]),
    'a shape of 2 ** 600': layer('a', 'b', blobs=[
        nested(7, nested(1, varint(1 << 60) * 10)) + nested(5, b'\0' * 16)]),
    'a shape that overflows to its count': layer('a', 'b', blobs=[
        nested(7, nested(1, varint(1 << 32) * 2)) + nested(5, b'')]),
    'old dimensions beyond the values': layer('a', 'b', blobs=[
        integer(1, 1 << 40) + integer(2, 1 << 40) + integer(3, 1) + integer(4, 1)]),
    'forty dimensions': layer('a', 'b', blobs=[nested(7, nested(1, b'\1' * 40)) + single(5, 1)]),
    'floats and doubles together': layer('a', 'b', blobs=[single(5, 1) + nested(8, b'\0' * 8)]),
    'a name of a megabyte': nested(1, 'n' * (1 << 20)),
    'a parameter message twice': layer('a', 'b', parameters=nested(117, b'') * 2),
}


@pytest.mark.parametrize('lie', LIES)
def test_a_file_that_lies_is_refused_with_its_name(read, lie):
    with pytest.raises(DataError, match=r'net\.caffemodel'):
        read(LIES[lie])


FLOODS = {
    'empty layers': varint(100 * 8 + 2) + b'\0',
    'unknown fields': integer(99, 1),
    'inputs': nested(3, ''),
}


@pytest.mark.parametrize('flood', FLOODS)
def test_a_flood_of_fields_ends_soon(read, flood):
    start = time.process_time()
    with pytest.raises(DataError, match='no network has so many'):
        read(FLOODS[flood] * (8_000_000 // len(FLOODS[flood])))
    assert time.process_time() - start < 30


def test_floods_inside_of_a_blob_end_soon(read):
    start = time.process_time()
    alternating = (single(5, 1) + single(6, 1)) * 400_000
    dims = nested(7, nested(1, b'\1' * 4_000_000))
    for data in (alternating, dims, nested(5, b'') * 2_000_000):
        with pytest.raises(DataError, match='no network has so many'):
            read_blob(read, data)
    assert time.process_time() - start < 30


def test_every_truncation_is_refused_or_a_shorter_net(read):
    data, refused = small_net(W, b), 0
    for size in range(1, len(data)):
        try:
            net = read(data[:size])
        except DataError:
            refused += 1
        else:
            assert len(net.layer) < 4
    assert refused > 0.95 * len(data)


def test_flipped_bits_give_a_net_or_a_data_error_within_bounds(read):
    source, data = random.Random(0), small_net(W, b)
    headers = [index for index in range(len(data)) if data[index:index + 1] != b'\0'][:400]
    tracemalloc.start()
    outcomes = set()
    for _ in range(500):
        damaged = bytearray(data)
        for _ in range(source.choice((1, 1, 3, 10))):
            damaged[source.choice(headers)] ^= 1 << source.randrange(8)
        try:
            read(bytes(damaged))
            outcomes.add('net')
        except DataError:
            outcomes.add('refused')
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcomes == {'net', 'refused'}
    assert peak < 10 << 20


def test_files_that_are_not_there_or_not_files_are_refused(tmp_path):
    with pytest.raises(FileError, match=r'missing\.caffemodel'):
        wire.read_binary(tmp_path / 'missing.caffemodel')
    with pytest.raises(FileError, match='a regular file expected'):
        wire.read_binary(tmp_path)
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(FileError, match='a regular file expected'):
        wire.read_binary(tmp_path / 'pipe')
    (tmp_path / 'empty').touch()
    with pytest.raises(DataError, match='empty'):
        wire.read_binary(tmp_path / 'empty')


def resident_bytes():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGESIZE')


@pytest.mark.skipif(not os.path.exists('/proc/self/statm'), reason='no /proc to measure with')
def test_a_large_file_opens_at_once_and_is_not_read(tmp_path):
    path, side = tmp_path / 'large.caffemodel', 4096
    with open(path, 'wb') as file:
        for name in ('fc6', 'fc7', 'fc8', 'fc9'):       # 4 x 64 MiB, holes on the disk
            size = 4 * side ** 2
            head = nested(7, nested(1, varint(side) * 2)) + varint(5 * 8 + 2) + varint(size)
            size += len(head)
            body = nested(1, name) + nested(2, 'InnerProduct') + varint(7 * 8 + 2) + varint(size)
            file.write(varint(100 * 8 + 2) + varint(len(body) + size) + body + head)
            file.seek(4 * side ** 2, os.SEEK_CUR)
        file.truncate()
    before, start = resident_bytes(), time.process_time()
    net = wire.read_binary(path)
    assert time.process_time() - start < 3
    assert resident_bytes() - before < 10 << 20
    assert [layer.blobs[0].shape for layer in net.layer] == [(side, side)] * 4


def test_options_that_a_fork_numbers_otherwise_do_not_stand_in_the_way_of_weights(tmp_path):
    """Field 143 of a layer is Caffe's input_param, a message; here it is a number."""
    path = tmp_path / 'fork.caffemodel'
    path.write_bytes(layer('fc', 'InnerProduct', parameters=integer(143, 7)))
    with pytest.raises(DataError, match='input_param'):
        wire.read_binary(path)
    assert wire.read_binary(path, weights_only=True).layer[0].name == 'fc'


@pytest.mark.parametrize('number, dtype', [(0, '<f8'), (1, '<f4'), (2, '<f2')])
def test_values_that_are_kept_as_bytes_are_read(read, number, dtype):
    values = np.arange(6).astype(dtype)
    shape = nested(7, nested(1, bytes([2, 3])))
    raw = shape + integer(10, number) + integer(11, 1) + nested(12, values.tobytes())
    array, = read(layer('a', 'InnerProduct', blobs=[raw])).layer[0].blobs
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, values.reshape(2, 3))
    both = raw + nested(5, np.float32([9, 8, 7, 6, 5, 4]).tobytes())
    array, = read(layer('a', 'InnerProduct', blobs=[both])).layer[0].blobs
    assert array.ravel().tolist() == [9, 8, 7, 6, 5, 4]


@pytest.mark.parametrize('number, count', [(3, 24), (1, 23), (1 << 40, 24)])
def test_bytes_that_are_no_floats_are_refused(read, number, count):
    raw = nested(7, nested(1, bytes([2, 3]))) + integer(10, number) + nested(12, bytes(count))
    with pytest.raises(DataError, match=f'{count} bytes of the type {number}'):
        read(layer('a', 'InnerProduct', blobs=[raw]))

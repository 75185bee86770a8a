"""Values as bytes and back, for messages between ranks: JSON, then the numbers of all arrays.

Nothing is pickled. Arrays, numbers of NumPy and tuples arrive as what they were.
"""
import json
import struct

import numpy as np

from minichain.errors import DataError, InvalidType

HEAD = struct.Struct('<Q')      # length of the JSON


def encode(value):
    """Return a value as bytes.

    Args:
        value: None, bool, int, float, str, NumPy number, NumPy array, or list, tuple or dict of
            these, at any depth.
    Raises:
        InvalidType: something else is inside; move arrays to the CPU before.
    """
    buffers = []
    text = json.dumps(_describe(value, buffers)).encode()
    return b''.join([HEAD.pack(len(text)), text, *buffers])


def decode(data):
    """Return the value that :func:`encode` was given.

    Raises:
        DataError: the bytes are not whole.
    """
    data = memoryview(data)
    try:
        end = HEAD.size + HEAD.unpack_from(data)[0]
        return _build(json.loads(bytes(data[HEAD.size:end])), _Reader(data, end))
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise DataError(f'a message of {len(data)} bytes is damaged ({error}). All ranks must run '
                        'the same release of minichain') from None


def _describe(value, buffers):
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in 'biufc':
        array = np.ascontiguousarray(value)
        buffers.append(array.tobytes())
        return {'array': [array.dtype.str, np.shape(value), isinstance(value, np.generic)]}
    if isinstance(value, tuple):
        return {'tuple': [_describe(item, buffers) for item in value]}
    if isinstance(value, list):
        return [_describe(item, buffers) for item in value]
    if isinstance(value, dict):
        return {'dict': [[_describe(key, buffers), _describe(item, buffers)]
                         for key, item in value.items()]}
    raise InvalidType('messages between ranks: None, numbers, strings, NumPy arrays, and lists, '
                      f'tuples and dicts of these expected, got {type(value).__name__}. Send '
                      'what it is made of')


class _Reader:
    """Takes arrays out of the bytes behind the JSON, one after the other."""

    def __init__(self, data, position):
        self.data, self.position = data, position

    def take(self, dtype, shape):
        dtype, start = np.dtype(dtype), self.position
        self.position += dtype.itemsize * int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self.data[start:self.position], dtype).reshape(shape).copy()


def _build(described, reader):
    if isinstance(described, list):
        return [_build(item, reader) for item in described]
    if not isinstance(described, dict):
        return described
    if 'array' in described:
        dtype, shape, is_number = described['array']
        array = reader.take(dtype, shape)
        return array[()] if is_number else array
    if 'tuple' in described:
        return tuple([_build(item, reader) for item in described['tuple']])
    return {_build(key, reader): _build(item, reader) for key, item in described['dict']}

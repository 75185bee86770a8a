"""Messages between ranks arrive as what they were, and hold nothing that could run."""
import numpy as np
import pytest

from minichain import Variable
from minichain.distributed.messages import decode, encode
from minichain.errors import DataError, InvalidType


def same(a, b):
    if isinstance(a, (np.ndarray, np.generic)):
        return type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
    if isinstance(a, (list, tuple)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize('value', [
    None, True, 3, -2 ** 70, 1e-300, float('inf'), 'Bäume\n', [], (), {}, [1, (2, [3])],
    {1: 'a', ('b', 2): None, 'array': [1], 'tuple': {'dict': 2}}, np.float32(.1), np.int64(-5),
    np.array(2.), np.zeros((0, 3), 'f'), np.arange(6).reshape(2, 3).T, np.array([True, False]),
    np.array([np.nan, 1], '>f2'), [np.arange(3), 'x', np.ones(2, 'F'), np.uint8(4)]])
def test_a_value_arrives_as_what_it_was(value):
    assert same(decode(encode(value)), value)


def test_an_array_that_arrived_may_be_changed():
    array = decode(encode(np.zeros(3)))
    array += 1
    assert array.tolist() == [1, 1, 1]


@pytest.mark.parametrize('value', [
    object(), {1, 2}, np.array([None]), np.array(['text']), Variable(np.zeros(1)), [1, b'bytes']])
def test_what_is_not_plain_is_refused_with_its_type(value):
    with pytest.raises(InvalidType, match='NumPy arrays.*expected, got (object|set|ndarray|'
                                          'Variable|bytes)'):
        encode(value)


def test_damaged_messages_are_refused():
    whole = encode({'a': np.arange(5), 'b': [1, 2]})
    for end in range(len(whole)):
        with pytest.raises(DataError, match=f'a message of {end} bytes is damaged'):
            decode(whole[:end])
    with pytest.raises(DataError, match='damaged'):
        decode(b'\xff' * 40)

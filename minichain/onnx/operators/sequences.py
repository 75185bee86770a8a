"""Sequences of tensors, which are lists, and optional values, which may be None."""
import numpy as np

from minichain.errors import DataError
from minichain.onnx.budget import current
from minichain.onnx.operators.shaping import cut, join
from minichain.onnx.operators.values import normalize_axis, to_ints, to_scalar

# Work for each part of a tensor that becomes an item, as `budget` counts it.
PART = 200_000


def expect_sequence(sequence):
    if not isinstance(sequence, list):
        raise DataError(f'a sequence expected, got {type(sequence).__name__}')
    return sequence


def place_in(sequence, position, end):
    """A position counted from the front, below `end`."""
    position = int(to_scalar(position))
    place = position + len(sequence) if position < 0 else position
    if not 0 <= place < end:
        raise DataError(f'position {position} is outside of a sequence of {len(sequence)}')
    return place


def sequence_construct(node, *values):
    return list(values)


def sequence_empty(node):
    return []


def sequence_at(node, sequence, position):
    return expect_sequence(sequence)[place_in(sequence, position, len(sequence))]


def sequence_insert(node, sequence, value, position=None):
    sequence = expect_sequence(sequence)
    place = len(sequence)
    if position is not None:
        place = place_in(sequence, position, len(sequence) + 1)
    return [*sequence[:place], value, *sequence[place:]]


def sequence_erase(node, sequence, position=None):
    sequence = expect_sequence(sequence)
    place = place_in(sequence, np.int64(-1) if position is None else position, len(sequence))
    return sequence[:place] + sequence[place + 1:]


def sequence_length(node, sequence):
    return np.array(len(expect_sequence(sequence)), np.int64)


def split_to_sequence(node, x, split=None):
    """Parts of one size, the last maybe smaller, of the sizes given, or slices."""
    axis = normalize_axis(node.get('axis', 0), x.ndim)
    length = x.shape[axis]
    if split is None:
        current().work(PART * length)
        sizes = [1] * length
    elif split.ndim:
        sizes = to_ints(split)
    else:
        size, = to_ints(split)
        if size < 1:
            raise DataError(f'parts of at least 1 expected, got {size}')
        current().work(PART * (length // size))
        sizes = [size] * (length // size) + [length % size] * bool(length % size)
    if sum(sizes) != length or any(size < 0 for size in sizes):
        raise DataError(f'sizes that add up to {length} expected, got {sizes!s:.200}')
    if not sizes:
        return []
    parts = list(cut(x, sizes, axis))
    if split is None and not node.get('keepdims', 1):
        shape = x.shape[:axis] + x.shape[axis + 1:]
        parts = [part.reshape(shape) for part in parts]
    return parts


def concat_from_sequence(node, sequence):
    return join(expect_sequence(sequence), node.require('axis'), node.get('new_axis', 0))


def optional(node, value=None):
    return value


def optional_has_element(node, value=None):
    return np.array(value is not None)


def optional_get_element(node, value):
    if value is None:
        raise DataError('the optional value is empty')
    return value


OPERATORS = {
    'ConcatFromSequence': concat_from_sequence,
    'Optional': optional,
    'OptionalGetElement': optional_get_element,
    'OptionalHasElement': optional_has_element,
    'SequenceAt': sequence_at,
    'SequenceConstruct': sequence_construct,
    'SequenceEmpty': sequence_empty,
    'SequenceErase': sequence_erase,
    'SequenceInsert': sequence_insert,
    'SequenceLength': sequence_length,
    'SplitToSequence': split_to_sequence,
}

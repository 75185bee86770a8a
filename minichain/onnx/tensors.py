"""Reads tensors of ONNX files as arrays: views of the file where the format allows."""
import math
import os

import numpy as np

from minichain.errors import DataError, FileError
from minichain.onnx.schema import BFLOAT16, SCHEMA, STRING, dtype_of
from minichain.protobuf import BYTES, FIXED32, FIXED64, Message, map_file, packed_integers

MAX_AXES = 32
# Elements that the lengths beside a zero may stand for: indices along them may be made.
MAX_BESIDE_ZERO = 1 << 27
FLOAT_WIRES = {'float': FIXED32, 'double': FIXED64}
# Which of the typed fields holds the elements of a type; all others are in int32_data.
FIELDS = {1: 'float_data', 11: 'double_data', 14: 'float_data', 15: 'double_data',
          7: 'int64_data', 12: 'uint64_data', 13: 'uint64_data', 8: 'string_data'}


class Tensor:
    """A named array of an ONNX file, or where its data lie in another file.

    Attributes:
        name: of the tensor, maybe ''.
        array: ndarray, or None before `load_external`.
        location: name of the other file that its data lie in, or None.
    """

    def __init__(self, name, array, external=None):
        self.name, self.array, self._external = name, array, external
        self.location = external and external[2].get('location', '')

    def load_external(self, folder):
        """Maps the data if they are in another file, which must lie in the model's own folder.

        Args:
            folder: of the model's file; None where the model came without one.
        Raises:
            DataError: the file is elsewhere, or too short.
            FileError: it cannot be read.
        """
        if self._external is not None:
            self.array = read_external(self._external, folder)
            self._external = None
        return self.array


def read_tensor(reader, start, end, where):
    """A TensorProto between two bytes of the reader's data, as a `Tensor`."""
    message, pieces, raw = Message(SCHEMA, 'TensorProto'), {}, None
    numbers = SCHEMA.numbers['TensorProto']
    while start < end:
        tag_position = start
        number, wire, start, next_start = reader.field(start, end)
        field = numbers.get(number)
        if field is None:
            start = next_start
            continue
        place = f'{where}.{field.name}'
        if field.type in FLOAT_WIRES:
            values = reader.floats(field, wire, start, next_start, place)
            if wire != BYTES:
                values, next_start = reader.run(values.dtype, tag_position, start, end)
            pieces.setdefault(field.name, []).append(values)
        elif field.name == 'raw_data':
            reader.expect(wire, BYTES, start, place)
            raw = np.frombuffer(reader.data, np.uint8, next_start - start, start)
        elif field.repeated and wire == BYTES and field.type in ('int', 'uint'):
            values = packed_integers(np.frombuffer(reader.data, np.uint8, next_start - start,
                                                   start))
            if values is None:
                reader.fail(start, f'{place}: a number is cut off.')
            pieces.setdefault(field.name, []).append(values)
        else:
            values = reader.values(field, wire, start, next_start, place)
            if field.repeated:
                message.setdefault(field.name, []).extend(values)
            else:
                message[field.name] = values[0]
        start = next_start
    for name, arrays in pieces.items():
        kind = SCHEMA.fields['TensorProto'][name].type
        rest = message.get(name, [])
        if kind in ('int', 'uint'):
            arrays.append(np.array([value % (1 << 64) for value in rest], np.uint64))
        message[name] = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        if name == 'dims':
            message['dims'] = message['dims'].view(np.int64).tolist()
    return make_tensor(message, raw, f'{reader.path}: {where} {message.name!r}')


def make_tensor(message, raw, where):
    """The `Tensor` of a TensorProto; raw is its raw_data as uint8 array, or None."""
    kind, shape = message.data_type, tuple(message.dims)
    dtype = dtype_of(kind, where)
    if len(shape) > MAX_AXES or any(dim < 0 for dim in shape):
        raise DataError(f'{where}: at most {MAX_AXES} dimensions, none negative, expected, got '
                        f'{shape[:MAX_AXES + 1]}. The file is damaged.')
    if message.data_location == 1:
        entries = {entry.key: entry.value for entry in message.external_data}
        return Tensor(message.name, None, (kind, shape, entries, where))
    if kind == STRING:
        values = np.empty(len(message.string_data), object)
        values[:] = [text.decode('utf-8', 'replace') for text in message.string_data]
    elif raw is not None:
        values = from_bytes(raw, kind, where)
    else:
        values = from_field(np.asarray(message.get(FIELDS.get(kind, 'int32_data'), [])), kind,
                            dtype)
    return Tensor(message.name, shaped(values, shape, where))


def shaped(values, shape, where):
    if math.prod(shape) != values.size:
        raise DataError(f'{where}: shape {shape} needs {math.prod(shape)} values, the file has '
                        f'{values.size}. The file is damaged or cut off.')
    try:
        if not values.size and math.prod(length or 1 for length in shape) > MAX_BESIDE_ZERO:
            raise ValueError('lengths beside a zero')
        return values.reshape(shape)
    except ValueError as error:     # a shape with a zero may hold other dimensions beyond NumPy's
        raise DataError(f'{where}: no array has the shape {shape}.') from error


def from_bytes(raw, kind, where):
    """Little-endian elements -> 1-d array; a view unless they are bfloat16."""
    dtype = np.dtype('u2') if kind == BFLOAT16 else dtype_of(kind, where)
    if raw.size % dtype.itemsize:
        raise DataError(f'{where}: {raw.size} bytes of data, not a multiple of {dtype.itemsize}. '
                        'The file is damaged.')
    if dtype.kind == 'b':
        return raw != 0
    values = raw.view(dtype.newbyteorder('<'))
    return widen(values) if kind == BFLOAT16 else values


def from_field(values, kind, dtype):
    """The numbers of a typed field -> 1-d array of the tensor's type."""
    if values.dtype.kind == 'f':
        return values.view(dtype) if dtype.kind == 'c' else values
    if values.dtype != np.uint64:
        values = np.array([int(value) % (1 << 64) for value in values.ravel()], np.uint64)
    if kind == BFLOAT16:
        return widen(values.astype(np.uint16))
    if dtype == np.float16:
        return values.astype(np.uint16).view(np.float16)
    return values != 0 if dtype.kind == 'b' else values.astype(dtype)


def widen(values):
    """Bfloat16 as uint16 -> float32: the same number with sixteen more digits, all zero."""
    return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)


def read_external(external, folder):
    """The array of external data: its file, offset and length are as untrusted as the model."""
    kind, shape, entries, where = external
    location = entries.get('location', '')
    if folder is None:
        raise DataError(f'{where}: its data are in the file {location!r} beside the model. Load '
                        'the model by its path, so that the file can be found.')
    home = os.path.realpath(folder)
    path = '' if '\0' in location else os.path.realpath(os.path.join(folder, location))
    if not location or os.path.isabs(location) or not path \
            or os.path.commonpath([path, home]) != home:
        raise DataError(f'{where}: its data are said to be in {location!r}, which is outside of '
                        "the model's own folder. Files elsewhere are not read.")
    try:
        data = map_file(path, 'external data of an ONNX model')
    except (DataError, FileError) as error:
        raise type(error)(f'{where}: its data are in the file {location!r} beside the model: '
                          f'{error}') from error
    try:
        offset, length = int(entries.get('offset') or 0), entries.get('length')
        length = len(data) - offset if length in (None, '') else int(length)
    except ValueError as error:
        raise DataError(f'{where}: offset and length of external data are no numbers.') from error
    if not 0 <= offset <= len(data) or not 0 <= length <= len(data) - offset:
        raise DataError(f'{where}: bytes {offset} to {offset + length} of {location} expected, '
                        f'the file has {len(data)}. It is damaged or of another model.')
    if kind == STRING:
        raise DataError(f'{where}: texts cannot be external data.')
    return shaped(from_bytes(np.frombuffer(data, np.uint8, length, offset), kind, where), shape,
                  where)

"""Reads Caffe's binary files: the protobuf wire format, over a memory map; weights are its views.

A file is untrusted: every length is checked against what is there before it is believed, the
number of fields is bounded, and an error names the file and the byte. Read ``schema`` first.
"""

import mmap
import os
import stat

import numpy as np

from minichain.caffe import schema
from minichain.errors import DataError, FileError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIRE_TYPES = {VARINT: 'a varint', FIXED64: '8 bytes', BYTES: 'a text, message or packed list',
              FIXED32: '4 bytes'}
FLOATS = {'float': np.dtype('<f4'), 'double': np.dtype('<f8')}

# The largest public networks have some ten thousand fields.
MAX_FIELDS = 250_000
MAX_STRING = 65_536
# Finding the end of a run of unpacked numbers costs as much as this many fields.
RUN_COST = 16


def read_binary(path):
    """Reads a caffemodel.

    Blobs are float32 or float64 arrays over a private memory map: nothing is read from the disk
    before it is used, and writing to such an array does not change the file.

    Returns:
        Message of kind NetParameter as the file has it (old `layers` not yet upgraded).
    Raises:
        FileError: no such regular file, or no permission.
        DataError: the file is not a caffemodel, is damaged or cut off.
    """
    data = map_file(path)
    return Reader(os.fspath(path), data).message('NetParameter', 0, len(data), 'net')


def map_file(path):
    """Maps a regular, non-empty file into memory: a private copy-on-write memoryview."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise FileError(f'{path}: cannot be read: {getattr(error, "strerror", error)}') from error
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f'{path}: a regular file expected, this is a folder or a device.')
    if status.st_size == 0:
        raise DataError(f'{path}: the file is empty, a caffemodel or prototxt expected.')
    try:
        with open(path, 'rb') as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    except (OSError, ValueError) as error:
        raise FileError(f'{path}: cannot be read: {getattr(error, "strerror", error)}') from error


class Reader:
    """A decoder that knows its file's name, its bytes and how many fields may still come."""

    def __init__(self, path, data):
        self.path, self.data, self.budget = path, data, MAX_FIELDS

    def fail(self, position, problem):
        raise DataError(f'{self.path}: not a valid caffemodel: at byte {position}: {problem}')

    def spend(self, count, position):
        self.budget -= count
        if self.budget < 0:
            self.fail(position, f'more than {MAX_FIELDS} fields; no network has so many.')

    def varint(self, position, end):
        """The varint at a position: (value as unsigned 64 bit, position after it)."""
        value, start = 0, position
        for shift in range(0, 70, 7):
            if position >= end:
                self.fail(start, 'a number is cut off.')
            byte = self.data[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value & 0xffffffffffffffff, position
        return self.fail(start, 'a number has more than 10 bytes.')

    def field(self, position, end):
        """The field at a position: (number, wire type, start and end of its value)."""
        self.spend(1, position)
        tag, start = self.varint(position, end)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 1 << 29 or wire not in WIRE_TYPES:
            self.fail(position, f'field number {number} with wire type {wire} does not exist. '
                                'The file is damaged or of another format.')
        if wire == VARINT:
            return number, wire, start, self.varint(start, end)[1]
        if wire == BYTES:
            length, start = self.varint(start, end)
        else:
            length = 4 if wire == FIXED32 else 8
        if length > end - start:
            self.fail(position, f'a field says it has {length} bytes, {end - start} are left. '
                                'The file is damaged or was not copied completely.')
        return number, wire, start, start + length

    def message(self, kind, position, end, where):
        """Decodes one message. The depth is bounded: the table of messages has no cycle."""
        message = schema.Message(kind)
        while position < end:
            number, wire, start, position = self.field(position, end)
            field = schema.NUMBERS[kind].get(number)
            if field is None:
                message.add_unknown(number)
                continue
            values = self.values(field, wire, start, position, f'{where}.{field.name}')
            if field.repeated:
                message.setdefault(field.name, []).extend(values)
            elif isinstance(values[0], schema.Message) and field.name in message:
                self.fail(start, f'{where}.{field.name} is there twice.')
            else:
                message[field.name] = values[0]
        return message

    def values(self, field, wire, start, end, where):
        """The value of one field as a list: one element, or all elements of a packed field."""
        if field.type in FLOATS:
            return self.floats(field, wire, start, end, where).tolist()
        if field.type in ('int', 'uint', 'bool') or field.type in schema.ENUMS:
            if wire == BYTES and field.repeated:
                values = []
                while start < end:
                    self.spend(1, start)
                    value, start = self.varint(start, end)
                    values.append(convert(field, value))
                return values
            self.expect(wire, VARINT, start, where)
            return [convert(field, self.varint(start, end)[0])]
        self.expect(wire, BYTES, start, where)
        if field.type == 'Blob':
            return [self.blob(start, end, where)]
        if field.type == 'string':
            if end - start > MAX_STRING:
                self.fail(start, f'{where}: a text of {end - start} bytes, {MAX_STRING} at most.')
            return [schema.decode_text(bytes(self.data[start:end]))]
        return [self.message(field.type, start, end, where)]

    def expect(self, wire, expected, position, where):
        if wire != expected:
            self.fail(position, f'{where} should be {WIRE_TYPES[expected]} in the file, it is '
                                f'{WIRE_TYPES[wire]}.')

    def floats(self, field, wire, start, end, where):
        """The numbers of a float field as a view, packed or single."""
        dtype = FLOATS[field.type]
        if wire != BYTES or not field.repeated:
            self.expect(wire, FIXED32 if dtype.itemsize == 4 else FIXED64, start, where)
        elif (end - start) % dtype.itemsize:
            self.fail(start, f'{where}: {end - start} bytes, not a multiple of {dtype.itemsize}.')
        return np.frombuffer(self.data, dtype, (end - start) // dtype.itemsize, start)

    def blob(self, position, end, where):
        """A BlobProto as an array: a view if the values lie together, as they normally do."""
        message, pieces = schema.Message('BlobProto'), {'float': [], 'double': []}
        while position < end:
            tag_position = position
            number, wire, start, position = self.field(position, end)
            field = schema.NUMBERS['BlobProto'].get(number)
            if field is None:
                continue
            if field.type not in FLOATS:
                message[field.name] = self.values(field, wire, start, position, where)[0]
                continue
            values = self.floats(field, wire, start, position, where)
            if wire != BYTES:
                values, position = self.run(values.dtype, tag_position, start, end)
            if field.name in ('data', 'double_data') and values.size:
                pieces[field.type].append(values)
        if pieces['float'] and pieces['double']:
            self.fail(end, f'{where} has both float and double values.')
        pieces = pieces['float'] or pieces['double'] or [np.zeros(0, np.float32)]
        values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return schema.make_blob(message, values, f'{self.path}: {where}')

    def run(self, dtype, position, start, end):
        """Unpacked numbers: a view of all that follow each other, and where they end."""
        self.spend(RUN_COST, position)
        tag = np.frombuffer(self.data, 'u1', start - position, position)
        item = np.dtype([('tag', 'u1', (len(tag),)), ('value', dtype)])
        items = np.frombuffer(self.data, item, (end - position) // item.itemsize, position)
        first, step, count = 0, 64, len(items)
        while first < count:
            other = np.any(items['tag'][first:first + step] != tag, axis=1)
            if other.any():
                count = first + int(other.argmax())
            first, step = first + step, min(2 * step, 65_536)
        return items['value'][:count], position + count * item.itemsize


def convert(field, value):
    """An unsigned 64-bit integer as the field's type: signed, bool, or the name in an enum."""
    if field.type == 'bool':
        return bool(value)
    if field.type in schema.ENUMS:
        return schema.ENUM_NAMES[field.type].get(value, value)
    if field.type == 'int' and value >= 1 << 63:
        return value - (1 << 64)
    return value

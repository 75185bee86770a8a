"""Reads protobuf files without trusting them: the wire format over a memory map, by a table.

Every length is checked against what is there before it is believed, the number of fields and the
depth of messages are bounded, and an error names the file and the byte. Numbers that lie together
become views of the file; nothing is read from the disk before it is used.
"""
import mmap
import os
import re
import stat

import numpy as np

from minichain.errors import DataError, FileError, InvalidArgument

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
WIRE_TYPES = {VARINT: 'a varint', FIXED64: '8 bytes', BYTES: 'a text, message or packed list',
              FIXED32: '4 bytes'}
FLOATS = {'float': np.dtype('<f4'), 'double': np.dtype('<f8')}
INTEGERS = ('int', 'uint', 'bool')

# Names are short; bytes may be lists of words or the like, which some writers keep in one text.
MAX_STRING, MAX_BYTES = 65_536, 1 << 26
MAX_DEPTH = 64
# Finding the end of a run of unpacked numbers costs as much as this many fields.
RUN_COST = 16


class Field:
    """One field of a message: its number, name, type, whether it is repeated, and its default."""

    __slots__ = ('number', 'name', 'type', 'repeated', 'default')

    def __init__(self, line, enums):
        number, self.name, kind, *default = line.split()
        self.number, self.type, self.repeated = int(number), kind.rstrip('*'), kind.endswith('*')
        text = default[0] if default else None
        if self.type in FLOATS:
            self.default = float(text or 0)
        elif self.type in ('int', 'uint'):
            self.default = int(text or 0)
        elif self.type == 'bool':
            self.default = text == 'true'
        elif self.type in enums:
            self.default = text or next(iter(enums[self.type]))
        else:
            self.default = b'' if self.type == 'bytes' else ''


class Schema:
    """The messages of a format.

    Args:
        messages: blocks of a message's name and, indented, its fields, separated by semicolons:
            number, name, type (* if repeated), default. Types in lower case are scalars (int,
            uint, bool, float, double, string, bytes); any other is an enum, a message, or a leaf
            that the `Reader` is told how to read.
        enums: blocks of an enum's name and, indented, pairs identifier=number. The first one is
            the default of a field that states none.
    """

    def __init__(self, messages, enums=''):
        self.enums = {kind: {name: int(number) for name, number
                             in (pair.split('=') for pair in pairs.split())}
                      for kind, pairs in read_table(enums).items()}
        self.enum_names = {kind: dict(map(reversed, names.items()))
                           for kind, names in self.enums.items()}
        self.fields = {kind: {field.name: field for field
                              in (Field(line, self.enums) for line in lines.split(';'))}
                       for kind, lines in read_table(messages).items()}
        self.numbers = {kind: {field.number: field for field in fields.values()}
                        for kind, fields in self.fields.items()}


def read_table(text):
    """The blocks of a table: {name of the block: its indented lines as one text}."""
    blocks = (block.partition('\n') for block in re.split(r'\n(?=\w)', text.strip()) if block)
    return {name: ' '.join(lines.split()) for name, _, lines in blocks}


class Message(dict):
    """The fields of one message that a file sets; its attributes also know the defaults.

    ``'pad_h' in message`` says whether the file sets the field. ``unknown`` holds the names (text)
    or numbers (binary) of fields that the table does not know.
    """

    def __init__(self, schema, kind, fields=(), unknown=()):
        super().__init__(fields)
        self.schema, self.kind, self.unknown = schema, kind, list(unknown)

    def add_unknown(self, name):
        # Enough of them to tell the user what the file is; a hostile file has any number.
        if len(self.unknown) < 16 and name not in self.unknown:
            self.unknown.append(name)

    def __getattr__(self, name):
        known = self.__dict__
        field = known['schema'].fields[known['kind']].get(name) if 'kind' in known else None
        if field is None:
            raise AttributeError(f'{known.get("kind", "Message")} has no field {name!r}')
        if name in self:
            return self[name]
        if field.repeated:
            return []
        if field.type in self.schema.fields:
            return Message(self.schema, field.type)
        return field.default


def map_file(path, expected):
    """Maps a regular, non-empty file into memory: a private copy-on-write memoryview.

    Args:
        path: of the file.
        expected: what the file should be, for messages.
    Raises:
        FileError: no such regular file, or no permission.
        DataError: the file is empty.
        InvalidArgument: `path` is no path. Numbers are none, though the system takes them for
            files that are open.
    """
    try:
        path = os.fsdecode(path)
    except TypeError:
        raise InvalidArgument(f'the path of {expected} expected, got '
                              f'{type(path).__name__}') from None
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise FileError(f'{path}: cannot be read: {getattr(error, "strerror", error)}') from error
    if not stat.S_ISREG(status.st_mode):
        raise FileError(f'{path}: a regular file expected, this is a folder or a device.')
    if status.st_size == 0:
        raise DataError(f'{path}: the file is empty, {expected} expected.')
    try:
        with open(path, 'rb') as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    except (OSError, ValueError) as error:
        raise FileError(f'{path}: cannot be read: {getattr(error, "strerror", error)}') from error


def aligned(array):
    """An array at an address that matrix products can use: itself, or a copy out of its file.

    In a file a number starts anywhere. The pages that were mapped for a copied array are given
    back to the system, so that it is not in memory twice.
    """
    if not isinstance(array, np.ndarray) or array.flags.aligned:
        return array
    copy, base = array.copy(), array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    file = getattr(base, 'obj', None)
    if isinstance(file, mmap.mmap) and hasattr(mmap, 'MADV_DONTNEED') and array.flags.c_contiguous:
        start = array.ctypes.data - np.frombuffer(file, np.uint8).ctypes.data
        first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        last = (start + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
        if first < last:
            file.madvise(mmap.MADV_DONTNEED, first, last - first)
    return copy


class Reader:
    """A decoder that knows its file's name, its bytes and how many fields may still come.

    Args:
        path: name of the file, for messages.
        data: memoryview of its bytes.
        schema: the `Schema` of the format.
        expected: what the file should be ('caffemodel'), for messages.
        leaves: dict, type of a field -> function (reader, start, end, where) that reads it.
        max_fields: how many fields a file may have.
        skipped: types of fields that are passed over as if the schema did not know them.
    """

    def __init__(self, path, data, schema, expected, leaves, max_fields, skipped=frozenset()):
        self.path, self.data, self.schema = path, data, schema
        self.expected, self.leaves, self.skipped = expected, leaves, skipped
        self.max_fields = self.budget = max_fields
        self.depth = 0

    def fail(self, position, problem):
        raise DataError(f'{self.path}: not a valid {self.expected}: at byte {position}: {problem}')

    def spend(self, count, position):
        self.budget -= count
        if self.budget < 0:
            self.fail(position, f'more than {self.max_fields} fields; no network has so many.')

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
        """Decodes one message."""
        if self.depth == MAX_DEPTH:
            self.fail(position, f'{where}: messages lie more than {MAX_DEPTH} deep in each other.')
        self.depth += 1
        message, numbers = Message(self.schema, kind), self.schema.numbers[kind]
        while position < end:
            number, wire, start, position = self.field(position, end)
            field = numbers.get(number)
            if field is None or field.type in self.skipped:
                message.add_unknown(number)
                continue
            values = self.values(field, wire, start, position, f'{where}.{field.name}')
            if field.repeated:
                message.setdefault(field.name, []).extend(values)
            elif isinstance(values[0], Message) and field.name in message:
                self.fail(start, f'{where}.{field.name} is there twice.')
            elif len(values) != 1:
                self.fail(start, f'{where}.{field.name}: one value expected, got {len(values)}.')
            else:
                message[field.name] = values[0]
        self.depth -= 1
        return message

    def values(self, field, wire, start, end, where):
        """The value of one field as a list: one element, or all elements of a packed field."""
        if field.type in FLOATS:
            return self.floats(field, wire, start, end, where).tolist()
        if field.type in INTEGERS or field.type in self.schema.enums:
            if wire == BYTES and field.repeated:
                return [self.convert(field, value) for value in self.varints(start, end)]
            self.expect(wire, VARINT, start, where)
            return [self.convert(field, self.varint(start, end)[0])]
        self.expect(wire, BYTES, start, where)
        if field.type in self.leaves:
            return [self.leaves[field.type](self, start, end, where)]
        if field.type in ('string', 'bytes'):
            most = MAX_BYTES if field.type == 'bytes' else MAX_STRING
            if end - start > most:
                self.fail(start, f'{where}: a text of {end - start} bytes, {most} at most.')
            data = bytes(self.data[start:end])
            return [data if field.type == 'bytes' else decode_text(data)]
        return [self.message(field.type, start, end, where)]

    def varints(self, position, end):
        """A packed list of varints."""
        values = []
        while position < end:
            self.spend(1, position)
            value, position = self.varint(position, end)
            values.append(value)
        return values

    def convert(self, field, value):
        """An unsigned 64-bit integer as the field's type: signed, bool, the name in an enum."""
        if field.type == 'bool':
            return bool(value)
        if field.type in self.schema.enums:
            return self.schema.enum_names[field.type].get(value, value)
        if field.type == 'int' and value >= 1 << 63:
            return value - (1 << 64)
        return value

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


def decode_text(data):
    """Bytes -> str: UTF-8, else Latin-1, so that names in other encodings stay distinct."""
    try:
        return data.decode('utf-8')
    except UnicodeDecodeError:
        return data.decode('latin-1')


def packed_integers(data):
    """The varints of a packed field as a NumPy array, without a loop over them.

    Args:
        data: uint8 array of the whole field.
    Returns:
        uint64 (count,); of a number that is cut off or longer than 10 bytes, None for all.
    """
    ends = np.flatnonzero(data < 128)
    if not data.size:
        return np.zeros(0, np.uint64)
    if not ends.size or ends[-1] != data.size - 1:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    if lengths.max() > 10:
        return None
    values = np.zeros(len(ends), np.uint64)
    for byte in range(int(lengths.max())):
        more = lengths > byte
        digits = data[starts[more] + byte].astype(np.uint64) & np.uint64(127)
        values[more] |= digits << np.uint64(7 * byte)
    return values

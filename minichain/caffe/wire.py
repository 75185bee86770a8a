"""Reads Caffe's binary files; weights are views of a memory map. Read ``schema`` first."""
import os

import numpy as np

from minichain import protobuf
from minichain.caffe import schema
from minichain.protobuf import BYTES, FLOATS, VARINT

EXPECTED = 'a caffemodel or prototxt'
# The largest public networks have some ten thousand fields.
MAX_FIELDS = 250_000
# What only describes layers: forks of Caffe have given some of these numbers other meanings.
DESCRIPTIONS = frozenset(field.type for field in schema.FIELDS['LayerParameter'].values()
                         if field.name.endswith('_param')) - {'TransformationParameter'}

# NVIDIA's fork keeps values as bytes, as do OpenCV's files of half floats: what is said of them
# by these fields of a BlobProto, and the types by number.
RAW_TYPE, RAW_DATA = 10, 12
RAW_TYPES = {0: np.dtype('<f8'), 1: np.dtype('<f4'), 2: np.dtype('<f2')}


def read_binary(path, weights_only=False):
    """Reads a caffemodel.

    Blobs are float32 or float64 arrays over a private memory map: nothing is read from the disk
    before it is used, and writing to such an array does not change the file.

    Args:
        path: of the file.
        weights_only: pass over the options of layers, which a prototxt states anyway.
    Returns:
        Message of kind NetParameter as the file has it (old `layers` not yet upgraded).
    Raises:
        FileError: no such regular file, or no permission.
        DataError: the file is not a caffemodel, is damaged or cut off.
    """
    reader = make_reader(path, DESCRIPTIONS if weights_only else frozenset())
    return reader.message('NetParameter', 0, len(reader.data), 'net')


def read_blob(path):
    """Reads a file that is one BlobProto, such as a mean image, as an array; raises as above."""
    reader = make_reader(path)
    return blob(reader, 0, len(reader.data), 'blob')


def make_reader(path, skipped=frozenset()):
    """A `minichain.protobuf.Reader` of Caffe's messages over a memory map of the file."""
    data = protobuf.map_file(path, EXPECTED)
    return protobuf.Reader(os.fspath(path), data, schema.SCHEMA, 'caffemodel', {'Blob': blob},
                           MAX_FIELDS, skipped)


def blob(reader, position, end, where):
    """A BlobProto as an array: a view if the values lie together, as they normally do."""
    message, pieces = schema.message('BlobProto'), {'float': [], 'double': []}
    raw, raw_type = None, 0
    while position < end:
        tag_position = position
        number, wire, start, position = reader.field(position, end)
        field = schema.NUMBERS['BlobProto'].get(number)
        if field is None:
            if (number, wire) == (RAW_TYPE, VARINT):
                raw_type = reader.varint(start, position)[0]
            elif (number, wire) == (RAW_DATA, BYTES):
                raw = start, position
            continue
        if field.type not in FLOATS:
            message[field.name] = reader.values(field, wire, start, position, where)[0]
            continue
        values = reader.floats(field, wire, start, position, where)
        if wire != BYTES:
            values, position = reader.run(values.dtype, tag_position, start, end)
        if field.name in ('data', 'double_data') and values.size:
            pieces[field.type].append(values)
    if pieces['float'] and pieces['double']:
        reader.fail(end, f'{where} has both float and double values.')
    pieces = pieces['float'] or pieces['double'] or [np.zeros(0, np.float32)]
    values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    if raw and not values.size:
        values = raw_values(reader, raw_type, *raw, where)
    return schema.make_blob(message, values, f'{reader.path}: {where}')


def raw_values(reader, kind, start, end, where):
    """Values that a blob keeps as bytes, a view."""
    dtype = RAW_TYPES.get(kind)
    if dtype is None or (end - start) % dtype.itemsize:
        reader.fail(start, f'{where}: {end - start} bytes of the type {kind}; floats (0 double, '
                           '1 single, 2 half) are known.')
    return np.frombuffer(reader.data, dtype, (end - start) // dtype.itemsize, start)

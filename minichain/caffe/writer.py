"""Writes networks in Caffe's own formats: binary caffemodel and text prototxt.

A network is a list of layers, each a dict with the field names of Caffe's LayerParameter.
"""

import json
import math
import struct
import sys
from collections.abc import Iterable

import numpy as np

from minichain._atomic import write_atomically
from minichain.caffe import schema
from minichain.caffe.network import PREPROCESSING_MARK
from minichain.errors import InvalidArgument
from minichain.image import Preprocessing
from minichain.protobuf import BYTES, FIXED32, FIXED64, VARINT
from minichain.type_check import is_text

SCALAR_WIRE = {'float': FIXED32, 'double': FIXED64}
PACK = {'float': '<f', 'double': '<d'}
LARGEST = {'float': float(np.finfo(np.float32).max), 'double': sys.float_info.max}


def save(caffemodel, prototxt, layers, input_shape, *, input_name='data', name='',
         preprocessing=None):
    """Writes a network as a pair of files that Caffe, OpenCV and `minichain.caffe.load` read.

        save('net.caffemodel', 'net.prototxt',
             [{'name': 'conv1', 'type': 'Convolution', 'bottom': ['data'], 'top': ['conv1'],
               'convolution_param': {'num_output': 8, 'kernel_size': [3], 'pad': [1]},
               'blobs': [W, b]},
              {'name': 'relu1', 'type': 'ReLU', 'bottom': ['conv1'], 'top': ['conv1']}],
             input_shape=(1, 3, 48, 48))

    Args:
        caffemodel: path of the weights. Each file is written whole or not at all.
        prototxt: path of the description.
        layers: dicts with `name`, `type`, `bottom`, `top`, the layer's `*_param` as a dict, and
            `blobs`, a list of float arrays, which become float32.
        input_shape: (N, C, H, W) of the input blob.
        input_name: name of the input blob.
        name: name of the network.
        preprocessing: minichain.image.Preprocessing; kept in a comment of the prototxt, where
            `load` finds it.
    Raises:
        InvalidArgument: a field or value that Caffe's format does not have; no lists for layers
            and input_shape; one path for both files.
        FileError: a file cannot be written.
    """
    for what, value in (('layers', layers), ('input_shape', input_shape)):
        if not isinstance(value, Iterable):
            raise InvalidArgument(f'save: a list expected for {what}, got {type(value).__name__}')
    if not isinstance(preprocessing, (Preprocessing, type(None))):
        raise InvalidArgument('save: a minichain.image.Preprocessing expected, got '
                              f'{type(preprocessing).__name__}')
    if caffemodel == prototxt:
        raise InvalidArgument(f'save: two paths expected, got {caffemodel!r:.200} for both files')
    data = {'name': input_name, 'type': 'Input', 'top': [input_name],
            'input_param': {'shape': [{'dim': list(input_shape)}]}}
    network = {'name': name, 'layer': [data, *layers]}
    head = '' if preprocessing is None else (
        f'{PREPROCESSING_MARK} {json.dumps(preprocessing.to_dict())}\n')
    binary = encode('NetParameter', network)
    text = head + format_text('NetParameter', network)
    write_atomically(caffemodel, binary)
    write_atomically(prototxt, text.encode())


def encode(kind, message):
    """A dict with the fields of one kind of message -> its bytes in the wire format."""
    parts = []
    for field, values in checked_fields(kind, message):
        if field.type in SCALAR_WIRE:
            tag = varint(field.number << 3 | SCALAR_WIRE[field.type])
            parts += [tag + struct.pack(PACK[field.type], value) for value in values]
        elif field.type in ('int', 'uint', 'bool') or field.type in schema.ENUMS:
            tag, numbers = varint(field.number << 3 | VARINT), schema.ENUMS.get(field.type)
            parts += [tag + varint(numbers[value] if numbers else int(value)) for value in values]
        else:
            for value in values:
                data = (encode_blob(value) if field.type == 'Blob' else
                        value.encode() if field.type == 'string' else encode(field.type, value))
                parts += [varint(field.number << 3 | BYTES), varint(len(data)), data]
    return b''.join(parts)


def encode_blob(array):
    """A float array -> BlobProto with packed shape and packed float32 data."""
    array = np.ascontiguousarray(array, '<f4')
    dims = b''.join(map(varint, array.shape))
    shape = b'\x0a' + varint(len(dims)) + dims
    data = array.tobytes()
    return b'\x3a' + varint(len(shape)) + shape + b'\x2a' + varint(len(data)) + data


def varint(value):
    """An integer of up to 64 bits as a varint; negative ones take ten bytes."""
    value &= 0xffffffffffffffff
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def format_text(kind, message, indent=''):
    """A dict with the fields of one kind of message -> text format; weights are left out."""
    lines = []
    for field, values in checked_fields(kind, message):
        for value in values:
            if field.type == 'Blob':
                continue
            if field.type in schema.FIELDS:
                body = format_text(field.type, value, indent + '  ')
                lines.append(f'{indent}{field.name} {{\n{body}{indent}}}\n')
            else:
                lines.append(f'{indent}{field.name}: {format_scalar(field, value)}\n')
    return ''.join(lines)


def format_scalar(field, value):
    if field.type == 'string':
        return json.dumps(value, ensure_ascii=False)
    if field.type == 'bool':
        return 'true' if value else 'false'
    if field.type == 'float':
        return repr(float(str(np.float32(value))))
    return str(value)


def checked_fields(kind, message):
    """Yields (field, list of values) in the order of the field numbers.

    Raises:
        InvalidArgument: an unknown field, or a value of the wrong type.
    """
    unknown = set(message) - set(schema.FIELDS[kind])
    if unknown:
        raise InvalidArgument(f'{kind} has no field {", ".join(sorted(map(str, unknown)))}; '
                              f'it has {", ".join(schema.FIELDS[kind])}.')
    for field in schema.FIELDS[kind].values():
        if field.name in message:
            values = message[field.name]
            if not field.repeated:
                values = [values]
            elif not isinstance(values, (list, tuple)):
                raise InvalidArgument(f'{kind}.{field.name}: a list expected, got '
                                      f'{type(values).__name__}.')
            for value in values:
                if not is_valid(field, value):
                    raise InvalidArgument(f'{kind}.{field.name}: {field.type} expected, '
                                          f'got {value!r:.60}.')
            yield field, values


def is_number(value, largest):
    """Whether a value is a number that can be stored: up to the largest one, infinite, or NaN."""
    value = value.item() if isinstance(value, np.generic) else value
    return isinstance(value, (int, float)) and (
        abs(value) <= largest or value != value or abs(value) == math.inf)


def is_valid(field, value):
    if field.type == 'Blob':
        return isinstance(value, np.ndarray) and value.dtype.kind == 'f'
    if field.type == 'string':
        return is_text(value)
    if field.type in schema.FIELDS:
        return isinstance(value, dict)
    if field.type in schema.ENUMS:
        return isinstance(value, str) and value in schema.ENUMS[field.type]
    if field.type == 'bool':
        return isinstance(value, (bool, np.bool_))
    if field.type in SCALAR_WIRE:
        return is_number(value, LARGEST[field.type])
    return (isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            and (field.type == 'int' or value >= 0) and abs(int(value)) < 1 << 63)

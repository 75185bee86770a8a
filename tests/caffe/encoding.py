"""Caffe's binary format written by hand, so that the reader is not tested against its own writer.

Field numbers here are literals taken from Caffe's published format.
"""

import struct

import numpy as np


def varint(value):
    value %= 1 << 64
    groups = []
    while True:
        groups.append(value % 128)
        value //= 128
        if not value:
            return bytes([group + 128 for group in groups[:-1]] + groups[-1:])


def integer(number, value):
    return varint(number * 8) + varint(value)


def nested(number, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(number * 8 + 2) + varint(len(data)) + data


def single(number, value):
    return varint(number * 8 + 5) + struct.pack('<f', value)


def blob(array, packed=True, legacy=False, double=False):
    array = np.asarray(array, '<f8' if double else '<f4')
    if legacy:
        shape = b''.join(integer(index + 1, dim) for index, dim in enumerate(array.shape))
    else:
        shape = nested(7, nested(1, b''.join(map(varint, array.shape))))
    number = 8 if double else 5
    if packed:
        return shape + nested(number, array.tobytes())
    tag = varint(number * 8 + (1 if double else 5))
    return shape + b''.join(tag + value.tobytes() for value in array.ravel())


def layer(name, kind, bottoms=(), tops=(), blobs=(), parameters=b''):
    return nested(100, nested(1, name) + nested(2, kind) + b''.join(nested(3, b) for b in bottoms)
                  + b''.join(nested(4, t) for t in tops) + b''.join(nested(7, b) for b in blobs)
                  + parameters)


def old_layer(name, number, bottoms=(), tops=(), blobs=(), parameters=b''):
    return nested(2, b''.join(nested(2, b) for b in bottoms) + b''.join(nested(3, t) for t in tops)
                  + nested(4, name) + integer(5, number) + b''.join(nested(6, b) for b in blobs)
                  + parameters)


def small_net(W, b):
    """data -> convolution 3x3, stride 2, pad 1, 2 groups -> ReLU in place -> softmax."""
    convolution = (integer(1, len(W)) + integer(3, 1) + integer(4, 3) + integer(6, 2)
                   + integer(5, 2))
    return (nested(1, 'small')
            + layer('data', 'Input', tops=['data'],
                    parameters=nested(143, nested(1, nested(1, bytes([2, 4, 7, 9])))))
            + layer('conv/a', 'Convolution', ['data'], ['conv'], [blob(W), blob(b)],
                    nested(106, convolution))
            + layer('relu', 'ReLU', ['conv'], ['conv'], parameters=nested(123, single(1, 0.25)))
            + layer('prob', 'Softmax', ['conv'], ['prob']))

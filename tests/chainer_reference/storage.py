"""Keeps nests of dicts, lists, plain values and arrays in small .npz files without pickles.

Floats are stored to 28 bits of mantissa (2e-9 relative; float32 exactly), which halves the files.
"""

import json
import os

import numpy as np

KEPT_BYTES = 5
DROPPED_BITS = 64 - 8 * KEPT_BYTES


def save(path, results):
    """Write a nest of dicts, lists, plain values and arrays; the file is whole or untouched."""
    floats, others = [], []
    index = json.dumps(pack(results, floats, others), separators=(',', ':'))
    integers = [np.zeros(0, '<i8')] + [each.astype('<i8').ravel() for each in others]
    bits = np.concatenate([each.astype('<f8').ravel() for each in floats]).view('<u8')
    rounded = bits + np.uint64(1 << (DROPPED_BITS - 1))
    planes = rounded.view('u1').reshape(-1, 8).T[-KEPT_BYTES:]
    part = f'{path}.part'
    with open(part, 'wb') as file:
        np.savez_compressed(file, index=np.frombuffer(index.encode(), 'u1'), floats=planes,
                            others=np.concatenate(integers))
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def pack(value, floats, others):
    """Move every array of the nest to one of two lists; leave its dtype and shape behind."""
    if isinstance(value, dict):
        return {key: pack(each, floats, others) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [pack(each, floats, others) for each in value]
    if isinstance(value, np.ndarray):
        (floats if value.dtype.kind == 'f' else others).append(value)
        return {'array': value.dtype.str[1:], 'shape': value.shape}
    return value


def load(path):
    """Return what save wrote."""
    with np.load(path, allow_pickle=False) as file:
        index, planes, others = json.loads(file['index'].tobytes()), file['floats'], file['others']
    raised = np.zeros((planes.shape[1], 8), 'u1')
    raised[:, -KEPT_BYTES:] = planes.T
    return unpack(index, {'f': [raised.view('<f8').ravel(), 0], 'other': [others, 0]})


def unpack(value, pools):
    """Undo pack: arrays are taken from the pools in the order in which they went in."""
    if isinstance(value, list):
        return [unpack(each, pools) for each in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {'array', 'shape'}:
        return {key: unpack(each, pools) for key, each in value.items()}
    pool = pools.get(value['array'][0], pools['other'])
    size = int(np.prod(value['shape']))
    taken = pool[0][pool[1]:pool[1] + size]
    pool[1] += size
    return taken.reshape(value['shape']).astype(value['array'])

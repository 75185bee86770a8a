"""Training snapshots: everything that an exact continuation needs, in one file, whole or absent.

The file is an uncompressed zip: ``manifest.json`` lists size and sha256 of every other member,
``state.json`` holds what is JSON (progress, configuration, random states, the log so far), and
``<name>.npy`` the arrays. No GPU is needed to read it, whatever device wrote it.
"""
import hashlib
import io
import json
import zipfile

import numpy as np

from minichain._version import __version__
from minichain.errors import DataError, InvalidArgument
from minichain.npz_file import MANIFEST, NpzFile, file_name, write_npy, write_npz
from minichain.serializers.npz import DictionarySerializer, NpzDeserializer, as_stored

FORMAT = 'minichain training snapshot'
VERSION = 1
STATE = 'state.json'
MAX_JSON = 64 << 20   # bytes of a manifest


def save(path, arrays, state):
    """Write a snapshot; until it is whole on the disk, the file that stood there before stays.

    Args:
        path: the file, replaced.
        arrays: dict from name to NumPy array or None; :func:`collect` makes it of objects.
        state: dict of anything that JSON can hold.
    Raises:
        FileError: the file cannot be written. InvalidArgument: `state` is not JSON.
    """
    members = {STATE: _to_json(state)}
    for name, array in arrays.items():
        if name in (MANIFEST, STATE):
            raise InvalidArgument(f'snapshot: an array may not be called {name!r}')
        stream, stored = io.BytesIO(), as_stored(name, array)
        write_npy(stream, None if stored.dtype.hasobject else stored)
        members[f'{name}.npy'] = stream.getvalue()
    manifest = {
        'format': FORMAT, 'version': VERSION, 'created_by': f'minichain {__version__}',
        'members': {name: {'size': len(data), 'sha256': hashlib.sha256(data).hexdigest()}
                    for name, data in members.items()}}
    write_npz(path, {}, compression=False, texts={MANIFEST: _to_json(manifest), **members})


def load(path):
    """Read a snapshot and compare every member with its checksum.

    Returns:
        tuple of the dict of arrays (None for those without value) and the state.
    Raises:
        FileError: the file is missing.
        DataError: it is no snapshot, of a later version, damaged, or written by somebody who
            wants more memory than the file is large.
    """
    name = file_name(path)
    with NpzFile(path) as npz:
        if MANIFEST not in npz:
            raise DataError(f'{name}: a training snapshot expected, got a model or another npz '
                            'file; minichain.serializers.load_npz reads models')
        manifest = _from_json(npz.read_bytes(MANIFEST, MAX_JSON), name, MANIFEST)
        members = _check_manifest(manifest, name)
        present = {member.filename: member for member in npz.members()}
        if set(present) != {MANIFEST, *members} or len(present) != len(npz.members()):
            odd = sorted(set(present) ^ {MANIFEST, *members})
            raise DataError(f'{name}: the members are not those of its manifest: {odd[:3]}. The '
                            'snapshot is damaged; take an earlier one')
        arrays, state = {}, None
        for member, listed in members.items():
            key = member.removesuffix('.npy')
            if present[member].compress_type != zipfile.ZIP_STORED:
                raise DataError(f'{name}, member {member!r}: compressed; snapshots are not')
            data = npz.read_bytes(key, present[member].file_size)
            found = {'size': len(data), 'sha256': hashlib.sha256(data).hexdigest()}
            if found != listed:
                raise DataError(f'{name}, member {member!r}: {listed} expected, got {found}. The '
                                'snapshot is damaged; take an earlier one')
            if member == STATE:
                state = _from_json(data, name, STATE)
            else:
                arrays[key] = npz[key]
    return arrays, state


def _check_manifest(manifest, name):
    """Return the listed members of a manifest; raise if it is not one that we can read."""
    manifest = manifest if isinstance(manifest, dict) else {}
    if manifest.get('format') != FORMAT or manifest.get('version') != VERSION:
        raise DataError(
            f'{name}: {FORMAT!r} of version {VERSION} expected, got {manifest.get("format")!r} of '
            f'version {manifest.get("version")!r} by {manifest.get("created_by")!r}. Another '
            'minichain may read it')
    members = manifest.get('members')
    if not isinstance(members, dict) or STATE not in members or MANIFEST in members:
        raise DataError(f'{name}: its manifest does not list {STATE}')
    return members


def _to_json(value):
    try:
        return json.dumps(value, ensure_ascii=False, indent=1).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f'snapshot: a state of JSON values expected ({error}). Arrays go '
                              'into `arrays`; write numbers of NumPy as int or float') from error


def _from_json(data, name, member):
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f'{name}, member {member!r}: JSON expected ({error})') from error


def collect(**objects):
    """Return the state of links, optimizers, iterators... as a dict of arrays on the CPU.

    Args:
        objects: name=object with a method ``serialize``; keys of the result begin with the name.
    """
    serializer = DictionarySerializer()
    for name, obj in objects.items():
        serializer[name].save(obj)
    return {key: np.array(array) for key, array in serializer.target.items()}


def restore(arrays, **objects):
    """Give objects the state that :func:`collect` took, each on the device where it is.

    Raises:
        DataError: an array is missing or has another shape or kind.
    """
    stored = {key: np.asarray(array) for key, array in arrays.items()}
    for name, obj in objects.items():
        NpzDeserializer(stored)[name].load(obj)


def get_random_state(source):
    """Return the state of a random number generator as JSON values.

    Args:
        source: ``random`` or a ``random.Random``; ``numpy.random`` or a ``RandomState``; a
            ``numpy.random.Generator``.
    """
    if hasattr(source, 'getstate'):
        version, numbers, following = source.getstate()
        return {'kind': 'python', 'state': [version, list(numbers), following]}
    if isinstance(source, np.random.Generator):
        return {'kind': 'generator', 'state': _to_lists(source.bit_generator.state)}
    if hasattr(source, 'get_state'):
        return {'kind': 'numpy', 'state': _to_lists(source.get_state(legacy=False))}
    raise InvalidArgument('random states: random, numpy.random or an object of theirs expected, '
                          f'got {source!r}')


def set_random_state(source, state):
    """Continue a random number generator where :func:`get_random_state` saw it.

    Raises:
        DataError: the state is that of another kind of generator, or damaged.
    """
    expected = get_random_state(source)['kind']
    try:
        if state['kind'] != expected:
            raise ValueError(f'it is one of kind {state["kind"]!r}')
        state = state['state']
        if expected == 'python':
            version, numbers, following = state
            source.setstate((version, tuple(numbers), following))
        elif expected == 'generator':
            source.bit_generator.state = _to_arrays(state)
        else:
            source.set_state(_to_arrays(state))
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise DataError(f'a random state of kind {expected!r} cannot be restored: {error}'
                        ) from error


def _to_lists(state):
    if isinstance(state, dict):
        return {key: _to_lists(value) for key, value in state.items()}
    return {'uint': state.tolist(), 'bits': state.dtype.itemsize * 8} if isinstance(
        state, np.ndarray) else state


def _to_arrays(state):
    if not isinstance(state, dict):
        return state
    if set(state) == {'uint', 'bits'}:
        return np.array(state['uint'], f'uint{state["bits"]}')
    return {key: _to_arrays(value) for key, value in state.items()}


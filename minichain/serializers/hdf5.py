"""Models as HDF5 files with Chainer's groups, for old files; needs h5py (``minichain[hdf5]``)."""
import contextlib
import importlib
import os

import numpy as np

from minichain import backend
from minichain._atomic import open_atomically
from minichain.errors import DataError, FileError, InvalidArgument
from minichain.npz_file import MAX_SURPRISE
from minichain.serializers.base import Deserializer, Serializer
from minichain.serializers.npz import NpzDeserializer, as_stored


def _import_h5py():
    try:
        return importlib.import_module('h5py')
    except ImportError as error:
        raise InvalidArgument(f"HDF5 files need h5py, which does not import ({error}). Install it "
                              "with pip install 'minichain[hdf5]', or use save_npz and load_npz"
                              ) from None


class HDF5Serializer(Serializer):
    """Writes data sets into an h5py group.

    Args:
        group: h5py.Group.
        compression: level of gzip for arrays of more than one element, 0 to 9.
    """

    def __init__(self, group, compression=4):
        self.group, self.compression = group, compression

    def __getitem__(self, key):
        return HDF5Serializer(self.group.require_group(key.strip('/')), self.compression)

    def __call__(self, key, value):
        h5py = _import_h5py()
        array = as_stored(key, value)
        options = {'compression': self.compression} if array.size > 1 else {}
        if value is None:
            array = h5py.Empty('f')
        elif isinstance(value, str):
            array = np.asarray(value, h5py.string_dtype())
        self.group.create_dataset(key.lstrip('/'), data=array, **options)
        return value


class HDF5Deserializer(Deserializer):
    """Reads data sets of an h5py group; arguments and errors as of :class:`NpzDeserializer`."""

    def __init__(self, group, strict=True):
        self.group, self.strict = group, strict

    def __getitem__(self, key):
        name = key.strip('/')
        group = self.group.get(name) if self.group is not None else None
        return HDF5Deserializer(group, self.strict)

    def __call__(self, key, value):
        name = key.lstrip('/')
        stored = {}
        if self.group is not None and name in self.group:
            stored[name] = self._read(name, value)
        return NpzDeserializer(stored, strict=self.strict)(name, value)

    def _read(self, name, value):
        h5py = _import_h5py()
        data = None
        if isinstance(self.group.get(name, getlink=True), h5py.HardLink):
            data = self.group[name]
        if not isinstance(data, h5py.Dataset) or data.external or data.is_virtual:
            raise DataError(f'{self.group.file.filename}, {self.group.name}/{name}: an array in '
                            'the file itself expected, got a group or a reference elsewhere')
        if data.shape is None:
            return np.asarray(None)
        if data.dtype.hasobject:
            return np.asarray(data.asstr()[()] if data.shape == () else None)
        if value is not None and data.shape != np.shape(value):
            raise DataError(f'{self.group.file.filename}, {data.name}: shape {np.shape(value)} '
                            f'expected, got {data.shape}')
        if data.nbytes > MAX_SURPRISE and not backend.is_array(value):
            raise DataError(f'{self.group.file.filename}, {data.name}: an array of {data.nbytes} '
                            'bytes came unexpected')
        return data[()]


def save_hdf5(filename, obj, compression=4):
    """Write the state of a link or optimizer to an HDF5 file, replaced whole or not at all.

    Raises:
        InvalidArgument: h5py is not installed. FileError: the file cannot be written.
    """
    h5py = _import_h5py()
    with open_atomically(filename) as file, h5py.File(file, 'w') as group:
        HDF5Serializer(group, compression).save(obj)


def load_hdf5(filename, obj):
    """Read what :func:`save_hdf5`, or Chainer's, wrote into an object of the same structure.

    Raises:
        InvalidArgument: h5py is not installed. FileError: the file is missing.
        DataError: it is no HDF5 file, or one of another structure.
    """
    h5py = _import_h5py()
    with contextlib.ExitStack() as stack:
        try:
            group = stack.enter_context(h5py.File(filename, 'r'))
        except FileNotFoundError as error:
            raise FileError(f'{os.fsdecode(filename)}: not there; an HDF5 file expected'
                            ) from error
        except OSError as error:
            raise DataError(f'{os.fsdecode(filename)}: an HDF5 file expected ({error})'
                            ) from error
        HDF5Deserializer(group).load(obj)

"""Models and optimizers as npz files, with Chainer's keys: 'predictor/l1/W'."""
import numpy as np

from minichain import backend
from minichain.errors import DataError, InvalidArgument, InvalidType
from minichain.npz_file import MANIFEST, NpzFile, file_name, write_npz
from minichain.serializers.base import Deserializer, Serializer


class MissingEntry(DataError, KeyError):
    """A file has no entry of the name that was asked for."""

    __str__ = Exception.__str__   # KeyError shows the quoted repr


def as_stored(name, value):
    """Return the NumPy array that stands for `value` in a file; of dtype object for None."""
    array = np.asanyarray(backend.to_cpu(value) if backend.is_array(value) else value)
    if array.dtype.kind not in 'biufcUS' and value is not None:
        raise InvalidType(f'{name}: array, number, string or None expected, got '
                          f'{type(value).__name__} {getattr(value, "dtype", "")}')
    return array


class DictionarySerializer(Serializer):
    """Writes into a dict, from path to NumPy array.

    Args:
        target: the dict; None makes one.
        path: what all keys begin with.
    Attributes:
        target: the dict. None is stored as an array of dtype object without axes.
    """

    def __init__(self, target=None, path=''):
        self.target = {} if target is None else target
        self.path = path

    def __getitem__(self, key):
        return DictionarySerializer(self.target, f'{self.path}{key.strip("/")}/')

    def __call__(self, key, value):
        name = self.path + key.lstrip('/')
        self.target[name] = as_stored(name, value)
        return value


class NpzDeserializer(Deserializer):
    """Reads from an npz file or a dict of arrays.

    Args:
        npz: :class:`~minichain.npz_file.NpzFile`, or mapping from path to array.
        path: what all keys begin with.
        strict: a missing entry is an error; else the value stays as it is.
        ignore_names: entries to leave as they are: a name, a function from name to bool, or a
            list of these.
    Raises (when called):
        MissingEntry: the entry is missing.
        DataError: its shape is not that of the array to fill (nothing is broadcast), or its
            dtype cannot be cast to it: within one kind or to a larger one, as from int to float.
    """

    def __init__(self, npz, path='', strict=True, ignore_names=None):
        self.npz, self.path, self.strict = npz, path, strict
        names = [] if ignore_names is None else ignore_names
        self.ignore_names = names if isinstance(names, (list, tuple)) else [names]
        for name in self.ignore_names:
            if not isinstance(name, str) and not callable(name):
                raise InvalidArgument(f'ignore_names: names or functions expected, got {name!r}')

    def __getitem__(self, key):
        return type(self)(self.npz, f'{self.path}{key.strip("/")}/', self.strict,
                          self.ignore_names)

    def __call__(self, key, value):
        name = self.path + key.lstrip('/')
        if any(ignored(name) if callable(ignored) else name == ignored
               for ignored in self.ignore_names):
            return value
        if name not in self.npz:
            return self.missing(name, value)
        if isinstance(self.npz, NpzFile):
            stored = self.npz.header(name)
            is_none = stored.is_none
        else:
            stored = np.asanyarray(self.npz[name])
            is_none = stored.dtype.hasobject and stored.shape == () and stored.item() is None
        if is_none:
            return None
        if value is not None:
            self.expect_shape(name, np.shape(value), stored.shape)
        if backend.is_array(value):
            self._expect_castable(name, stored.dtype, value.dtype, 'same_kind')
            array = self.npz.read(name) if isinstance(self.npz, NpzFile) else stored
            backend.copyto(value, array.astype(value.dtype, copy=False))
            return value
        if value is None:
            return np.asanyarray(self.npz[name])
        self._expect_castable(name, stored.dtype, type(value), 'safe')
        return type(value)(np.asanyarray(self.npz[name])[()])

    def missing(self, name, value):
        """Return what a missing entry is read as; raise if it may not miss."""
        if not self.strict:
            return value
        there = sorted(self.npz)
        listed = ', '.join(there[:12]) + (f', ... ({len(there)} in all)' if there[12:] else '')
        raise MissingEntry(f'{_label(self.npz)} has no entry {name!r}; there are: '
                           f'{listed or "none"}. Is it a file of another model, or does `path` '
                           'miss? load_by_name loads what fits and reports the rest')

    def expect_shape(self, name, expected, got):
        """Raise unless an entry has the shape of what it is read into."""
        if expected != got:
            raise DataError(f'{_label(self.npz)}, entry {name!r}: shape {expected} expected as '
                            f'of the object that is loaded, got {got}')

    def _expect_castable(self, name, stored, wanted, rule):
        try:
            castable = np.can_cast(stored, wanted, rule)
        except TypeError:
            castable = False
        if not castable:
            wanted = wanted.__name__ if isinstance(wanted, type) else wanted
            raise DataError(f'{_label(self.npz)}, entry {name!r}: {wanted} expected, got '
                            f'{stored}, which cannot be cast to it without loss')


def _label(npz):
    return npz.name if isinstance(npz, NpzFile) else 'the dict of arrays'


def save_npz(file, obj, compression=True):
    """Write the state of a link, optimizer or iterator; Chainer reads the file too.

    Parameters without value are stored as Chainer's None.

    Args:
        file: path, replaced whole or not at all; or binary file open for writing.
        obj: anything with a method ``serialize``.
        compression: whether to deflate.
    Raises:
        FileError: the file cannot be written.
        InvalidType: a value is neither array, number, string nor None.
    """
    serializer = DictionarySerializer()
    serializer.save(obj)
    write_npz(file, {name: None if array.dtype.hasobject else array
                     for name, array in serializer.target.items()}, compression)


def load_npz(file, obj, path='', strict=True, ignore_names=None):
    """Read what :func:`save_npz`, or Chainer's, wrote into an object of the same structure.

    Args:
        file: path, or binary file.
        obj: anything with a method ``serialize``. Arrays are filled in place, on their device.
        path: what all keys in the file begin with; 'updater/model:main/' picks the model out of
            a snapshot that Chainer's Trainer took.
        strict, ignore_names: as of :class:`NpzDeserializer`.
    Raises:
        FileError: the file is missing.
        MissingEntry, DataError: it is damaged, no npz file, or one of another structure; `obj`
            may be filled in part. No file can run code or exhaust the memory.
    """
    with open_model(file) as npz:
        NpzDeserializer(npz, path, strict, ignore_names).load(obj)


def open_model(file):
    """Return the NpzFile of a model; raise DataError if it is a training snapshot."""
    npz = NpzFile(file)
    if MANIFEST in npz:
        with npz:
            raise DataError(f'{file_name(file)}: a model expected, got a training snapshot. Give '
                            'the model file beside it, or read it with minichain.snapshot.load')
    return npz

"""Arrays in zip files (npz), written atomically and read without trust.

Nothing is ever unpickled. Chainer stores None as a pickled array; those few bytes are known and
compared. The header of an entry is read and judged before memory is taken for its array.
"""
import collections.abc
import contextlib
import io
import math
import os
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from minichain._atomic import open_atomically
from minichain.errors import DataError, FileError

MANIFEST = 'manifest.json'   # what tells a training snapshot from a model
MAX_SURPRISE = 256 << 20     # bytes of an entry whose shape nobody expected...
MAX_INFLATION = 100          # ...unless the file holds at least a hundredth of them

_MAX_HEADER = 16 << 10
_OPEN_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError,
                RuntimeError, OverflowError, MemoryError, UnicodeError, OSError)

# np.array(None, dtype=object) as NumPy has pickled it: protocol 2 (before 1.17), 3 (1.x and early
# 2.x), 4 (2.x). The reference to None is the "N" in "]N"; everything around it is fixed.
_PICKLED_NONE = [
    b'\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02'
    b'c_codecs\nencode\nq\x03X\x01\x00\x00\x00bq\x04X\x06\x00\x00\x00latin1q\x05\x86q\x06Rq\x07'
    b'\x87q\x08Rq\t(K\x01)cnumpy\ndtype\nq\nX\x02\x00\x00\x00O8q\x0b\x89\x88\x87q\x0cRq\r(K\x03'
    b'X\x01\x00\x00\x00|q\x0eNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tq\x0fb\x89]q\x10Natq\x11b.',
    b'\x80\x03cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01K\x00\x85q\x02'
    b'C\x01bq\x03\x87q\x04Rq\x05(K\x01)cnumpy\ndtype\nq\x06X\x02\x00\x00\x00O8q\x07\x89\x88\x87'
    b'q\x08Rq\t(K\x03X\x01\x00\x00\x00|q\nNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tq\x0bb\x89]q'
    b'\x0cNatq\rb.',
    b'\x80\x04\x95\x86\x00\x00\x00\x00\x00\x00\x00\x8c\x15numpy.core.multiarray\x94\x8c\x0c'
    b'_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94'
    b'\x87\x94R\x94(K\x01)h\x03\x8c\x05dtype\x94\x93\x94\x8c\x02O8\x94\x89\x88\x87\x94R\x94(K\x03'
    b'\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?t\x94b\x89]\x94Nat\x94b.',
]
_WRITTEN_NONE = _PICKLED_NONE[1]   # what Chainer 7 on NumPy 1.x writes, and every NumPy reads
_PICKLED_NONE += [
    _PICKLED_NONE[1].replace(b'numpy.core', b'numpy._core'),
    _PICKLED_NONE[2].replace(b'\x86\0\0\0\0\0\0\0\x8c\x15numpy.core',
                             b'\x87\0\0\0\0\0\0\0\x8c\x16numpy._core')]


@dataclass(frozen=True)
class Header:
    """What an entry says of itself.

    Attributes:
        shape, dtype: of the array; dtype is object for None.
        is_none: the entry is a None of Chainer's.
        fortran_order: the first axis varies fastest.
        start: number of bytes in front of the elements.
    """

    shape: tuple
    dtype: np.dtype
    is_none: bool
    fortran_order: bool
    start: int

    nbytes = property(lambda self: math.prod(self.shape) * self.dtype.itemsize)


class NpzFile(collections.abc.Mapping):
    """The arrays of an npz file by name, each read when asked for; None for Chainer's None.

    Args:
        file: path, or binary file that can seek.
    Raises:
        FileError: the file is missing or cannot be read.
        DataError: it is no zip file, or damaged; reading an entry: its size is not what it says,
            it holds objects, it would take more memory than the file can account for.
    """

    def __init__(self, file):
        self.name = file_name(file)
        try:
            if not hasattr(file, 'read') and not os.path.isfile(file):
                there = 'not a file' if os.path.exists(file) else 'not there'
                raise FileError(f'{self.name}: {there}; an npz file expected')
            self._zip = zipfile.ZipFile(file)
            self._zip.fp.seek(0, os.SEEK_END)
            if sum(member.compress_size for member in self.members()) > self._zip.fp.tell():
                raise zipfile.BadZipFile('its members overlap')
        except PermissionError as error:
            raise FileError(f'{self.name}: cannot be read ({error.strerror})') from error
        except FileError:
            raise
        except _OPEN_ERRORS as error:
            raise DataError(f'{self.name}: an npz file expected (a zip of arrays), got something '
                            f'else or half of one ({error})') from error
        self._members = {member.filename.removesuffix('.npy'): member
                         for member in self.members()}
        self._headers = {}

    def members(self):
        """Return the list of all members as ``zipfile.ZipInfo``."""
        return self._zip.infolist()

    def __iter__(self):
        return iter(self._members)

    def __len__(self):
        return len(self._members)

    def __contains__(self, key):
        return key in self._members

    def __enter__(self):
        return self

    def __exit__(self, exception_type, exception, traceback):
        self._zip.close()

    def header(self, key):
        """Return the :class:`Header` of the entry `key`."""
        if key not in self._headers:
            self._headers[key] = self._read_header(key)
        return self._headers[key]

    def __getitem__(self, key):
        header, member = self.header(key), self._members[key]
        if header.nbytes > max(MAX_SURPRISE, MAX_INFLATION * member.compress_size):
            raise self._error(key, f'{header.dtype} {header.shape} would take {header.nbytes} '
                              f'bytes, out of {member.compress_size} in the file')
        return self.read(key)

    def read(self, key):
        """Return the array `key` whatever memory it takes: :meth:`header` was judged before."""
        header = self.header(key)
        if header.is_none:
            return None
        shape = header.shape[::-1] if header.fortran_order else header.shape
        with self._entry(key) as entry:
            _read_exactly(entry, header.start)
            array = np.empty(shape, header.dtype)
            target = memoryview(array.reshape(-1).view(np.uint8) if header.nbytes else b'')
            for start in range(0, len(target), 1 << 20):
                part = target[start:start + (1 << 20)]
                part[:] = _read_exactly(entry, len(part))
            entry.read(1)   # at its end the checksum is compared
        return array.T if header.fortran_order else array

    def read_bytes(self, key, limit):
        """Return a member as bytes, refused if it is longer than `limit`."""
        if self._members[key].file_size > limit:
            raise self._error(key, f'at most {limit} bytes expected, got '
                              f'{self._members[key].file_size}')
        with self._entry(key) as entry:
            return entry.read()

    def _read_header(self, key):
        with self._entry(key) as entry:
            start = io.BytesIO(entry.read(_MAX_HEADER))
        size = self._members[key].file_size
        try:
            shape, fortran_order, dtype = _parse_header(start)
        except Exception as error:   # whatever NumPy's parser meets in foreign bytes
            raise self._error(key, f'an array in npy format expected ({error})') from error
        if dtype.hasobject:
            if shape != () or start.read() not in _PICKLED_NONE or size > _MAX_HEADER:
                raise self._error(key, 'an object array, which is a Python pickle and is not '
                                  'opened. Of those only the None of a parameter without value '
                                  'is known; store numbers and strings')
            return Header(shape, dtype, True, False, start.tell())
        if dtype.kind not in 'biufcUS' or len(shape) > 32 or any(n < 0 for n in shape):
            raise self._error(key, f'numbers or strings expected, got {dtype} {shape}')
        header = Header(shape, dtype, False, fortran_order, start.tell())
        if size != header.start + header.nbytes:
            raise self._error(key, f'{dtype} {shape} takes {header.start + header.nbytes} bytes, '
                              f'but the entry has {size}')
        return header

    @contextlib.contextmanager
    def _entry(self, key):
        try:
            with self._zip.open(self._members[key]) as entry:
                yield entry
        except DataError:
            raise
        except _OPEN_ERRORS as error:
            raise self._error(key, f'damaged ({error})') from error

    def _error(self, key, problem):
        return DataError(f'{self.name}, entry {key!r}: {problem}')


def _parse_header(stream):
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f'version {version} of the format')
    return read(stream)


def _read_exactly(stream, count):
    data = stream.read(count)
    while len(data) < count:
        more = stream.read(count - len(data))
        if not more:
            raise EOFError(f'{count} bytes expected, got {len(data)}')
        data += more
    return data


def file_name(file):
    """Return what to call a path or file object in messages."""
    return os.fsdecode(getattr(file, 'name', None) or 'the file') if hasattr(
        file, 'read') or hasattr(file, 'write') else os.fsdecode(file)


def write_npz(file, arrays, compression=True, texts=None):
    """Write arrays as an npz file; the same arrays always give the same bytes.

    Args:
        file: path, replaced whole or not at all; or binary file open for writing.
        arrays: dict from name to NumPy array, or None.
        compression: whether to deflate.
        texts: dict from member name to bytes, stored beside the arrays.
    Raises:
        FileError: see :func:`~minichain._atomic.open_atomically`.
    """
    with contextlib.ExitStack() as stack:
        if not hasattr(file, 'write'):
            file = stack.enter_context(open_atomically(file))
        method = zipfile.ZIP_DEFLATED if compression else zipfile.ZIP_STORED
        archive = stack.enter_context(zipfile.ZipFile(file, 'w', method))
        for name, text in (texts or {}).items():
            archive.writestr(_member(name, method), text)
        for name, array in arrays.items():
            with archive.open(_member(f'{name}.npy', method), 'w', force_zip64=True) as entry:
                write_npy(entry, array)


def write_npy(stream, array):
    """Write one array, or None, in npy format."""
    if array is None:
        np.lib.format.write_array_header_1_0(
            stream, {'descr': '|O', 'fortran_order': False, 'shape': ()})
        stream.write(_WRITTEN_NONE)
    else:
        np.lib.format.write_array(stream, array, allow_pickle=False)


def _member(name, method):
    member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    member.compress_type, member.external_attr = method, 0o600 << 16
    return member

"""The files of a feature cache: rows of floats, found by digest, whole or absent.

Rows are appended to <identity>-<random>.npy; <identity>.json says how many of them count, carries
checksums, and is replaced as a whole, last: whatever interrupts, what it names is whole. The
identity is a hash of the key.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import secrets
import sys
import time

import numpy as np

from minichain._atomic import write_atomically
from minichain.errors import FileError, InvalidArgument, InvalidType

try:
    import fcntl
except ImportError:  # Windows: two processes may compute the same rows; each file stays whole
    fcntl = None

FORMAT = 'minichain features 1'
MAX_MANIFEST_BYTES = 1 << 30
PUBLISH_SECONDS = 10.0  # a kill loses at most the rows of this time
BLOCK = 4096  # rows read or copied at a time


@dataclasses.dataclass
class Rows:
    """Rows of a cache: float32 memory map (n, D), the digest of each, the hash state after all."""
    array: np.ndarray
    digests: list
    sha256: object


class FeatureCache:
    """The cache of one key in a folder.

    Args:
        folder: made if it is missing.
        key: dict for JSON that says what the rows depend on besides their digests.
    Raises:
        InvalidArgument: key is no dict for JSON.
        FileError: the folder cannot be made.
    """

    def __init__(self, folder, key):
        if not isinstance(key, dict):
            raise InvalidArgument(f'features: a dict as key expected, got {type(key).__name__}.')
        try:
            text = json.dumps(key, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidArgument(f'features: a key for JSON expected: {error}. Write arrays as '
                                  'lists or as their sha256.') from error
        self.key = json.loads(text)
        self.identity = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.folder = os.fspath(folder)
        self.path = os.path.join(self.folder, f'{self.identity}.json')
        try:
            os.makedirs(self.folder, exist_ok=True)
        except OSError as error:
            raise FileError(f'{self.folder}: the folder for features cannot be made '
                            f'({error.strerror}). Name another one.') from error

    @contextlib.contextmanager
    def lock(self):
        """Keeps other processes out; the system lets go of it however this process ends."""
        try:
            file = fcntl and open(os.path.join(self.folder, f'{self.identity}.lock'), 'ab')
        except OSError:  # a read-only folder: reading needs no lock, writing will complain
            file = None
        if not file:
            yield
            return
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f'{self.path}: waiting for another process that computes the same features.',
                      file=sys.stderr)
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:  # a file system without locks
                pass
            yield

    def read(self):
        """Returns the Rows, or None; damaged ones are reported and dropped."""
        if not os.path.exists(self.path):
            return None
        try:
            return self._read()
        except FileNotFoundError as error:
            damage = f'{error.filename} is missing'
        except OSError as error:
            raise FileError(f'{self.path}: the cached features cannot be read ({error.strerror}). '
                            'Check permissions, or name another folder.') from error
        except Exception as error:  # a damaged header makes NumPy raise half a dozen types
            damage = str(error) or type(error).__name__
        print(f'{self.path}: the cached features are damaged ({damage}); they are computed anew.',
              file=sys.stderr)
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        return None

    def _read(self):
        with open(self.path, 'rb') as file:
            manifest = json.loads(file.read(MAX_MANIFEST_BYTES))
        check = manifest.pop('check', None)
        if manifest.get('format') != FORMAT or manifest['key'] != self.key:
            raise ValueError(f'{FORMAT!r} of this key expected')
        if check != _digest(manifest) or len(manifest['digests']) != manifest['rows'] \
                or not self._is_mine(manifest['file']):
            raise ValueError('the checksum of the manifest does not fit')
        shape = manifest['rows'], manifest['width']
        array = np.lib.format.open_memmap(os.path.join(self.folder, manifest['file']), mode='r')
        if array.dtype != np.dtype('<f4') or array.ndim != 2 or not array.flags.c_contiguous \
                or array.shape[1] != shape[1] or array.shape[0] < shape[0]:
            raise ValueError(f'float32 {shape} expected, got {array.dtype} {array.shape}')
        array = array[:shape[0]]
        sha256 = hashlib.sha256()
        for start in range(0, len(array), BLOCK):
            sha256.update(array[start:start + BLOCK])
        if sha256.hexdigest() != manifest['sha256']:
            raise ValueError(f'the checksum of {manifest["file"]} does not fit')
        return Rows(array, manifest['digests'], sha256)

    def publish(self, name, width, digests, sha256):
        """Makes the first len(digests) rows of the file `name` the rows of the cache."""
        manifest = {'format': FORMAT, 'key': self.key, 'file': name, 'rows': len(digests),
                    'width': width, 'sha256': sha256, 'digests': digests}
        manifest['check'] = _digest(manifest)
        write_atomically(self.path, json.dumps(manifest).encode())

    def remove_others(self, kept):
        """Removes the rows that an earlier or a killed run left behind."""
        for name in os.listdir(self.folder):
            if self._is_mine(name) and name != kept:
                with contextlib.suppress(OSError):  # Windows keeps what is mapped
                    os.unlink(os.path.join(self.folder, name))

    def _is_mine(self, name):
        return re.fullmatch(self.identity + '-[0-9a-f]{16}[.]npy', name) is not None


class RowWriter:
    """Appends rows to a file of its own, behind a copy of the earlier ones, and publishes it.

    It is published from time to time and at the end; it only grows, so readers are not disturbed.

    Args:
        cache: FeatureCache.
        earlier: Rows to begin with, or None.
    """

    def __init__(self, cache, earlier):
        self._cache, self._earlier = cache, earlier
        self._name = f'{cache.identity}-{secrets.token_hex(8)}.npy'
        self._path = os.path.join(cache.folder, self._name)
        self._file, self._width = None, None if earlier is None else earlier.array.shape[1]
        self._digests, self._sha256 = [], hashlib.sha256()
        self._published, self._published_at = 0, time.monotonic()

    def append(self, rows, digests):
        """Appends rows, float32 (n, D), C-contiguous, with their n digests.

        Raises:
            InvalidType: D is not that of the rows before.
            FileError: the disk is full, or not writable.
        """
        if self._width not in (None, rows.shape[1]):
            raise InvalidType(f'features: rows of {self._width} numbers expected as before, got '
                              f'{rows.shape[1]}. The key must tell such features apart.')
        self._width = rows.shape[1]
        if self._file is None:
            self._start()
        self._write(rows, digests)
        if time.monotonic() - self._published_at > PUBLISH_SECONDS:
            self._publish()

    def close(self):
        """Publishes what was appended; a file that cannot be published is removed."""
        if self._file is None:
            return
        try:
            if self._published < len(self._digests):
                self._publish()
        finally:
            self._file.close()
            if not self._published:
                with contextlib.suppress(OSError):
                    os.unlink(self._path)

    def _start(self):
        with self._disk():
            self._file = open(self._path, 'xb', buffering=0)
        self._write_header(0)
        if self._earlier is not None:
            for start in range(0, len(self._earlier.array), BLOCK):
                rows = slice(start, start + BLOCK)
                self._write(self._earlier.array[rows], self._earlier.digests[rows])

    def _write(self, rows, digests):
        with self._disk():
            view = memoryview(rows).cast('B')
            while view:
                view = view[self._file.write(view):]
        self._sha256.update(rows)
        self._digests.extend(digests)

    def _write_header(self, rows):
        # NumPy leaves room for a growing first axis: the header's length is always the same
        with self._disk():
            self._file.seek(0)
            np.lib.format.write_array_header_1_0(self._file, {
                'descr': '<f4', 'fortran_order': False, 'shape': (rows, self._width)})
            self._file.seek(0, os.SEEK_END)

    def _publish(self):
        self._write_header(len(self._digests))
        with self._disk():
            os.fsync(self._file.fileno())
        self._cache.publish(self._name, self._width, self._digests, self._sha256.hexdigest())
        if not self._published:
            self._cache.remove_others(self._name)
        self._published, self._published_at = len(self._digests), time.monotonic()

    @contextlib.contextmanager
    def _disk(self):
        try:
            yield
        except OSError as error:
            raise FileError(f'{self._path}: the features cannot be written '
                            f'({error.strerror or error}). Make room, or name another folder; '
                            'what was kept before is still there.') from error


def _digest(manifest):
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()

"""Files that are whole or absent: written under a temporary name, flushed to the disk, renamed."""
import contextlib
import errno
import os
import re
import secrets

from minichain.errors import FileError, InvalidArgument, MinichainError


@contextlib.contextmanager
def open_atomically(path):
    """Yield a binary file to write; it stands at `path` once the block ends without an error.

    Args:
        path: where, str or path-like; an existing file is replaced.
    Raises:
        FileError: the folder is missing or not writable, the disk is full, or a folder, a pipe or
            a device stands at `path`; what stood there before is still there.
        InvalidArgument: `path` is no path.
    """
    try:
        path = os.fsdecode(path)
    except TypeError:
        raise InvalidArgument('the path of a file to write expected, got '
                              f'{type(path).__name__}') from None
    temporary = f'{path}.{secrets.token_hex(4)}.tmp'
    try:
        if os.path.exists(path) and not os.path.isfile(path):
            raise OSError(0, os.strerror(errno.EISDIR) if os.path.isdir(path) else
                          'a pipe or a device is there')
        with open(temporary, 'x+b') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_folder(os.path.dirname(path) or '.')
    except BaseException as error:
        with contextlib.suppress(OSError, ValueError):
            os.unlink(temporary)
        failed = isinstance(error, OSError) or '\0' in path
        if not failed or isinstance(error, MinichainError):
            raise
        reason = getattr(error, 'strerror', None) or error
        raise FileError(f'{path}: could not be written ({reason}). The folder must exist and be '
                        'writable, with room on the disk; the path must not be a folder.'
                        ) from error


def _flush_folder(folder):
    """Make a rename outlive a power cut, where the system can open folders."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_atomically(path, data):
    """Write a file so that a reader, a crash or a full disk never meets half of it.

    Args:
        path: as of :func:`open_atomically`.
        data: bytes.
    Raises:
        FileError: as of :func:`open_atomically`.
    """
    with open_atomically(path) as file:
        file.write(data)


def remove_leftovers(folder):
    """Remove from a folder the unfinished files of writers that were killed."""
    for name in os.listdir(folder):
        if re.fullmatch(r'.+\.[0-9a-f]{8}\.tmp', name):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, name))

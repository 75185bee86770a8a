"""Files that are whole or absent: written under a temporary name, flushed to the disk, renamed."""
import contextlib
import os
import secrets

from minichain.errors import FileError


def write_atomically(path, data):
    """Write a file so that a reader, a crash or a full disk never meets half of it.

    Args:
        path: where, str or path-like; an existing file is replaced.
        data: bytes.
    Raises:
        FileError: the folder is missing or not writable, the path is a folder, the disk is full;
            what stood at `path` before is still there.
    """
    path = os.fsdecode(path)
    temporary = f'{path}.{secrets.token_hex(4)}.tmp'
    try:
        with open(temporary, 'xb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, ValueError) as error:      # ValueError: a NUL in the path
        with contextlib.suppress(OSError, ValueError):
            os.unlink(temporary)
        reason = getattr(error, 'strerror', None) or error
        raise FileError(f'{path}: could not be written ({reason}). The folder must exist and be '
                        'writable, with room on the disk; the path must not be a folder.'
                        ) from error

"""One writer at a time in a folder."""
import contextlib
import os

from minichain.errors import FileError, InvalidArgument

try:
    import fcntl
except ImportError:     # Windows has none, and goes without
    fcntl = None


@contextlib.contextmanager
def held(folder):
    """Hold a folder while the block runs; the system lets go of it however the process ends.

    Where the file system knows no locks, nothing is held.

    Raises:
        InvalidArgument: another program holds the folder.
        FileError: there is no such folder, or no permission to read it.
    """
    if fcntl is None:
        yield
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise FileError(f'{folder}: the folder cannot be read ({error.strerror}). Name another '
                        '--out') from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidArgument(f'{folder}: another program is writing into it. Wait until it '
                                  'is done, or name another --out') from error
        except OSError:         # no locks on this file system
            pass
        yield
    finally:
        os.close(descriptor)

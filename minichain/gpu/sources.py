"""The files of the kernels, each with all that a compiler reads to compile it."""
import functools
import hashlib
import os
import pathlib
from typing import NamedTuple

from minichain.errors import FileError, InvalidArgument
from minichain.gpu.signature import entry_points

KERNELS = pathlib.Path(__file__).with_name('kernels')


class KernelFile(NamedTuple):
    """A source file with kernels.

    Attributes:
        name: of the file, as 'lstm.cu'.
        text: of the file.
        headers: dict from the name of a header to its text; all that ``text`` may include.
    """

    name: str
    text: str
    headers: dict

    def entry_points(self):
        """Return dict from the names of the kernels to their parameters."""
        return entry_points(self.text, self.name)

    def digest(self, *more):
        """Return a number in hex that changes with any text and with ``more``, strings."""
        parts = (self.name, self.text, *(part for item in sorted(self.headers.items())
                                         for part in item), *more)
        sha = hashlib.sha256()
        for part in parts:
            data = part.encode()
            sha.update(b'%d:' % len(data) + data)
        return sha.hexdigest()[:32]


@functools.cache
def kernel_files(folder=KERNELS):
    """Return dict from file names to :class:`KernelFile` for every ``.cu`` file of a folder.

    Raises:
        FileError: there are none, as in an installation without its data files.
    """
    headers = {path.name: path.read_text() for path in sorted(folder.glob('*.cuh'))}
    files = {path.name: KernelFile(path.name, path.read_text(), headers)
             for path in sorted(folder.glob('*.cu'))}
    if not files:
        raise FileError(f'{folder}: no kernels there (*.cu). Install minichain again')
    return files


@functools.cache
def file_of_kernels():
    """Return dict from the name of every kernel to its :class:`KernelFile`."""
    found = {}
    for file in kernel_files().values():
        for name in file.entry_points():
            if name in found:
                raise InvalidArgument(f'kernel {name} stands in {found[name].name} and in '
                                      f'{file.name}; each name once')
            found[name] = file
    return found


def cache_folder(kind):
    """Return, made if needed, the folder for compiled kernels of a ``kind``.

    It is ``minichain/<kind>`` in $XDG_CACHE_HOME, or in ~/.cache. Whatever is in it is made again
    when it is missing.
    """
    base = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
    folder = pathlib.Path(base) / 'minichain' / kind
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise FileError(f'{folder}: the folder for compiled kernels cannot be made '
                        f'({error.strerror}). Set XDG_CACHE_HOME to one that can') from None
    return folder

"""Images by name, from a folder or a tar file.

A name is only ever a key in the list of what the store holds; it never becomes a path. So no name
in a caption file can lead outside the folder, and tar members are read in place. A store may be
used by many threads at once.
"""

import functools
import hashlib
import io
import os
import stat
import unicodedata

from minichain import image
from minichain.errors import DataError, FileError
from minichain.tar import read_members

MAX_IMAGE_BYTES = 256 << 20
MAX_IMAGES = 4_000_000
SUFFIXES = ('.jpg', '.jpeg', '.png', '.gif', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')


def open_images(path):
    """Opens a folder or an uncompressed tar of images.

    Files are images by their suffix (SUFFIXES, any case); hidden files and folders are passed
    over. A folder is listed once, with all sub-folders; links that lead outside it are refused. Of
    two tar members of the same name the later one stands, as tar itself has it.

    Args:
        path: a folder, or a tar file.
    Returns:
        An ImageStore.
    Raises:
        FileError: nothing can be read there.
        DataError: no tar, a damaged or compressed one, or no images inside.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        root = os.path.realpath(path)
        sizes, refused = _list_folder(root)
        read = functools.partial(_read_file, root)
    else:
        members, refused = read_members(path)
        offsets, sizes = {}, {}
        for member in members:
            name = _inside(member.name)
            if name is None:
                refused += 1
            elif _is_image(name):
                offsets[name], sizes[name] = member.offset, member.size
        read = functools.partial(_read_member, path, _stamp(os.stat(path)), offsets, sizes)
    if not sizes:
        left_out = f' ({refused} links and unsafe names were refused)' if refused else ''
        raise DataError(f'{path}: no images found{left_out}. Files ending in '
                        f'{" ".join(SUFFIXES)} were looked for.')
    return ImageStore(path, sizes, read, refused)


class ImageStore:
    """Images by name; made by open_images.

    Every method that takes a name finds it by the full name relative to the store first, else by
    its last part, so that '1.jpg' finds 'images/1.jpg' as long as only one image is called so.

    Attributes:
        path: the folder or tar.
        refused: number of links, devices and names leading outside that were left out.
    """

    def __init__(self, path, sizes, read, refused=0):
        self.path = path
        self.refused = refused
        self._sizes = sizes  # name -> bytes
        self._read = read
        self._by_last_part = {}
        for name in sizes:
            self._by_last_part.setdefault(_last_part(name), []).append(name)

    def __len__(self):
        return len(self._sizes)

    def __contains__(self, name):
        try:
            return self.resolve(name) is not None
        except DataError:
            return False

    def names(self):
        """Lists all names, sorted."""
        return sorted(self._sizes)

    def resolve(self, name):
        """Finds the stored name that a caption file's name means.

        Args:
            name: a relative name, with or without sub-folders.
        Returns:
            The stored name, or None where there is no such image.
        Raises:
            DataError: the name is absolute or climbs with '..', or several images fit.
        """
        if name in self._sizes:
            return name
        inside = _inside(name)
        if inside is None:
            raise DataError(f'{self.path}: a name inside the image folder expected, got {name!r}: '
                            'absolute names and ".." are refused.')
        fits = self._by_last_part.get(_last_part(inside), ())
        if len(fits) > 1:  # the same last part: the whole name decides, else its end
            wanted = _composed(inside)
            fits = ([stored for stored in fits if _composed(stored) == wanted]
                    or [stored for stored in fits if _composed(stored).endswith('/' + wanted)]
                    or fits)
        if len(fits) > 1:
            raise DataError(f'{self.path}: {name!r} may be {fits[0]!r} or {fits[1]!r}. Write '
                            'names with their sub-folder, or point to the sub-folder meant.')
        return fits[0] if fits else None

    def size(self, name):
        """Returns the size of the image's file in bytes, as listed when the store was opened."""
        return self._sizes[self._require(name)]

    def read(self, name):
        """Reads the bytes of the image's file.

        Raises:
            DataError: no such image, an ambiguous or unsafe name, or more than 256 MiB.
            FileError: the file went away or cannot be read.
        """
        return self._read(self._require(name))

    def digest(self, name):
        """Computes the sha256 of the image's file, as 64 hexadecimal digits."""
        return hashlib.sha256(self.read(name)).hexdigest()

    def load(self, name):
        """Loads an image as uint8 RGB, (H, W, 3); see minichain.image.load."""
        return image.load(io.BytesIO(self.read(name)), name=os.path.join(self.path, name))

    def _require(self, name):
        stored = self.resolve(name)
        if stored is None:
            raise DataError(f'{self.path}: no image {name!r} among {len(self)}.')
        return stored


def _inside(name):
    """Returns the name with plain slashes and without './', or None if it leads outside."""
    parts = [part for part in name.replace('\\', '/').split('/') if part != '.']
    drive = len(parts[0]) == 2 and parts[0].endswith(':') if parts else False
    if not parts or not parts[0] or drive or '..' in parts or '\0' in name:
        return None
    return '/'.join(part for part in parts if part)


def _composed(name):
    # macOS stores names decomposed, caption files are usually composed
    return unicodedata.normalize('NFC', name)


def _last_part(name):
    return _composed(name.rpartition('/')[2])


def _is_text(name):
    try:
        return bool(name.encode())
    except UnicodeEncodeError:  # bytes on the disk that are not UTF-8
        return False


def _is_image(name):
    hidden = any(part.startswith('.') or part == '__MACOSX' for part in name.split('/'))
    return not hidden and name.lower().endswith(SUFFIXES)


def _list_folder(root):
    sizes, refused, folders = {}, 0, ['']
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    name = f'{folder}/{entry.name}' if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        if not entry.name.startswith('.') and entry.name != '__MACOSX':
                            folders.append(name)
                    elif not _is_image(name):
                        continue
                    elif not _is_text(name) or (entry.is_symlink()
                                                and not _leads_inside(root, entry.path)):
                        refused += 1
                    elif os.path.isfile(entry.path):  # False for a link in a circle, too
                        sizes[name] = entry.stat().st_size
        except OSError as error:
            raise FileError(f'{os.path.join(root, folder)}: cannot be listed: '
                            f'{error.strerror or error}.') from error
        if len(sizes) > MAX_IMAGES:
            raise DataError(f'{root}: more than {MAX_IMAGES} images. Point to a smaller folder.')
    return sizes, refused


def _leads_inside(root, path):
    return os.path.realpath(path).startswith(root.rstrip(os.sep) + os.sep)


def _stamp(status):
    return status.st_size, status.st_mtime_ns


def _read_file(root, name):
    path = os.path.realpath(os.path.join(root, name))
    if not _leads_inside(root, path):  # became a link since the folder was listed
        raise DataError(f'{os.path.join(root, name)}: leads outside the image folder; refused.')
    # without blocking, so that a pipe in place of the file cannot hang the reader
    flags = os.O_RDONLY | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_NOFOLLOW', 0)
    flags |= getattr(os, 'O_BINARY', 0)
    try:
        with open(path, 'rb', opener=lambda path, _: os.open(path, flags)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f'{path}: a regular file expected.')
            _check_size(status.st_size, path)
            return file.read(status.st_size)
    except OSError as error:
        raise FileError(f'{path}: cannot be read: {error.strerror or error}.') from error


def _read_member(path, stamp, offsets, sizes, name):
    _check_size(sizes[name], f'{path}: {name}')
    try:
        with open(path, 'rb') as file:  # a file of its own for each reader: safe with threads
            if _stamp(os.fstat(file.fileno())) != stamp:
                raise DataError(f'{path}: changed since it was opened. Start again.')
            file.seek(offsets[name])
            return file.read(sizes[name])
    except OSError as error:
        raise FileError(f'{path}: cannot be read: {error.strerror or error}.') from error


def _check_size(size, where):
    if size > MAX_IMAGE_BYTES:
        raise DataError(f'{where}: an image file of at most {MAX_IMAGE_BYTES} bytes expected, '
                        f'got {size}.')

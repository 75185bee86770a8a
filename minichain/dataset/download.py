"""The folder where data sets are kept, Chainer's own, and files fetched into it once."""
import contextlib
import hashlib
import os
import secrets
import urllib.error
import urllib.parse
import urllib.request

from minichain.errors import DataError, FileError, InvalidArgument

MAX_DOWNLOAD_BYTES = 2 ** 32
TIMEOUT = 30    # seconds without any answer
_root = os.environ.get('CHAINER_DATASET_ROOT') or os.path.join('~', '.chainer', 'dataset')


def get_dataset_root():
    """Return the folder of all data sets: $CHAINER_DATASET_ROOT, or ~/.chainer/dataset."""
    return os.path.expanduser(_root)


def set_dataset_root(path):
    """Keep data sets in the folder `path` from now on, in this process."""
    global _root
    _root = os.fsdecode(path)


def get_dataset_directory(dataset_name, create_directory=True):
    """Return the folder of one data set.

    Args:
        dataset_name: path below the root, such as 'pfnet/chainer/mnist'.
        create_directory: make it if it is not there.
    Raises:
        FileError: it cannot be made.
    """
    path = os.path.join(get_dataset_root(), dataset_name)
    if create_directory:
        _make_directory(path)
    return path


def _make_directory(path):
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise FileError(f'{path}: the folder for data sets cannot be made ({error.strerror}). '
                        'Choose another with the environment variable CHAINER_DATASET_ROOT or '
                        'minichain.dataset.set_dataset_root') from error


@contextlib.contextmanager
def _replacing(path):
    """Yield a temporary path beside `path`, which takes its place if the block succeeds."""
    _make_directory(os.path.dirname(path) or '.')
    # the ending stays the last part: numpy.savez would append another one
    temporary = os.path.join(os.path.dirname(path),
                             f'.{secrets.token_hex(4)}.{os.path.basename(path)}')
    try:
        yield temporary
        with open(temporary, 'rb+') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def cached_download(url):
    """Return the path of a local copy of `url`, downloading it at the first call.

    Args:
        url: http or https address of a file of at most MAX_DOWNLOAD_BYTES.
    Raises:
        InvalidArgument: another kind of address.
        FileError: no connection, no such page, or no place to write.
        DataError: the file is larger than allowed, or was cut off.
    """
    if urllib.parse.urlsplit(url).scheme not in ('http', 'https'):
        raise InvalidArgument(f'cached_download: an http or https address expected, got {url!r}')
    name = hashlib.md5(url.encode(), usedforsecurity=False).hexdigest()
    path = os.path.join(get_dataset_root(), '_dl_cache', name)
    if os.path.exists(path):
        return path
    try:
        with _replacing(path) as temporary, open(temporary, 'xb') as file, \
                urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            _copy(answer, file, url)
    except (DataError, FileError):
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, 'reason', None) or getattr(error, 'strerror', None) or error
        raise FileError(f'{url}: cannot be downloaded ({reason}). Without a network, fetch it '
                        f'elsewhere and save it as {path}') from error
    return path


def _copy(answer, file, url):
    total, announced = 0, answer.headers.get('Content-Length', '')
    while block := answer.read(2 ** 20):
        total += len(block)
        if total > MAX_DOWNLOAD_BYTES:
            raise DataError(f'{url}: larger than {MAX_DOWNLOAD_BYTES} bytes '
                            '(minichain.dataset.download.MAX_DOWNLOAD_BYTES); nothing was kept')
        file.write(block)
    if announced.isdigit() and total != int(announced):
        raise DataError(f'{url}: {announced} bytes announced, {total} came. Try again')


def cache_or_load_file(path, creator, loader):
    """Return `loader(path)` if the file exists, else make it with `creator` and return its result.

    Args:
        path: where the file is kept.
        creator: function of a path that writes the file there and returns its content. It gets
            a temporary path; the file appears under its own name when it is whole.
        loader: function of a path that returns the content.
    """
    if os.path.exists(path):
        return loader(path)
    with _replacing(path) as temporary:
        return creator(temporary)

"""Downloads that end in the whole, right file or in an error, and never in half a file.

What has arrived is kept as NAME.part, beside it NAME.part.json with what the server said of the
file. The same call goes on there; only the file that was verified gets the name.
"""
import contextlib
import dataclasses
import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from tqdm import tqdm

from minichain._atomic import write_atomically
from minichain.command_line import make_folder
from minichain.errors import DataError, FileError, InvalidArgument
from minichain.folder_lock import held
from weights.registry import digests_of, expect_file

MAX_SIZE = 2 << 30      # bytes that a file of unknown size may have
MAX_REDIRECTS = 5
BLOCK = 1 << 18
REDIRECTS = (301, 302, 303, 307, 308)
# What the network may raise; ValueError: an address or a header that makes no sense.
BROKEN = (OSError, http.client.HTTPException, ValueError)


class Unreachable(FileError):
    """An address does not bring the file; what has arrived is kept. Another one may."""


class Broken(Unreachable):
    """A connection ended too early; a new one may bring what is missing."""


@dataclasses.dataclass(frozen=True)
class Patience:
    """How long to wait for a server: `timeout` seconds without a byte, `pause` seconds before a
    new attempt, `attempts` in a row that bring nothing new."""

    timeout: float = 30
    pause: float = 2
    attempts: int = 3


def fetch(urls, path, digests, size=None, max_size=MAX_SIZE, patience=None, quiet=False):
    """Download a file, or go on with a download that broke off.

    Args:
        urls: addresses of the same file, http or https; the next is tried where one fails.
        path: where the file shall stand. If it stands there already, it is only verified.
        digests: dict {'sha256': ..., 'sha1': ...} of what it must be, one at least.
        size: bytes it must have; None: unknown.
        max_size: bytes that it may have at most, where the size is unknown.
        patience: :class:`Patience`.
        quiet: whether to leave out the progress bar, which only terminals get.
    Returns:
        the sha256 of the file.
    Raises:
        InvalidArgument: no digest or address; or another program is writing into the folder.
        Unreachable: no address brings a file of the right size, or the download broke off;
            what arrived is kept.
        FileError: the folder cannot be written, or the disk is full, or something else than a
            file stands at `path` or where its part is kept.
        DataError: what came is another file, or too long; it is not kept. Or another file stands
            at `path`; it is left alone.
        KeyboardInterrupt: with a hint how to go on.
    """
    if not urls or not digests:
        raise InvalidArgument(f'{os.path.basename(path)}: an address and a hash expected')
    for url in urls:
        check_address(url)
    patience = patience or Patience()
    folder = os.path.dirname(os.path.abspath(path))
    make_folder(folder)
    with held(folder):
        part = Part(path)
        for place in (path, part.path, part.note):
            expect_file(place, '. Move it away, or name another folder with --out')
        if os.path.islink(part.path):
            raise FileError(f'{part.path}: a link, through which another file would be '
                            'overwritten. Remove it')
        if os.path.lexists(path):
            return verify(path, digests, size, 'Move it away, or name another folder with --out')
        failures = []
        for url in urls:
            try:
                download(url, part, size, max_size, patience, quiet)
                found = verify(part.path, digests, size, 'It was not kept. Another address can '
                               'be named with --url')
                part.become(path)
                return found
            except KeyboardInterrupt as interrupt:
                raise KeyboardInterrupt(f'{part.length} bytes are kept in {part.path}; the same '
                                        'command goes on with them') from interrupt
            except DataError as error:
                part.remove()
                failures.append(error)
            except Unreachable as error:
                failures.append(error)
    kind = DataError if isinstance(failures[-1], DataError) else Unreachable
    known = ', '.join(f'{name} {value}' for name, value in digests.items())
    raise kind('; '.join(map(str, failures)) + f'. By hand: get {urls[0]} with another program '
               f'or machine and put it at {path}; {known} is what it must have') from failures[-1]


class Part:
    """What has arrived of a file, and what the server said of it."""

    def __init__(self, path):
        self.path, self.note = f'{path}.part', f'{path}.part.json'

    @property
    def length(self):
        return os.path.getsize(self.path) if os.path.isfile(self.path) else 0

    @property
    def validator(self):
        """The ETag or date by which the server can tell whether its file is still the same."""
        try:
            with open(self.note, encoding='utf-8') as file:
                value = json.load(file)['validator']
            return value if isinstance(value, str) else None
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return None

    def remember(self, validator):
        write_atomically(self.note, json.dumps({'validator': validator}).encode())

    def remove(self):
        for path in (self.path, self.note):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def become(self, path):
        """Give the verified file its name."""
        with open(self.path, 'rb+') as file:
            os.fsync(file.fileno())
        os.replace(self.path, path)
        self.remove()


def download(url, part, size, max_size, patience, quiet):
    """Bring a part to its full length, with new connections where one breaks."""
    limit = max_size if size is None else size
    if part.length > limit:
        part.remove()
    furthest, idle = part.length, 0
    while size is None or part.length < size:
        try:
            receive(url, part, size, limit, patience.timeout, quiet)
            return
        except Broken:
            if part.length > furthest:
                furthest, idle = part.length, 0
            else:
                idle += 1
            if idle >= patience.attempts:
                raise
        time.sleep(patience.pause)


def receive(url, part, size, limit, timeout, quiet):
    """Receive what is missing of a part over one connection.

    Raises:
        Unreachable: the server has no such file, or one of another length.
        Broken: the connection ended too early.
        DataError: more came than may.
        FileError: the part cannot be written.
    """
    headers = {'User-Agent': 'minichain', 'Accept-Encoding': 'identity'}
    if part.length:
        headers['Range'] = f'bytes={part.length}-'
        if part.validator:
            headers['If-Range'] = part.validator
    response = follow(url, headers, timeout)
    with contextlib.closing(response):
        if complete(response, part.length):
            return
        start, total = where(response, part.length)
        if start is None:
            part.remove()
            raise Broken(f'{url}: the server does not go on where the download broke off, which '
                         'has to start anew')
        if total is not None and (total > limit or size is not None and total != size):
            least = 'at most ' if size is None else ''
            advice = (' (--max-size allows more)' if size is None else
                      ': an error page, or another file')
            raise Unreachable(f'{url}: a file of {least}{limit} bytes expected, the server has '
                              f'one of {total}{advice}')
        if start == 0:
            part.remove()
            part.remember(validator_of(response))
        append(response, part, start, total or size, limit, url, timeout, quiet)


def append(response, part, start, total, limit, url, timeout, quiet):
    """Write the body of a response into the part, from `start` on."""
    if total is None and response.length is not None:
        total = start + response.length
    hint = f'{part.path} is kept; the same command goes on with it'
    try:
        file = open(part.path, 'r+b' if start else 'wb')        # noqa: SIM115
    except OSError as error:
        raise FileError(f'{part.path}: cannot be written ({error.strerror})') from error
    bar = tqdm(desc=os.path.basename(part.path)[:-len('.part')], total=total,
               initial=start, unit='B', unit_scale=True, unit_divisor=1024, leave=False,
               disable=quiet or not sys.stderr.isatty())
    with file, bar:
        file.seek(start)
        while True:
            try:
                block = response.read1(BLOCK)
            except TimeoutError as error:
                raise Broken(f'{url}: no data for {timeout:g} seconds. {hint}') from error
            except BROKEN as error:
                raise Broken(f'{url}: broke off at {file.tell()} bytes ({reason(error)}). '
                             f'{hint}') from error
            if not block:
                break
            if file.tell() + len(block) > limit:
                raise DataError(f'{url}: more than the {limit} bytes came that it may have '
                                '(--max-size, where the size is unknown)')
            try:
                file.write(block)
                file.flush()
            except OSError as error:
                raise FileError(f'{part.path}: cannot be written ({error.strerror}). Make room; '
                                'the same command goes on with it') from error
            bar.update(len(block))
        if total is not None and file.tell() < total:
            raise Broken(f'{url}: broke off at {file.tell()} of {total} bytes. {hint}')


def follow(url, headers, timeout):
    """Open an address; redirects are followed to http and https only, and never from https to
    http.

    Returns:
        http.client.HTTPResponse with status 200, 206 or 416.
    Raises:
        Unreachable: nobody answers, or with another status, or a redirect is not followed.
        Broken: the server has trouble that may pass.
    """
    # Only what is named here is spoken: no ftp, no file, no redirects behind our back.
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler,
                    urllib.request.HTTPSHandler):
        opener.add_handler(handler())
    address = quoted(url)
    for _ in range(MAX_REDIRECTS + 1):
        try:
            response = opener.open(urllib.request.Request(address, headers=headers),
                                   timeout=timeout)
        except BROKEN as error:
            raise Unreachable(f'{address}: cannot be reached ({reason(error)})') from error
        if response.status not in REDIRECTS:
            break
        response.close()
        address = next_address(address, response.headers.get('Location'))
    else:
        raise Unreachable(f'{url}: more than {MAX_REDIRECTS} redirects')
    if response.status not in (200, 206, 416):
        response.close()
        kind = Broken if response.status == 429 or response.status >= 500 else Unreachable
        raise kind(f'{address}: the server answers {response.status} {response.reason:.80}')
    return response


def next_address(address, location):
    """Return where a redirect leads.

    Raises:
        Unreachable: nowhere, to something else than http or https, or from https to http.
    """
    try:
        target = urllib.parse.urljoin(address, location or '')
        scheme = urllib.parse.urlsplit(target).scheme
    except ValueError:
        location = None
    if not location or scheme not in ('http', 'https'):
        raise Unreachable(f'{address}: redirects to {location!r:.200}; http or https expected')
    if scheme == 'http' and address.lower().startswith('https:'):
        raise Unreachable(f'{address}: redirects from https to http ({target:.200}), which '
                          'anybody on the way could change')
    return quoted(target)


def quoted(url):
    """Return an address with what must not stand in a request written as %XX."""
    return urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]")


def check_address(url):
    """Raise InvalidArgument unless `url` is an address of http or https with a host."""
    try:
        parts = urllib.parse.urlsplit(url)
        right = parts.scheme in ('http', 'https') and parts.hostname
    except ValueError:
        right = False
    if not right or re.search(r'[\s\x00-\x1f\x7f]', url):
        raise InvalidArgument(f'{url!r:.200}: an address expected that starts with http:// or '
                              'https://')


def complete(response, length):
    """Whether a server says that the `length` bytes that are there are the whole file."""
    return (response.status == 416
            and response.headers.get('Content-Range', '').strip() == f'bytes */{length}')


def where(response, length):
    """Return (start, total) of what a response brings: bytes before it, bytes of the whole file.

    The start is None where it is not the file from its beginning, nor what follows `length`
    bytes; the total where it is not known.
    """
    if response.status == 416:
        return None, None
    if response.status == 200:
        return 0, response.length
    match = re.fullmatch(r'bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)',
                         response.headers.get('Content-Range', ''))
    if match is None or int(match[1]) != length:
        return None, None
    return length, None if match[2] == '*' else int(match[2])


def validator_of(response):
    """Return the header by which a later part can be asked of the same file, or None."""
    etag = response.headers.get('ETag')
    if etag and not etag.startswith('W/'):
        return etag
    return response.headers.get('Last-Modified')


def verify(path, digests, size, advice):
    """Return the sha256 of a file that is what it must be.

    Raises:
        DataError: its size or a hash is another one.
        FileError: it cannot be read.
    """
    if size is not None and os.path.isfile(path) and os.path.getsize(path) != size:
        raise DataError(f'{path}: {size} bytes expected, got {os.path.getsize(path)}. {advice}')
    found = digests_of(path, {'sha256', *digests})
    for kind, expected in digests.items():
        if found[kind] != expected:
            raise DataError(f'{path}: {kind} {expected} expected, got {found[kind]}: another '
                            f'file, or a damaged one. {advice}')
    return found['sha256']


def reason(error):
    """Return in a few words what an error of the network says."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return 'no answer in time'
    return getattr(inner, 'strerror', None) or str(inner) or type(inner).__name__

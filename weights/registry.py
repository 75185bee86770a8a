"""Which public weight files there are, where to get them, and how to know them: registry.json.

Every hash, size and address there has the source where it was read; a fact without one is left
out, and is called unknown.
"""
import dataclasses
import difflib
import hashlib
import json
import os

from minichain.errors import FileError, InvalidArgument
from minichain.image import Preprocessing

FOLDER = os.path.dirname(os.path.abspath(__file__))
REGISTRY = os.path.join(FOLDER, 'registry.json')


@dataclasses.dataclass(frozen=True)
class Entry:
    """One public weight file. What is None could not be traced.

    Attributes:
        name: how it is called here. file: the name it is kept under.
        network: what it is the weights of. format: 'caffemodel', 'onnx', 'npz' or 'darknet'.
        model: the name in ``models`` of a chain that these weights fit.
        origin: who trained it on what. licence: in words.
        urls: addresses, the first is tried first; may be empty.
        size: bytes. sha256, sha1: of the file, lower-case hexadecimal.
        input: shape of one example. preprocessing: minichain.image.Preprocessing.
        prototxt: dict with `file`, `urls`, `size`, `sha256`, `source`: the network's description.
        note: what else is to be known.
        sources: dict, name of a fact -> where it was read.
    """

    name: str
    file: str
    network: str
    format: str
    origin: str
    sources: dict
    urls: list = dataclasses.field(default_factory=list)
    model: str | None = None
    licence: str | None = None
    size: int | None = None
    sha256: str | None = None
    sha1: str | None = None
    input: list | None = None
    preprocessing: Preprocessing | None = None
    prototxt: dict | None = None
    note: str | None = None

    @property
    def digests(self):
        """What is known of the file's hashes, {'sha256': ..., 'sha1': ...}."""
        return {kind: value for kind in ('sha256', 'sha1') if (value := getattr(self, kind))}


def load(path=REGISTRY):
    """Return the registry, dict from name to :class:`Entry`, in the order of the file."""
    with open(path, encoding='utf-8') as file:
        content = json.load(file)
    entries = {}
    for facts in content['files']:
        facts = dict(facts, sources={name: _in_full(source, content['sources'])
                                     for name, source in facts['sources'].items()})
        if 'preprocessing' in facts:
            facts['preprocessing'] = Preprocessing.from_dict(facts['preprocessing'])
        if 'prototxt' in facts:
            source = _in_full(facts['prototxt']['source'], content['sources'])
            facts['prototxt'] = {**facts['prototxt'], 'source': source}
        entries[facts['name']] = Entry(**facts)
    return entries


def _in_full(source, abbreviations):
    """A source with the abbreviations of the file written out."""
    return '; '.join(abbreviations.get(part, part) for part in source.split('; '))


def find(name, entries=None):
    """Return the :class:`Entry` of a name, or of the name of its file.

    Raises:
        InvalidArgument: there is none; the message names similar ones.
    """
    if not name:
        raise InvalidArgument('a name expected, got nothing. `python -m weights list` shows all')
    entries = load() if entries is None else entries
    by_file = {entry.file: entry for entry in entries.values()}
    entry = entries.get(name) or by_file.get(name)
    if entry is None:
        by_case = {known.lower(): known for known in entries}
        close = ([known for known in by_case if name.lower() in known][:5]
                 or difflib.get_close_matches(name.lower(), by_case, cutoff=.5))
        hint = f'; did you mean {", ".join(by_case[known] for known in close)}?' if close else '.'
        raise InvalidArgument(f'{name:.200}: no such weights in the registry{hint} '
                              '`python -m weights list` shows all')
    return entry


def identify(path, entries=None):
    """Return the :class:`Entry` of a file by its content, or None if it is no public one.

    A file is read only if its size is one of the registry, so that asking costs next to nothing.

    Args:
        path: of any file, whatever its name.
    Raises:
        FileError: it is missing or cannot be read.
    """
    entries = load() if entries is None else entries
    try:
        size = os.path.getsize(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise FileError(f'{os.fspath(path)}: cannot be read ({reason})') from error
    candidates = [entry for entry in entries.values() if entry.size == size and entry.sha256]
    if not candidates or not os.path.isfile(path):
        return None
    digest = digests_of(path, ['sha256'])['sha256']
    return next((entry for entry in candidates if entry.sha256 == digest), None)


def expect_file(path, advice=''):
    """Raise FileError if something else than a file stands at ``path``, which may hang who reads
    it: a folder, a pipe, a device, a link to nothing."""
    if os.path.lexists(path) and not os.path.isfile(path):
        what = ('a folder' if os.path.isdir(path) else 'a pipe or a device'
                if os.path.exists(path) else 'a link to nothing')
        raise FileError(f'{os.fspath(path)}: a file expected, this is {what}{advice}')


def digests_of(path, kinds):
    """Return hashes of a file, {kind: hexadecimal digits}, read once.

    Raises:
        FileError: it is missing or cannot be read, or is a folder, a pipe or a device.
    """
    expect_file(path)
    digests = {kind: hashlib.new(kind) for kind in kinds}
    try:
        with open(path, 'rb') as file:
            while block := file.read(1 << 20):
                for digest in digests.values():
                    digest.update(block)
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise FileError(f'{os.fspath(path)}: cannot be read ({reason})') from error
    return {kind: digest.hexdigest() for kind, digest in digests.items()}

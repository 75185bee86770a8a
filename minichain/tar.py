"""The table of contents of a tar file: where each member's bytes lie, to read them in place.

It knows ustar, GNU long names and pax headers, as much as data sets need, and trusts nothing that
a header says: a member must lie inside the file; links, devices, sparse files are counted, not
listed.
"""

import os
from typing import NamedTuple

from minichain.errors import DataError, FileError

BLOCK = 512
MAX_MEMBERS = 4_000_000
MAX_EXTENDED_HEADER = 1 << 20  # bytes; a long name or a pax header beyond this is no name
COMPRESSED = {b'\x1f\x8b': 'gzip', b'BZh': 'bzip2', b'\xfd7zXZ\x00': 'xz', b'(\xb5/\xfd': 'zstd',
              b'PK\x03\x04': 'zip'}


class Member(NamedTuple):
    """A regular file in a tar: its name as written there, the offset and size of its bytes."""
    name: str
    offset: int
    size: int


def read_members(path):
    """Lists the regular files of an uncompressed tar, in the order of the archive.

    Args:
        path: a tar file (ustar, GNU or pax), not compressed.
    Returns:
        (members, refused): a list of Member, and the number of links, devices and sparse files
        that were left out.
    Raises:
        FileError: the file cannot be read.
        DataError: it is compressed, truncated, damaged, or no tar.
    """
    try:
        with open(path, 'rb') as file:
            return _scan(file, os.fstat(file.fileno()).st_size, path)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f'{path}: cannot be read: {error.strerror or error}.') from error


def _scan(file, file_size, path):
    members, refused = [], 0
    offset, name, extended = 0, None, {}
    while offset < file_size:
        file.seek(offset)
        header = file.read(BLOCK)
        if not header.strip(b'\0'):
            break  # a block of zeros ends the archive
        _check_inside(offset + BLOCK, file_size, 'a header', path)
        _check(header, offset, path)
        kind = header[156:157]
        size = _number(header[124:136], offset, path)
        data = offset + BLOCK
        if kind in b'xgLK':
            if size > MAX_EXTENDED_HEADER:
                raise DataError(f'{path}: the extended header at byte {offset} says {size} bytes; '
                                f'at most {MAX_EXTENDED_HEADER} expected. The tar is damaged.')
            _check_inside(data + size, file_size, 'an extended header', path)
            if kind == b'L':
                name = _text(file.read(size))
            elif kind == b'x':
                extended = _pax_records(file.read(size), offset, path)
        else:
            if b'size' in extended:
                size = _decimal(extended[b'size'], offset, path)
            if b'path' in extended:
                name = _text(extended[b'path'])
            elif name is None:
                name = _short_name(header)
            if kind in b'123456':  # links, devices, folders: no bytes follow
                size = 0
                refused += kind != b'5'
            elif kind not in b'\x007' and kind != b'0' or _is_sparse(extended):
                refused += 1
            elif not name.endswith('/'):
                _check_inside(data + size, file_size, repr(name), path)
                members.append(Member(name, data, size))
                if len(members) > MAX_MEMBERS:
                    raise DataError(f'{path}: more than {MAX_MEMBERS} members. Split the tar.')
            name, extended = None, {}
        offset = data + -(-size // BLOCK) * BLOCK
    if file_size < BLOCK:
        raise DataError(f'{path}: {file_size} bytes are too few for a tar file.')
    return members, refused


def _check(header, offset, path):
    total = sum(header[:148]) + 8 * ord(' ') + sum(header[156:])
    if header[148:156].strip(b' \0').isdigit() and _number(header[148:156], offset, path) == total:
        return
    for magic, packing in COMPRESSED.items():
        if offset == 0 and header.startswith(magic):
            raise DataError(f'{path}: a plain tar expected, got a {packing} file. Members are '
                            'read in place, which needs an uncompressed tar: unpack it once.')
    raise DataError(f'{path}: a tar header expected at byte {offset}, its checksum does not fit. '
                    'The file is no tar, or damaged: fetch it again.')


def _check_inside(end, file_size, what, path):
    if end > file_size:
        raise DataError(f'{path}: {what} ends at byte {end}, but the file has {file_size}. '
                        'The tar is truncated: fetch it again.')


def _number(field, offset, path):
    if field[0] == 0x80:  # GNU: sizes beyond 8 GiB in base 256
        return int.from_bytes(field[1:], 'big')
    digits = field.strip(b' \0')
    if digits.strip(b'01234567'):
        raise DataError(f'{path}: an octal number expected in the tar header at byte {offset}, '
                        f'got {field!r}. The tar is damaged.')
    return int(digits or b'0', 8)


def _decimal(digits, offset, path):
    if not digits.isdigit() or len(digits) > 20:
        raise DataError(f'{path}: a decimal number expected in the pax header at byte {offset}, '
                        f'got {digits[:40]!r}. The tar is damaged.')
    return int(digits)


def _pax_records(data, offset, path):
    """Reads 'length key=value\\n' records; the length counts itself."""
    records, position = {}, 0
    data = data.rstrip(b'\0')
    while position < len(data):
        digits = data[position:position + 21].split(b' ', 1)[0]
        end = position + _decimal(digits, offset, path)
        start = position + len(digits) + 1
        record = data[start:end - 1]
        if not start < end <= len(data) or b'=' not in record:
            raise DataError(f'{path}: the pax header at byte {offset} is damaged.')
        key, value = record.split(b'=', 1)
        records[key] = value
        position = end
    return records


def _is_sparse(extended):
    return any(key.startswith(b'GNU.sparse') for key in extended)


def _short_name(header):
    name = _text(header[:100])
    if header[257:263] == b'ustar\0':
        prefix = _text(header[345:500])
        name = f'{prefix}/{name}' if prefix else name
    return name


def _text(field):
    return field.split(b'\0', 1)[0].decode('utf-8', 'replace')

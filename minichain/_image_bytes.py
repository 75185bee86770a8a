"""What image files say about themselves, read from their bytes without trust in any length.

Pillow decodes pixels well, but it also parses metadata, and there a file of a few megabytes can
ask for gigabytes. So metadata is cut away first; of it only the orientation is kept.
"""
import struct

from minichain.errors import DataError

ORIENTATION, TILE_WIDTH, TILE_LENGTH = 274, 322, 323
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8,
               13: 4, 16: 8, 17: 8, 18: 8}
_MAX_VALUES = 2 ** 20       # strips or tiles; each becomes a Python object
_MAX_SCANS = 100            # a progressive JPEG has about ten; each costs a pass over all pixels
_SIGNATURES = (
    (b'\xff\xd8\xff', 'JPEG'), (b'\x89PNG\r\n\x1a\n', 'PNG'),
    (b'GIF87a', 'GIF'), (b'GIF89a', 'GIF'), (b'BM', 'BMP'),
    (b'II*\0', 'TIFF'), (b'MM\0*', 'TIFF'), (b'II+\0', 'TIFF'), (b'MM\0+', 'TIFF'),
    (b'P1', 'PPM'), (b'P2', 'PPM'), (b'P3', 'PPM'), (b'P4', 'PPM'), (b'P5', 'PPM'), (b'P6', 'PPM'))


def sniff(head):
    """Pillow's name of the format that the first 12 bytes promise, or None."""
    if head[:4] == b'RIFF' and head[8:12] == b'WEBP':
        return 'WEBP'
    for signature, name in _SIGNATURES:
        if head.startswith(signature) and (name != 'PPM' or head[2:3].isspace()):
            return name
    return None


def strip_jpeg(data):
    """Cut the metadata of a JPEG.

    Returns:
        (data, orientation, adobe): the bytes without APP and COM segments except JFIF and Adobe,
        the EXIF orientation 1..8, whether Adobe's marker is there (then CMYK is inverted).
    """
    kept, orientation, adobe = [data[:2]], 1, False
    at = 2
    while True:
        at = data.find(b'\xff', at)
        if at < 0 or at + 4 > len(data):
            break                                           # Pillow says what is missing
        marker = data[at + 1]
        if marker in (0x00, 0x01, 0xff) or 0xd0 <= marker <= 0xd8:
            at += 1 if marker == 0xff else 2                # padding and markers without a length
            continue
        if marker == 0xda:
            if data.count(b'\xff\xda', at) > _MAX_SCANS:
                raise DataError(f'more than {_MAX_SCANS} scans')
            kept.append(data[at:])
            break
        end = at + 2 + max(2, int.from_bytes(data[at + 2:at + 4], 'big'))
        segment = data[at + 4:end]
        if marker == 0xe1 and segment.startswith(b'Exif\0'):
            orientation = exif_orientation(segment[6:])
        adobe = adobe or (marker == 0xee and segment.startswith(b'Adobe'))
        jfif_or_adobe = marker in (0xe0, 0xee)
        if jfif_or_adobe or not (0xe0 <= marker <= 0xef or marker == 0xfe):
            kept.append(data[at:end])
        at = end
    return b''.join(kept), orientation, adobe


def strip_png(data):
    """Cut a PNG to the chunks that make its pixels: (data, EXIF orientation 1..8)."""
    kept, orientation = [data[:8]], 1
    at = 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at:at + 4], 'big')
        kind = data[at + 4:at + 8]
        if kind == b'eXIf':
            orientation = exif_orientation(data[at + 8:end - 4])
        elif kind in (b'IHDR', b'PLTE', b'tRNS', b'IDAT', b'IEND'):
            kept.append(data[at:end])
        at = end
    return b''.join(kept), orientation


def webp_orientation(data):
    """EXIF orientation 1..8 of a WebP file."""
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4:at + 8], 'little')
        if data[at:at + 4] == b'EXIF':
            return exif_orientation(data[at + 8:at + 8 + length])
        at += 8 + length + length % 2       # chunks are padded to even lengths
    return 1


def _directory(data):
    """Entries (tag, type, count, raw value) of the first TIFF directory in `data`."""
    order = {b'II': '<', b'MM': '>'}[bytes(data[:2])]
    version, = struct.unpack_from(order + 'H', data, 2)
    if version == 43:       # BigTIFF: 64-bit offsets and counts
        offset, = struct.unpack_from(order + 'Q', data, 8)
        number, = struct.unpack_from(order + 'Q', data, offset)
        at, entry = offset + 8, order + 'HHQ8s'
    else:
        offset, = struct.unpack_from(order + 'I', data, 4)
        number, = struct.unpack_from(order + 'H', data, offset)
        at, entry = offset + 2, order + 'HHI4s'
    size = struct.calcsize(entry)
    if number * size > len(data):
        raise DataError('a directory longer than the file')
    return order, [struct.unpack_from(entry, data, at + i * size) for i in range(number)]


def exif_orientation(exif):
    """EXIF orientation 1..8 of a TIFF-shaped block; 1 (upright) where there is none to be read."""
    exif = exif.removeprefix(b'Exif\0\0')
    try:
        order, entries = _directory(exif)
    except (KeyError, struct.error, DataError):
        return 1        # damaged metadata do not make the pixels unreadable
    for tag, kind, count, value in entries:
        if (tag, kind, count) == (ORIENTATION, 3, 1):
            orientation, = struct.unpack_from(order + 'H', value)
            return orientation if 1 <= orientation <= 8 else 1
    return 1


def check_tiff(data, max_pixels):
    """Refuse a TIFF whose directory would make its reader allocate far more than the file holds.

    Raises:
        DataError: tags that overlap to more bytes than the file has, a million strips, a tile
            beyond `max_pixels`, a directory that is cut off.
    """
    try:
        order, entries = _directory(data)
    except (KeyError, struct.error) as error:
        raise DataError('its directory is damaged or cut off') from error
    total, tile = 0, {TILE_WIDTH: 1, TILE_LENGTH: 1}
    for tag, kind, count, value in entries:
        size = _TYPE_SIZES.get(kind, 1)
        if count * size > len(value):
            total += count * size
        if size > 1 and count > _MAX_VALUES:
            raise DataError(f'tag {tag} lists {count} values')
        if tag in tile and kind in (3, 4):
            tile[tag], = struct.unpack_from(order + ('H' if kind == 3 else 'I'), value)
    if total > len(data):
        raise DataError(f'its tags claim {total} bytes, the file has {len(data)}')
    if tile[TILE_WIDTH] * tile[TILE_LENGTH] > max_pixels:
        raise DataError(f'its tiles are {tile[TILE_WIDTH]} x {tile[TILE_LENGTH]} pixels')

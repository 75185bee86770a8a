"""Text on Pillow pictures: a face that has the glyphs, lines that fit, an ellipsis if not.

Pillow brings one face for ASCII. For other text the system's folders are searched; what no face
can show is reported, not hidden.
"""
import functools
import os
import re

from PIL import ImageFont

from minichain.errors import FileError

# Faces with wide coverage, best first: by file name, because fontconfig may not be there to ask.
_WANTED = (
    'NotoSans-Regular.ttf', 'NotoSansCJK-Regular.ttc', 'NotoSansCJKjp-Regular.otf',
    'NotoSansJP-Regular.otf', 'NotoSansJP-Regular.ttf', 'NotoSansJP[wght].ttf',
    'SourceHanSans-Regular.ttc', 'ipaexg.ttf', 'ipag.ttf', 'ipagp.ttf', 'TakaoPGothic.ttf',
    'VL-PGothic-Regular.ttf', 'fonts-japanese-gothic.ttf', 'ヒラギノ角ゴシック W3.ttc',
    'Hiragino Sans GB.ttc', 'YuGothM.ttc', 'YuGothR.ttc', 'meiryo.ttc', 'msgothic.ttc',
    'Arial Unicode.ttf', 'wqy-microhei.ttc', 'DroidSansFallbackFull.ttf', 'unifont.otf',
    'DejaVuSans.ttf', 'LiberationSans-Regular.ttf', 'segoeui.ttf', 'arial.ttf')
_FOLDERS = ('~/.fonts', '~/.local/share/fonts', '/usr/share/fonts', '/usr/local/share/fonts',
            '/System/Library/Fonts', '/Library/Fonts', '~/Library/Fonts', 'C:/Windows/Fonts')
_MAX_CHARACTERS = 1000
# scripts written without spaces: a line may end after any character
_UNSPACED = r'[\u0e00-\u0e7f\u2e80-\u303f\u3040-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uff60]'
_TOKENS = re.compile(rf'\s+|{_UNSPACED}|(?:(?!{_UNSPACED})\S)+')
_MAY_NOT_START = '、。，．・：；？！」』）】〉》ーっゃゅょッャュョ,.:;?!)]'


@functools.lru_cache(maxsize=64)
def font(path, size):
    """The face at `path` (None: the one that Pillow brings) at `size` pixels.

    Raises:
        FileError: no font file is there.
    """
    if path is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(os.fspath(path), size)
    except (OSError, ValueError) as error:
        raise FileError(f'{path}: cannot be used as a font ({error}). '
                        'Give a TrueType or OpenType file.') from error


@functools.lru_cache(maxsize=1)
def system_faces():
    """Paths of the wanted faces that this computer has, best first."""
    found = {}
    for folder in _FOLDERS:
        for root, _, files in os.walk(os.path.expanduser(folder)):
            found.update((name, os.path.join(root, name)) for name in files if name in _WANTED)
    return tuple(found[name] for name in _WANTED if name in found)


@functools.lru_cache(maxsize=16384)
def has_glyph(path, character):
    """Whether the face can show one character; it draws a box for those that it cannot."""
    def drawn(text):
        mask = face.getmask(text)
        return mask.size, bytes(mask)
    if character.isspace():
        return True
    face = font(path, 24)
    # two different characters that no face has look alike; U+10FFFF can never be assigned
    return drawn(character) != drawn('\U0010ffff')


def choose_face(texts, path=None):
    """Find a face for texts.

    Args:
        texts: iterable of clean str.
        path: a font file to be used whatever it lacks; None lets the bundled one, then those of
            the system, try.
    Returns:
        (path, missing): the face that lacks the fewest characters, and those in one sorted str.
    """
    characters = sorted(set(''.join(texts)))
    best, fewest = path, None
    for candidate in (path,) if path is not None else (None, *system_faces()):
        try:
            missing = ''.join(c for c in characters if not has_glyph(candidate, c))
        except FileError:
            if path is not None:
                raise
            continue        # a damaged font of the system is none
        if fewest is None or len(missing) < len(fewest):
            best, fewest = candidate, missing
        if not fewest:
            break
    return best, fewest


def clean(text):
    """One line of printable text: white space collapsed, controls and lone surrogates replaced."""
    text = str(text)[:_MAX_CHARACTERS + 1].encode('utf-8', 'replace').decode()
    if len(text) > _MAX_CHARACTERS:
        text = text[:_MAX_CHARACTERS] + '…'
    text = ' '.join(text.split())
    return ''.join(c if c.isprintable() else '\ufffd' for c in text)


def wrap(text, face, width, max_lines):
    """Break clean text into lines.

    Args:
        text: str, as from `clean`.
        face: a Pillow font.
        width: pixels that a line may take.
        max_lines: the last one ends in an ellipsis if there is more.
    Returns:
        list of at most `max_lines` str, none wider than `width` unless a single character is.
    """
    lines, line = [], ''
    for token in _TOKENS.findall(text):
        if face.getlength((line + token).rstrip()) <= width:
            line += token
            continue
        if line.strip() and not token.isspace():
            # a closing mark takes its neighbour along to the next line
            carried = line[-1] if token in _MAY_NOT_START and len(line) > 1 else ''
            lines.append(line[:len(line) - len(carried)].rstrip())
            line = carried
        token = token if not token.isspace() else ''
        for character in token:     # also a word that is wider than a line
            if line and face.getlength(line + character) > width:
                lines.append(line)
                line = ''
            line += character
        if len(lines) > max_lines:
            break
    if line.strip():
        lines.append(line.rstrip())
    if len(lines) > max_lines:
        lines = lines[:max_lines]
        lines[-1] = shorten(lines[-1] + '…', face, width)
    return lines


def shorten(text, face, width):
    """The text, or its beginning and an ellipsis, so that it fits into `width` pixels."""
    if face.getlength(text) <= width:
        return text
    keep = text.rstrip('…')
    while keep and face.getlength(keep.rstrip() + '…') > width:
        keep = keep[:-1]
    return keep.rstrip() + '…'

"""The layouts of caption files: each recognised by its content, each read into the same entries.

Text is checked where it enters: UTF-8, no lone surrogates, types as the layout has them; it is
brought to NFC and stripped.
"""

import json
import os
import re
import unicodedata
from typing import NamedTuple
from urllib.parse import urlsplit

from minichain.errors import DataError, FileError

MAX_BYTES = 1 << 28  # dataset_coco.json, the largest in use, has 144 MB
LAYOUTS = """\
  Flickr8k     lines of  name.jpg#0<TAB>caption, with Flickr_8k.trainImages.txt ... beside it
  COCO         {"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}
  Karpathy     {"images": [{"filename", "split", "sentences": [{"raw"}]}]}
  image list   {"images": [{"file", "captions": []}]}
  JSON lines   {"file": "a.jpg", "captions": []} on each line, "split" if there are splits
  boke         {"boke": "", "star": 0, "images": [{"path": "a.jpg"}]} on each line, or a list"""
SPLITS = {'train': 'train', 'restval': 'train', 'dev': 'dev', 'val': 'dev', 'valid': 'dev',
          'validation': 'dev', 'test': 'test'}
TOKEN_LINE = re.compile(r'([^\t]+)#(\d+)\t(.*)')


class Entry(NamedTuple):
    """One caption with its image; file is '' where none is named, split None without one."""
    file: str
    caption: str
    tokens: list | None = None
    star: int | None = None
    split: str | None = None


def read_bytes(path):
    """Reads a caption file whole; DataError beyond 256 MiB, FileError if it cannot be read."""
    try:
        size = os.stat(path).st_size
        if size > MAX_BYTES:
            raise DataError(f'{path}: a caption file of at most {MAX_BYTES} bytes expected, got '
                            f'{size}. Is it the right file?')
        with open(path, 'rb') as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise FileError(f'{path}: cannot be read: {error.strerror or error}. Check the path.') \
            from error


def read_entries(path, data):
    """Reads a caption file of any layout.

    Args:
        path: its name, for messages.
        data: its bytes.
    Returns:
        (layout, entries): the layout's name, a list of Entry; (None, []) for another kind of file.
    Raises:
        DataError: damaged, or an entry that its layout does not allow.
    """
    text = _decode(path, data)
    start = text.lstrip()[:1]
    if start not in ('{', '['):
        first = next((line for line in text.splitlines() if line.strip()), '')
        return ('Flickr8k', _flickr(path, text)) if TOKEN_LINE.match(first) else (None, [])
    content = _parse(path, text)
    if isinstance(content, dict):
        images, annotations = content.get('images'), content.get('annotations')
        if _first_has(images, 'sentences'):
            return 'Karpathy', _karpathy(path, images)
        if _first_has(images, 'captions'):
            return 'image list', _listed(path, images)
        if isinstance(images, list) and _first_has(annotations, 'caption'):
            return 'COCO', _coco(path, images, annotations)
        content = [content]
    if _first_has(content, 'boke'):
        return 'boke', _boke(path, content)
    if _first_has(content, 'captions', 'file'):
        return 'JSON lines', _listed(path, content)
    return None, []


def read_names(path):
    """Reads a split list: one image name a line; returns (names, bytes of the file)."""
    data = read_bytes(path)
    names = [_text(line, path, 'a name') for line in _decode(path, data).split('\n')]
    return [name for name in names if name], data


def _decode(path, data):
    try:
        return data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        line = data.count(b'\n', 0, error.start) + 1
        raise DataError(f'{path}, line {line}: UTF-8 expected, got byte '
                        f'0x{data[error.start]:02x}. Convert the file to UTF-8.') from error


def _parse(path, text):
    """Parses one JSON value, or one on each line."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise DataError(f'{path}: captions expected, this JSON is nested too deeply.') from error
    except ValueError as error:
        if 'Extra data' not in str(error):
            raise DataError(f'{path}: JSON expected: {error}. Is the file complete?') from error
    items = []
    for number, line in enumerate(text.split('\n'), 1):
        if line.strip():
            try:
                items.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise DataError(f'{path}, line {number}: a JSON object expected: {error}. '
                                'Is the file complete?') from error
    return items


def _first_has(items, *keys):
    return isinstance(items, list) and bool(items) and isinstance(items[0], dict) \
        and all(key in items[0] for key in keys)


def _flickr(path, text):
    entries = []
    for number, line in enumerate(text.split('\n'), 1):
        if not line.strip():
            continue
        match = TOKEN_LINE.match(line.rstrip('\r'))
        if not match:
            raise DataError(f'{path}, line {number}: name.jpg#0<TAB>caption expected, got '
                            f'{line[:80]!r}.')
        # one image of Flickr8k is listed as name.jpg, but captioned as name.jpg.1
        name = re.sub(r'(?i)(\.jpe?g)\.\d+$', r'\1', match[1])
        where = f'line {number}'
        entries.append(Entry(_text(name, path, where), _text(match[3], path, where)))
    return entries


def _coco(path, images, annotations):
    names = {}
    for index, image in enumerate(images):
        where = f'images[{index}]'
        names[_id(image, 'id', path, where)] = _text(_get(image, 'file_name', path, where), path,
                                                     where)
    entries = []
    for index, annotation in enumerate(annotations):
        where = f'annotations[{index}]'
        identity = _id(annotation, 'image_id', path, where)
        if identity not in names:
            raise DataError(f'{path}: {where}: image_id {identity} is not among the images.')
        entries.append(Entry(names[identity],
                             _text(_get(annotation, 'caption', path, where), path, where)))
    return entries


def _karpathy(path, images):
    entries = []
    for index, image in enumerate(images):
        where = f'images[{index}]'
        file = _text(_get(image, 'filename', path, where), path, where)
        if image.get('filepath'):
            file = f'{_text(image["filepath"], path, where)}/{file}'
        split = _split(_get(image, 'split', path, where), path, where)
        for sentence in _get(image, 'sentences', path, where, list):
            caption = _text(_get(sentence, 'raw', path, where), path, where)
            entries.append(Entry(file, caption, _tokens(sentence.get('tokens'), path, where),
                                 split=split))
    return entries


def _listed(path, items):
    entries = []
    for index, item in enumerate(items):
        where = f'entry {index + 1}'
        file = _text(_get(item, 'file', path, where), path, where)
        split = None if item.get('split') is None else _split(item['split'], path, where)
        for caption in _get(item, 'captions', path, where, list):
            entries.append(Entry(file, _text(caption, path, where), split=split))
    return entries


def _boke(path, items):
    entries = []
    for index, item in enumerate(items):
        where = f'entry {index + 1}'
        caption = _text(_get(item, 'boke', path, where), path, where)
        images = _get(item, 'images', path, where, list)
        file = ''  # a picture that could not be fetched has no entry
        if images and isinstance(images[0], dict) and images[0].get('path') is None:
            url = _text(_get(images[0], 'url', path, where), path, where)
            file = urlsplit(url).path.rpartition('/')[2]
        elif images:
            file = _text(_get(images[0], 'path', path, where), path, where)
        star = None if item.get('star') is None else _get(item, 'star', path, where, int)
        tokens = _tokens(item.get('parsed'), path, where)
        if tokens is not None:
            tokens = tokens[tokens[:1] == ['<BOS>']:len(tokens) - (tokens[-1:] == ['<EOS>'])]
        entries.append(Entry(file, caption, tokens, star))
    return entries


def _get(item, key, path, where, kind=str):
    value = item.get(key) if isinstance(item, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        got = repr(value if isinstance(item, dict) else item)[:60]
        raise DataError(f'{path}: {where}: {key!r} of type {kind.__name__} expected, got {got}.')
    return value


def _id(item, key, path, where):
    value = item.get(key) if isinstance(item, dict) else None
    return value if isinstance(value, str) else _get(item, key, path, where, int)


def _split(value, path, where):
    if not isinstance(value, str) or value.lower() not in SPLITS:
        raise DataError(f'{path}: {where}: split {"/".join(SPLITS)} expected, got {value!r}.')
    return SPLITS[value.lower()]


def _tokens(tokens, path, where):
    if tokens is None:
        return None
    if not isinstance(tokens, list):
        raise DataError(f'{path}: {where}: a list of tokens expected, got {repr(tokens)[:60]}.')
    return [token for token in (_text(token, path, where) for token in tokens) if token]


def _text(value, path, where):
    if not isinstance(value, str):
        raise DataError(f'{path}: {where}: text expected, got {repr(value)[:60]}.')
    if any('\ud800' <= letter <= '\udfff' for letter in value):
        raise DataError(f'{path}: {where}: a lone surrogate is no text: {ascii(value)[:80]}.')
    return unicodedata.normalize('NFC', value).strip()

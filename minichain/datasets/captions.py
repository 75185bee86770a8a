"""Captioned images in train, dev and test splits, from any of the layouts that data sets come in.

The layouts are in caption_layouts; here files are found, captions grouped by image, images matched
with names, splits made where the data has none.
"""

import dataclasses
import hashlib
import os
import re

from minichain.datasets.caption_layouts import (
    LAYOUTS,
    SPLITS,
    read_bytes,
    read_entries,
    read_names,
)
from minichain.errors import DataError, FileError
from minichain.image_store import ImageStore, open_images

NAMES = ('train', 'dev', 'test')
TEXT_FOLDERS = ('annotations', 'captions', 'Flickr8k_text', 'text')
IMAGE_FOLDERS = ('images', 'Images', 'Flicker8k_Dataset', 'Flickr8k_Dataset')


@dataclasses.dataclass
class CaptionedImage:
    """An image with its captions.

    Attributes:
        name: in the image store; as in the caption file where the image is missing.
        captions: list of str, NFC, stripped, not empty.
        tokens: list of token lists, one a caption, if the data has them for all captions.
        stars: list of int, popularity of each caption, if the data has it for all captions.
    """

    name: str
    captions: list
    tokens: list | None = None
    stars: list | None = None


@dataclasses.dataclass
class CaptionData:
    """A captioned data set.

    Attributes:
        splits: dict 'train', 'dev', 'test' -> list of CaptionedImage.
        images: the ImageStore.
        missing: dict split -> number of images that are captioned but not in the store.
        without_image: dict split -> list of CaptionedImage, those that `missing` counts.
        empty: number of captions left out because they are empty.
        warning: text to print once about what was left out, or None.
        source: what was read and how it was split, one line.
        digest: sha256 of the caption file; of several, the sha256 of their sha256s.
    """

    splits: dict
    images: object
    missing: dict
    without_image: dict
    empty: int
    warning: str | None
    source: str
    digest: str


def load(path, images=None, strict=False, split_seed=0):
    """Loads a captioned data set.

    Splits come from the data: Flickr8k's lists, a 'split' field, or the names of several files
    (captions_train2014.json and captions_val2014.json). Data without splits is divided 80/10/10 by
    image; a missing dev or test split is taken from its neighbour; images with the same bytes stay
    together. The same seed always gives the same division.

    Args:
        path: a caption file, or a folder with caption files and images.
        images: folder or tar of the images, or an ImageStore; None looks beside the captions.
        strict: whether a captioned image that is missing is an error.
        split_seed: int, which division, for data without splits.
    Returns:
        CaptionData.
    Raises:
        FileError: a file cannot be read.
        DataError: no captions found, a damaged file, an empty split, with strict a missing image.
    """
    path = os.fspath(path)
    layout, files = _find_captions(path)
    groups, empty, unnamed, others = _group(layout, files)
    store = images if isinstance(images, ImageStore) else open_images(
        _find_images(path) if images is None else images)
    found, absent = _match(groups, store)
    given = {split for _, split in groups}
    splits, how = _make_splits(found, given, store, split_seed, path)
    without_image = {split: [] for split in NAMES}
    for (_, split), image in absent.items():
        without_image[split or 'train'].append(image)
    missing = {split: len(without_image[split]) for split in NAMES}
    if strict and any(missing.values()):
        names = ', '.join(image.name for images in without_image.values() for image in images[:3])
        raise DataError(f'{path}: {_count(missing)} are not in {store.path} ({names}, ...). Add '
                        'the images, or do without strict.')
    for split in NAMES:
        if not splits[split]:
            raise DataError(f'{path}: no image left in the {split} split; '
                            f'{missing[split]} captioned ones are not in {store.path}. Point to '
                            'the folder or tar that holds them, or complete the data.')
    warnings = [f'{_count(missing)} are not in {store.path}'] * any(missing.values()) \
        + [f'{empty} captions are empty'] * bool(empty) \
        + [f'{unnamed} captions name no image'] * bool(unnamed) + others
    names = ' + '.join(os.path.basename(file) for file, _, _ in files)
    return CaptionData(
        splits, store, missing, without_image, empty,
        f'{path}: left out: {"; ".join(warnings)}.' if warnings else None,
        f'{layout} captions {names} of {path}, images in {store.path}, {how}', _digest(files))


def _count(missing):
    return ', '.join(f'{number} {split} images' for split, number in missing.items() if number)


def _digest(files):
    digests = [hashlib.sha256(data).hexdigest() for _, data, _ in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256('\n'.join(digests).encode()) \
        .hexdigest()


def _find_captions(path):
    """Returns (layout, [(file, bytes, entries)]); split lists stand behind as (split, names)."""
    if os.path.isfile(path):
        data = read_bytes(path)
        layout, entries = read_entries(path, data)
        files = [(path, data, entries)] if layout else []
    elif os.path.isdir(path):
        layout, files = _search(path)
    else:
        raise FileError(f'{path}: a caption file or a folder expected, nothing is there.')
    if not files:
        raise DataError(f'{path}: no captions found. Looked for\n{LAYOUTS}')
    if layout == 'Flickr8k':
        folder = os.path.dirname(files[0][0]) or '.'
        for name in sorted(os.listdir(folder)):
            match = re.search(r'(train|dev|test)images\.txt$', name.lower())
            if match:
                names, data = read_names(os.path.join(folder, name))
                files.append((os.path.join(folder, name), data, (match[1], names)))
    return layout, files


def _search(folder):
    """Finds the caption file of a folder, or several whose names tell their split."""
    candidates = []
    for place in (folder, *(os.path.join(folder, name) for name in TEXT_FOLDERS)):
        if os.path.isdir(place):
            candidates += [os.path.join(place, name) for name in sorted(os.listdir(place))
                           if name.lower().endswith(('.json', '.jsonl', '.ndjson', '.txt',
                                                     '.token'))]
    # COCO keeps boxes, much larger, beside the captions; Flickr8k its captions once more as lemmas
    coco = [file for file in candidates if os.path.basename(file).startswith('captions_')]
    candidates = coco or [file for file in candidates if '.lemma.' not in file]
    found, broken = [], []
    for file in candidates:
        try:
            data = read_bytes(file)
            layout, entries = read_entries(file, data)
        except DataError as error:
            broken.append((file, error))
            continue
        if layout:
            found.append((layout, file, data, entries))
    for file, error in broken:  # a broken text beside good captions may be anything, JSON not
        if not found or not file.endswith('.txt'):
            raise error
    if len(found) > 1:
        splits = [_split_of_name(file) for _, file, _, _ in found]
        if len({layout for layout, *_ in found}) > 1 or None in splits \
                or len(set(splits)) < len(splits):
            names = ', '.join(f'{file} ({layout})' for layout, file, _, _ in found)
            raise DataError(f'{folder}: one caption file expected, or one each for train, val and '
                            f'test, got {names}. Name the one that is meant.')
        found = [(layout, file, data, [entry._replace(split=split) for entry in entries])
                 for split, (layout, file, data, entries) in zip(splits, found)]
    return found[0][0] if found else None, [tuple(item[1:]) for item in found]


def _split_of_name(file):
    words = re.findall('[a-z]+', os.path.basename(file).lower())
    splits = {SPLITS[word] for word in words if word in SPLITS}
    return splits.pop() if len(splits) == 1 else None


def _find_images(path):
    folder = path if os.path.isdir(path) else os.path.dirname(path) or '.'
    if not os.path.isdir(path) and os.path.basename(os.path.abspath(folder)) in TEXT_FOLDERS:
        folder = os.path.join(folder, os.pardir)
    for name in IMAGE_FOLDERS:
        if os.path.isdir(os.path.join(folder, name)):
            return os.path.join(folder, name)
    tars = sorted(name for name in os.listdir(folder) if name.endswith('.tar'))
    if len(tars) > 1:
        raise DataError(f'{folder}: one tar of images expected, got {", ".join(tars)}. Say which: '
                        'images=...')
    return os.path.join(folder, tars[0]) if tars else folder


def _group(layout, files):
    """Gathers the captions of each image.

    Returns:
        ({(file, split): CaptionedImage}, number of empty captions, number of captions without an
        image, texts about other things left out).
    """
    entries = [entry for _, _, content in files if isinstance(content, list) for entry in content]
    kept = [entry for entry in entries if entry.caption and entry.tokens != []]
    empty = len(entries) - len(kept)
    named = [entry for entry in kept if entry.file]
    if not named:
        raise DataError(f'{files[0][0]}: captions of images expected, there are none that have '
                        'both text and an image.')
    lists = [content for _, _, content in files if isinstance(content, tuple)]
    listed = {}
    for split, names in lists:
        for name in names:
            if listed.setdefault(name, split) != split:
                raise DataError(f'{files[0][0]}: {name} is listed in {listed[name]} and in '
                                f'{split}. An image belongs to one split.')
    with_tokens = all(entry.tokens is not None for entry in named)
    with_stars = all(entry.star is not None for entry in named)
    split_of, groups, unlisted = {}, {}, set()
    for entry in named:
        if lists and entry.file not in listed:
            unlisted.add(entry.file)
            continue
        split = listed[entry.file] if lists else entry.split
        if split_of.setdefault(entry.file, split) != split:
            raise DataError(f'{files[0][0]}: {entry.file} is in the splits {split_of[entry.file]} '
                            f'and {split}. An image belongs to one split.')
        image = groups.setdefault((entry.file, split), CaptionedImage(
            entry.file, [], [] if with_tokens else None, [] if with_stars else None))
        image.captions.append(entry.caption)
        if with_tokens:
            image.tokens.append(entry.tokens)
        if with_stars:
            image.stars.append(entry.star)
    given = {split for _, split in groups}
    if None in given and len(given) > 1:
        raise DataError(f'{files[0][0]}: a split for every image or for none expected; '
                        f'{next(file for file, split in groups if split is None)} has none.')
    bare = len(listed.keys() - split_of.keys())
    others = [f'{len(unlisted)} captioned images are in no split list'] * bool(unlisted) \
        + [f'{bare} listed images have no caption'] * bool(bare)
    return groups, empty, len(kept) - len(named), others


def _match(groups, store):
    """Divides the groups into those whose image is in the store, renamed, and the others."""
    resolved = {key: store.resolve(key[0]) for key in groups}
    taken = {name: key for key, name in resolved.items() if key[0] == name}
    found, absent = {}, {}
    for key, image in groups.items():
        name = resolved[key]
        if name is not None and taken.setdefault(name, key) == key:
            found[key] = dataclasses.replace(image, name=name)
        elif name is None or taken[name][0] == name:  # the image of another, exactly named entry
            absent[key] = image
        else:
            raise DataError(f'{store.path}: {key[0]!r} and {taken[name][0]!r} both mean {name!r}. '
                            'Give the images their sub-folders, as the captions have them.')
    return found, absent


def _make_splits(found, given, store, seed, path):
    """Returns ({split: images}, how it was done)."""
    splits = {split: [] for split in (*NAMES, None)}
    for (_, split), image in found.items():
        splits[split].append(image)
    undivided = splits.pop(None)
    if undivided:
        splits['train'], splits['dev'], splits['test'] = _divide(
            undivided, store, seed, (0.8, 0.1, 0.1), path)
        return splits, f'divided 80/10/10 by image with seed {seed}'
    if given == {'train', 'dev'} and splits['dev']:
        splits['dev'], splits['test'] = _divide(splits['dev'], store, seed, (0.5, 0.5), path)
        return splits, f'splits as given, but dev halved into dev and test with seed {seed}'
    if given == {'train', 'test'} and splits['train']:
        splits['train'], splits['dev'] = _divide(splits['train'], store, seed, (0.9, 0.1), path)
        return splits, f'splits as given, but dev is a tenth of train with seed {seed}'
    return splits, 'splits as given'


def _divide(images, store, seed, shares, path):
    """Divides images by a hash of seed and name; those with the same bytes stay together."""
    groups = {}
    for image in images:
        groups.setdefault(store.size(image.name), []).append(image)
    twins = {}
    for size, same_size in groups.items():
        for image in same_size:  # only images of the same size can be equal
            key = size if len(same_size) == 1 else store.digest(image.name)
            twins.setdefault(key, []).append(image)
    if len(twins) < len(shares):
        raise DataError(f'{path}: at least {len(shares)} different images expected to divide into '
                        f'{len(shares)} splits, got {len(twins)}.')

    def rank(group):
        name = min(image.name for image in group)
        return hashlib.sha256(f'{seed}\n{name}'.encode()).digest()

    parts, waiting = [], sorted(twins.values(), key=rank, reverse=True)
    for number, share in enumerate(shares[1:], 1):
        part, wanted = [], max(1, round(share * len(images)))
        while not part or (len(part) < wanted and len(waiting) > len(shares) - number):
            part += waiting.pop()
        parts.append(part)
    order = {image.name: number for number, image in enumerate(images)}
    parts.insert(0, [image for group in waiting for image in group])
    return [sorted(part, key=lambda image: order[image.name]) for part in parts]

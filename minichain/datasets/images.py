"""Image files as a data set, in the layout that convolutions take, with or without labels."""
import os

import numpy as np

from minichain import image
from minichain.configuration import get_dtype
from minichain.dataset.dataset_mixin import DatasetMixin
from minichain.errors import DataError, FileError


class ImageDataset(DatasetMixin):
    """Image files, read when asked for as RGB arrays (3, H, W) of 0..255.

    Args:
        paths: list of paths, or the path of a UTF-8 text file with one path a line.
        root: folder that the paths are relative to.
        dtype: of the arrays; default `config.dtype`.
    Raises:
        FileError: the list, or an image when it is asked for, cannot be read.
        DataError: an image is damaged or too large; raised when it is asked for.
    """

    def __init__(self, paths, root='.', dtype=None):
        if isinstance(paths, (str, os.PathLike)):
            paths = [line for _, line in _read_list(paths)]
        self._paths = list(paths)
        self._root = root
        self._dtype = get_dtype(dtype, map_mixed16=np.float32)

    def __len__(self):
        return len(self._paths)

    def get_example(self, i):
        return _load(os.path.join(self._root, self._paths[i]), self._dtype)


class LabeledImageDataset(DatasetMixin):
    """Image files with labels: examples are pairs (image (3, H, W) of 0..255, label).

    Args:
        pairs: list of (path, label), a label being a number or a sequence of numbers; or the path
            of a UTF-8 text file with a path, white space and an integer on each line.
        root: folder that the paths are relative to.
        dtype: of the images; default `config.dtype`.
        label_dtype: of the labels, arrays of shape ().
    Raises:
        FileError: the list, or an image when it is asked for, cannot be read.
        DataError: a line is not a path and a label, or an image is damaged or too large.
    """

    def __init__(self, pairs, root='.', dtype=None, label_dtype=np.int32):
        if isinstance(pairs, (str, os.PathLike)):
            pairs = [_parse_pair(pairs, number, line) for number, line in _read_list(pairs)]
        self._pairs = list(pairs)
        self._root = root
        self._dtype = get_dtype(dtype, map_mixed16=np.float32)
        self._label_dtype = np.dtype(label_dtype)

    def __len__(self):
        return len(self._pairs)

    def get_example(self, i):
        path, label = self._pairs[i]
        array = _load(os.path.join(self._root, path), self._dtype)
        return array, np.array(label, dtype=self._label_dtype)


def _load(path, dtype):
    return np.ascontiguousarray(image.load(path).transpose(2, 0, 1), dtype=dtype)


def _read_list(path):
    """The lines that are not blank, with their numbers."""
    try:
        with open(path, encoding='utf-8') as file:
            lines = [(number, line.strip()) for number, line in enumerate(file, 1)]
    except OSError as error:
        raise FileError(f'{path}: the list of images cannot be read ({error.strerror})') from error
    except UnicodeDecodeError as error:
        raise DataError(f'{path}: a list of images in UTF-8 expected ({error.reason} at byte '
                        f'{error.start})') from error
    return [(number, line) for number, line in lines if line]


def _parse_pair(path, number, line):
    parts = line.rsplit(maxsplit=1)
    try:
        name, label = parts
        return name, int(label)
    except ValueError:
        raise DataError(f'{path}: line {number}: a path and an integer label expected, got '
                        f'{line[:80]!r}') from None

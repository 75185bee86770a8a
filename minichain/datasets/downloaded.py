"""Well-known data sets, read from the files in which Chainer keeps them; nothing is downloaded."""
import io
import os
import zipfile
import zlib

import numpy as np

from minichain.configuration import get_dtype
from minichain.dataset.download import get_dataset_directory
from minichain.datasets.combined import TupleDataset
from minichain.errors import DataError, FileError, InvalidArgument

MAX_ARRAY_BYTES = 2 ** 31


def get_mnist(withlabel=True, ndim=1, scale=1., dtype=None, label_dtype=np.int32,
              rgb_format=False):
    """Return MNIST's (train, test), read from `pfnet/chainer/mnist/{train,test}.npz`.

    Args:
        withlabel: examples are pairs (image, label); False: an array of images alone.
        ndim: 1 for images of shape (784,), 2 for (28, 28), 3 for (1, 28, 28).
        scale: of the pixels, which lie within 0..scale.
        dtype: of the images; default `config.dtype`.
        label_dtype: of the labels.
        rgb_format: with ndim=3, three equal channels: (3, 28, 28).
    Raises:
        FileError: a file is not there; the message says which, and what it must hold.
        DataError: it does not hold that.
    """
    return _get_mnist('mnist', withlabel, ndim, scale, dtype, label_dtype, rgb_format)


def get_fashion_mnist(withlabel=True, ndim=1, scale=1., dtype=None, label_dtype=np.int32,
                      rgb_format=False):
    """Return Fashion-MNIST from `pfnet/chainer/fashion-mnist`, as :func:`get_mnist` does."""
    return _get_mnist('fashion-mnist', withlabel, ndim, scale, dtype, label_dtype, rgb_format)


def get_kuzushiji_mnist(withlabel=True, ndim=1, scale=1., dtype=None, label_dtype=np.int32,
                        rgb_format=False):
    """Return Kuzushiji-MNIST from `pfnet/chainer/kuzushiji_mnist`, as :func:`get_mnist` does."""
    return _get_mnist('kuzushiji_mnist', withlabel, ndim, scale, dtype, label_dtype, rgb_format)


def get_fashion_mnist_labels():
    """Return the names of the ten classes of Fashion-MNIST."""
    return ['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker',
            'Bag', 'Ankle boot']


def get_kuzushiji_mnist_labels():
    """Return the ten characters of Kuzushiji-MNIST as pairs (romanised, hiragana)."""
    return [('o', 'お'), ('ki', 'き'), ('su', 'す'), ('tsu', 'つ'), ('na', 'な'), ('ha', 'は'),
            ('ma', 'ま'), ('ya', 'や'), ('re', 'れ'), ('wo', 'を')]


def get_cifar10(withlabel=True, ndim=3, scale=1., dtype=None):
    """Return CIFAR-10's (train, test), read from `pfnet/chainer/cifar/cifar-10.npz`.

    Args:
        withlabel: examples are pairs (image, int32 label); False: an array of images alone.
        ndim: 3 for images of shape (3, 32, 32), 1 for (3072,).
        scale: of the pixels, which lie within 0..scale.
        dtype: of the images; default `config.dtype`.
    Raises:
        FileError: the file is not there; the message says what it must hold.
        DataError: it does not hold that.
    """
    return _get_cifar('cifar-10.npz', withlabel, ndim, scale, dtype)


def get_cifar100(withlabel=True, ndim=3, scale=1., dtype=None):
    """Return CIFAR-100 from `cifar-100.npz`, as :func:`get_cifar10` does."""
    return _get_cifar('cifar-100.npz', withlabel, ndim, scale, dtype)


def get_ptb_words():
    """Return the Penn Treebank as word numbers, from `pfnet/chainer/ptb/{train,valid,test}.npz`.

    Returns:
        (train, valid, test): three int32 arrays, one long text each.
    Raises:
        FileError, DataError: as in :func:`get_mnist`.
    """
    texts = []
    for split in ('train', 'valid', 'test'):
        what = 'x: the text as word numbers, (words,)'
        path = _find('ptb', f'{split}.npz', what)
        words, = _read_arrays(path, ['x'], what)
        if words.ndim != 1 or words.dtype.kind not in 'iu':
            raise DataError(f'{path}: {what} expected, got {words.dtype} {words.shape}')
        texts.append(words.astype(np.int32))
    return tuple(texts)


def get_ptb_words_vocabulary():
    """Return the dict word -> number of the Penn Treebank, from `pfnet/chainer/ptb/vocab.txt`."""
    path = _find('ptb', 'vocab.txt', 'one word a line, in the order of their numbers')
    try:
        with open(path, encoding='utf-8') as file:
            return {line.strip(): number for number, line in enumerate(file)}
    except OSError as error:
        raise FileError(f'{path}: cannot be read ({error.strerror})') from error
    except UnicodeDecodeError as error:
        raise DataError(f'{path}: UTF-8 expected, byte {error.start} is not') from error


def _get_mnist(name, withlabel, ndim, scale, dtype, label_dtype, rgb_format):
    if ndim not in (1, 2, 3):
        raise InvalidArgument(f'{name}: ndim of 1, 2 or 3 expected, got {ndim!r}')
    shape = [(784,), (28, 28), (1, 28, 28)][ndim - 1]
    what = 'x: uint8 (N, 784), y: labels (N,)'
    parts = []
    for split in ('train', 'test'):
        path = _find(name, f'{split}.npz', what)
        pixels, labels = _read_arrays(path, ['x', 'y'], what)
        images = _images(pixels, shape, scale, dtype, path, what)
        if rgb_format and ndim == 3:
            images = images.repeat(3, axis=1)
        parts.append(_part(images, labels, withlabel, label_dtype, path, what))
    return tuple(parts)


def _get_cifar(file_name, withlabel, ndim, scale, dtype):
    if ndim not in (1, 3):
        raise InvalidArgument(f'{file_name}: ndim of 1 or 3 expected, got {ndim!r}')
    what = ('train_x, test_x: uint8 (N, 3072), red, green, blue planes of 32 x 32; '
            'train_y, test_y: labels (N,)')
    path = _find('cifar', file_name, what)
    arrays = _read_arrays(path, ['train_x', 'train_y', 'test_x', 'test_y'], what)
    shape = (3072,) if ndim == 1 else (3, 32, 32)
    return tuple(
        _part(_images(pixels, shape, scale, dtype, path, what), labels, withlabel, np.int32,
              path, what)
        for pixels, labels in (arrays[:2], arrays[2:]))


def _find(name, file_name, what):
    path = os.path.join(get_dataset_directory(f'pfnet/chainer/{name}', create_directory=False),
                        file_name)
    if not os.path.isfile(path):
        raise FileError(
            f'{path}: not there. Nothing is downloaded here; put the file there as Chainer writes '
            f'it ({what}), or name the folder that holds pfnet/chainer in the environment '
            'variable CHAINER_DATASET_ROOT')
    return path


def _read_arrays(path, names, what):
    try:
        with zipfile.ZipFile(path) as archive:
            return [_read_array(archive, f'{name}.npy') for name in names]
    except OSError as error:
        raise FileError(f'{path}: cannot be read ({error.strerror or error})') from error
    except (ValueError, KeyError, EOFError, MemoryError, OverflowError, RuntimeError,
            zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f'{path}: an npz file with {what} expected: {error}. It may be damaged or '
                        'of another origin') from error


def _read_array(archive, name):
    size = archive.getinfo(name).file_size
    if size > MAX_ARRAY_BYTES:
        raise ValueError(f'{name} takes {size} bytes, more than {MAX_ARRAY_BYTES}')
    with archive.open(name) as file:
        data = io.BytesIO(file.read())
    return np.lib.format.read_array(data, allow_pickle=False)


def _images(pixels, shape, scale, dtype, path, what):
    size = int(np.prod(shape))
    if pixels.dtype != np.uint8 or pixels.ndim < 2 or pixels[:1].size != size:
        raise DataError(f'{path}: {what} expected, the images are {pixels.dtype} {pixels.shape}')
    images = pixels.reshape(-1, *shape).astype(get_dtype(dtype, map_mixed16=np.float32))
    if images.dtype.kind == 'f':
        images *= images.dtype.type(scale / 255.)
    elif scale != 255:
        raise InvalidArgument(f'{path}: pixels of {images.dtype} lie within 0..255, so scale=255 '
                              f'expected, got {scale!r}')
    return images


def _part(images, labels, withlabel, label_dtype, path, what):
    if not withlabel:
        return images
    if labels.shape != (len(images),) or labels.dtype.kind not in 'iu':
        raise DataError(f'{path}: {what} expected, the labels are {labels.dtype} {labels.shape}')
    return TupleDataset(images, labels.astype(label_dtype))

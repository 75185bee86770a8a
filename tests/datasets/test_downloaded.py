"""Data sets in Chainer's cache layout, made here; shapes and scales are Chainer's."""
import numpy as np
import pytest

from minichain import datasets
from minichain.dataset import download
from minichain.errors import DataError, FileError, InvalidArgument

MNIST_LIKE = {'mnist': datasets.get_mnist, 'fashion-mnist': datasets.get_fashion_mnist,
              'kuzushiji_mnist': datasets.get_kuzushiji_mnist}
X = (np.arange(5 * 784) % 256).astype(np.uint8).reshape(5, 784)
CIFAR_X = (np.arange(4 * 3072) % 256).astype(np.uint8).reshape(4, 3072)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(download, '_root', str(tmp_path))
    folder = tmp_path / 'pfnet' / 'chainer'
    for name in [*MNIST_LIKE, 'cifar', 'ptb']:
        (folder / name).mkdir(parents=True)
    return folder


@pytest.fixture
def mnist(root):
    for name in MNIST_LIKE:
        for split, labels in [('train', np.arange(5)), ('test', np.arange(5) + 5)]:
            np.savez_compressed(root / name / f'{split}.npz', x=X, y=labels.astype(np.uint8))
    return root / 'mnist' / 'train.npz'


@pytest.mark.parametrize('get', MNIST_LIKE.values())
def test_train_and_test_are_pairs_of_images_within_0_and_1_and_int32_labels(mnist, get):
    train, test = get()
    assert len(train) == len(test) == 5
    image, label = train[1]
    assert (image.shape, image.dtype) == ((784,), np.float32)
    np.testing.assert_allclose(image, X[1] / 255, rtol=1e-6)
    assert (label, label.dtype) == (1, np.int32)
    assert test[1][1] == 6


@pytest.mark.parametrize('options, shape', [
    ({'ndim': 2}, (28, 28)), ({'ndim': 3}, (1, 28, 28)),
    ({'ndim': 3, 'rgb_format': True}, (3, 28, 28)), ({'ndim': 2, 'rgb_format': True}, (28, 28))])
def test_images_of_mnist_have_the_shape_asked_for(mnist, options, shape):
    image, _ = datasets.get_mnist(**options)[0][2]
    np.testing.assert_allclose(image, np.broadcast_to(X[2].reshape(28, 28) / np.float32(255),
                                                      shape), rtol=1e-6)


def test_scale_and_dtypes_of_mnist_can_be_chosen(mnist):
    image, label = datasets.get_mnist(scale=2, dtype=np.float64, label_dtype=np.int64)[0][0]
    assert (image.dtype, image.max(), label.dtype) == (np.float64, 2, np.int64)
    image, _ = datasets.get_mnist(scale=255, dtype=np.uint8)[0][0]
    np.testing.assert_array_equal(image, X[0])
    with pytest.raises(InvalidArgument, match='so scale=255 expected, got 1'):
        datasets.get_mnist(dtype=np.uint8)


def test_without_labels_an_array_comes(mnist):
    train, _ = datasets.get_mnist(withlabel=False, ndim=3)
    assert (type(train), train.shape) == (np.ndarray, (5, 1, 28, 28))


@pytest.mark.parametrize('name, get', [('cifar-10', datasets.get_cifar10),
                                       ('cifar-100', datasets.get_cifar100)])
def test_cifar_is_read(root, name, get):
    labels = np.arange(4)
    np.savez(root / 'cifar' / f'{name}.npz', train_x=CIFAR_X, train_y=labels,
             test_x=CIFAR_X[:2], test_y=labels[:2])
    train, test = get(scale=255.)
    assert (len(train), len(test)) == (4, 2)
    image, label = train[3]
    np.testing.assert_allclose(image, CIFAR_X[3].reshape(3, 32, 32), rtol=1e-6)
    assert (label, label.dtype) == (3, np.int32)
    assert get(ndim=1, withlabel=False)[1].shape == (2, 3072)


def test_the_penn_treebank_is_read(root):
    for number, split in enumerate(['train', 'valid', 'test']):
        np.savez(root / 'ptb' / f'{split}.npz', x=np.arange(number + 2))
    train, valid, test = datasets.get_ptb_words()
    assert [text.tolist() for text in (train, valid, test)] == [[0, 1], [0, 1, 2], [0, 1, 2, 3]]
    assert test.dtype == np.int32
    (root / 'ptb' / 'vocab.txt').write_text('aa\nno <unk>\nあ\n', encoding='utf-8')
    assert datasets.get_ptb_words_vocabulary() == {'aa': 0, 'no <unk>': 1, 'あ': 2}


@pytest.mark.parametrize('get, path, content', [
    (datasets.get_mnist, 'mnist/train.npz', r'x: uint8 \(N, 784\)'),
    (datasets.get_cifar10, 'cifar/cifar-10.npz', 'train_x'),
    (datasets.get_ptb_words, 'ptb/train.npz', 'word numbers'),
    (datasets.get_ptb_words_vocabulary, 'ptb/vocab.txt', 'one word a line')])
def test_a_missing_file_is_asked_for_with_place_and_content(root, get, path, content):
    with pytest.raises(FileError, match=f'{path}: not there.*{content}.*CHAINER_DATASET_ROOT'):
        get()


@pytest.mark.parametrize('arrays, message', [
    ({'x': X}, 'y.npy'), ({'x': X[:, :700], 'y': np.arange(5)}, r'images are uint8 \(5, 700\)'),
    ({'x': X / 255, 'y': np.arange(5)}, 'images are float64'),
    ({'x': X, 'y': np.arange(4)}, r'labels are int64 \(4,\)'),
    ({'x': X, 'y': np.array([None] * 5)}, 'allow_pickle')])
def test_a_file_with_something_else_is_refused(mnist, arrays, message):
    np.savez(mnist, **arrays)
    with pytest.raises(DataError, match=f'mnist/train.npz: .*{message}'):
        datasets.get_mnist()


@pytest.mark.parametrize('keep', [0, 10, 0.5, 0.99])
def test_a_damaged_file_is_refused(mnist, keep):
    data = mnist.read_bytes()
    mnist.write_bytes(data[:int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(DataError, match='mnist/train.npz: an npz file with x'):
        datasets.get_mnist()


def test_a_flipped_byte_is_noticed(mnist):
    data = bytearray(mnist.read_bytes())
    data[len(data) // 3] ^= 0xff
    mnist.write_bytes(bytes(data))
    with pytest.raises(DataError, match='may be damaged'):
        datasets.get_mnist()


def test_an_array_of_an_absurd_size_is_refused_before_it_is_read(mnist, monkeypatch):
    monkeypatch.setattr(datasets.downloaded, 'MAX_ARRAY_BYTES', 1000)
    with pytest.raises(DataError, match='x.npy takes 4048 bytes, more than 1000'):
        datasets.get_mnist()


@pytest.mark.parametrize('get, ndim', [(datasets.get_mnist, 4), (datasets.get_cifar10, 2)])
def test_other_numbers_of_axes_are_refused(root, get, ndim):
    with pytest.raises(InvalidArgument, match=f'ndim of 1.* expected, got {ndim}'):
        get(ndim=ndim)


def test_the_classes_have_names():
    assert datasets.get_fashion_mnist_labels()[9] == 'Ankle boot'
    assert datasets.get_kuzushiji_mnist_labels()[9] == ('wo', 'を')

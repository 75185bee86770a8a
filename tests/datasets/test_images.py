"""Image files as arrays (3, H, W), from lists in memory and lists in files."""
import numpy as np
import pytest
from PIL import Image

from minichain.configuration import using_config
from minichain.datasets import ImageDataset, LabeledImageDataset
from minichain.errors import DataError, FileError

PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)      # (H, W, 3)


@pytest.fixture
def folder(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / 'x.png')
    Image.fromarray(PIXELS[:, :, 0]).save(tmp_path / 'grey one.png')
    (tmp_path / 'broken.png').write_bytes(b'\x89PNG\r\n\x1a\nnot really')
    return tmp_path


def test_images_are_channels_rows_columns_of_the_configured_dtype(folder):
    dataset = ImageDataset(['x.png', 'grey one.png'], folder)
    assert len(dataset) == 2
    image = dataset[0]
    assert (image.shape, image.dtype) == ((3, 2, 3), np.float32)
    assert image.flags.c_contiguous
    for channel in range(3):
        np.testing.assert_array_equal(image[channel], PIXELS[:, :, channel])
    with using_config('dtype', np.dtype(np.float16)):
        assert ImageDataset(['x.png'], folder)[0].dtype == np.float16


def test_grey_images_have_three_channels(folder):
    image = ImageDataset(['grey one.png'], folder)[0]
    np.testing.assert_array_equal(image, np.broadcast_to(PIXELS[:, :, 0], (3, 2, 3)))


@pytest.mark.parametrize('dtype', [np.uint8, 'float64'])
def test_another_dtype_can_be_asked_for(folder, dtype):
    assert ImageDataset(['x.png'], folder, dtype=dtype)[0].dtype == dtype


def test_a_list_of_images_is_read_from_a_file(folder):
    (folder / 'list.txt').write_text('x.png\n\ngrey one.png\n')
    dataset = ImageDataset(folder / 'list.txt', root=folder)
    assert [image.shape for image in dataset] == [(3, 2, 3)] * 2


def test_pairs_give_an_image_and_a_label_array(folder):
    dataset = LabeledImageDataset([('x.png', 3), ('grey one.png', (1, 2))], folder)
    image, label = dataset[0]
    np.testing.assert_array_equal(image, PIXELS.transpose(2, 0, 1))
    assert (label.shape, label.dtype, int(label)) == ((), np.int32, 3)
    assert dataset[1][1].tolist() == [1, 2]
    assert len(dataset) == 2


def test_label_and_image_dtypes_can_be_chosen(folder):
    image, label = LabeledImageDataset([('x.png', 3)], folder, np.float16, np.float64)[0]
    assert (image.dtype, label.dtype) == (np.float16, np.float64)


def test_a_list_of_pairs_is_read_from_a_file_and_names_may_have_spaces(folder):
    (folder / 'pairs.txt').write_text('x.png 3\n\ngrey one.png\t-1\n')
    dataset = LabeledImageDataset(str(folder / 'pairs.txt'), folder)
    assert [int(label) for _, label in dataset] == [3, -1]


@pytest.mark.parametrize('line', ['x.png', 'x.png 1.5', 'x.png three'])
def test_a_line_that_is_no_pair_is_named(folder, line):
    (folder / 'pairs.txt').write_text(f'x.png 1\n{line}\n')
    with pytest.raises(DataError, match=f"pairs.txt: line 2: .* got '{line}'"):
        LabeledImageDataset(folder / 'pairs.txt', folder)


def test_a_list_that_is_missing_or_no_text_is_named(folder):
    with pytest.raises(FileError, match='nope.txt: the list of images cannot be read'):
        ImageDataset(folder / 'nope.txt')
    with pytest.raises(DataError, match='x.png: a list of images in UTF-8 expected'):
        LabeledImageDataset(folder / 'x.png')


def test_a_broken_or_missing_image_is_named_when_it_is_asked_for(folder):
    dataset = ImageDataset(['broken.png', 'nope.png', 'x.png'], folder)
    with pytest.raises(DataError, match='broken.png'):
        dataset[0]
    with pytest.raises(FileError, match='nope.png'):
        dataset[1]
    assert dataset[2].shape == (3, 2, 3)

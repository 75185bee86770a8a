"""Images as Chainer prepares them: sums recorded from Chainer 7.8.1 (with Pillow 13)."""
import numpy as np
import pytest
from PIL import Image

from minichain.vision import googlenet, resnet, vgg
from minichain.vision.preparation import as_picture, ten_crops
from tests.vision.seeded import picture

MEANS = {vgg: (103.939, 116.779, 123.68), googlenet: (104, 117, 123),
         resnet: (103.063, 115.903, 123.152)}


@pytest.mark.parametrize('module', MEANS)
def test_an_image_becomes_bgr_minus_the_mean_of_its_family(module):
    x = module.prepare(picture(5, 7), size=None)
    expected = picture(5, 7)[:, :, ::-1].astype('float32') - np.array(MEANS[module], 'float32')
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, expected.transpose(2, 0, 1))


def test_the_size_is_width_and_height_and_the_filter_bicubic():
    assert vgg.prepare(picture(5, 7)).shape == (3, 224, 224)
    x = vgg.prepare(picture(50, 70), (40, 60))
    expected = Image.fromarray(picture(50, 70)).resize((40, 60), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(x[0], np.asarray(expected)[:, :, 2] - np.float32(103.939))
    assert x.shape == (3, 60, 40)


def test_all_that_chainer_takes_for_an_image_is_one(tmp_path):
    image = picture(6, 9)
    expected = vgg.prepare(image, None)
    Image.fromarray(image).save(tmp_path / 'image.png')
    for same in (Image.fromarray(image), image.transpose(2, 0, 1), image + .7,
                 image.astype('int32'), tmp_path / 'image.png', str(tmp_path / 'image.png'),
                 np.asfortranarray(image)):
        np.testing.assert_array_equal(vgg.prepare(same, None), expected)
    grey = image[:, :, 0]
    for same in (grey, grey[None], Image.fromarray(grey), np.stack([grey] * 3)):
        np.testing.assert_array_equal(vgg.prepare(same, None), vgg.prepare(grey, None))
    assert vgg.prepare(Image.fromarray(image).convert('RGBA'), None).shape == (3, 6, 9)


@pytest.mark.parametrize('wrong', [
    np.zeros((4, 5, 7)), np.zeros((3, 0, 4)), np.zeros(4), np.zeros((1, 3, 4, 4)), [1, 2], None])
def test_what_is_no_image_is_refused(wrong):
    with pytest.raises(ValueError, match='an image'):
        vgg.prepare(wrong)


def test_ten_crops_are_corners_centre_and_mirror_images():
    x = np.arange(2 * 1 * 4 * 5).reshape(2, 1, 4, 5)
    crops = ten_crops(x, (2, 3))
    assert crops.shape == (20, 1, 2, 3)
    assert crops[:10, 0, 0, 0].tolist() == [0, 2, 10, 12, 6, 2, 4, 12, 14, 8]
    np.testing.assert_array_equal(crops[4, 0], [[6, 7, 8], [11, 12, 13]])
    np.testing.assert_array_equal(crops[10:], crops[:10] + 20)


def test_pictures_are_rgb():
    assert as_picture(np.zeros((2, 2), bool)).mode == 'RGB'

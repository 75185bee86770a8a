"""Images as the input of networks, in Chainer's way."""
import os

import numpy as np
from PIL import Image

from minichain import image as images
from minichain.errors import InvalidArgument

CENTRE = 4      # where the centre stands among ten crops


def as_picture(image):
    """Return a PIL image in RGB.

    Args:
        image: path; PIL image of any mode; or array of values in 0..255, which are cut to
            uint8: (H, W), (1, H, W), (3, H, W) or (H, W, 3), RGB.
    Raises:
        InvalidArgument: another kind or shape.
    """
    if isinstance(image, (str, os.PathLike)):
        return Image.fromarray(images.load(image))
    if isinstance(image, Image.Image):
        return image.convert('RGB')
    shape = getattr(image, 'shape', None)
    if not isinstance(image, np.ndarray) or image.ndim not in (2, 3) or 0 in shape:
        raise InvalidArgument('an image expected: a path, a PIL image, or an array (H, W), '
                              f'(3, H, W) or (H, W, 3) that is not empty, got '
                              f'{type(image).__name__}{"" if shape is None else f" {shape}"}')
    if image.ndim == 3 and shape[0] == 1:
        image = image[0]
    elif image.ndim == 3 and shape[0] == 3:
        image = image.transpose(1, 2, 0)
    if image.ndim == 3 and image.shape[2] != 3:
        raise InvalidArgument('an image of one or three channels expected, (H, W), (3, H, W) or '
                              f'(H, W, 3), got {shape}')
    if image.dtype != np.uint8:
        with np.errstate(invalid='ignore'):
            image = image.astype(np.int64, copy=False).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(image)).convert('RGB')


def prepare_as_in_chainer(image, size, preprocessing):
    """Make network input of an image; proportions are not kept.

    Resizing is Pillow's bicubic filter, as in Chainer. ``preprocessing.apply``, by comparison,
    resizes bilinearly and, where it says 'crop', keeps the proportions.

    Args:
        image: as of :func:`as_picture`.
        size: (width, height) to resize to; None leaves the size.
        preprocessing: minichain.image.Preprocessing that says channels, mean, scale and std.
    Returns:
        float32 (C, H, W).
    """
    picture = as_picture(image)
    if size is not None:
        picture = picture.resize(tuple(size), Image.Resampling.BICUBIC)
    x = np.asarray(picture, np.float32)
    if preprocessing.channels == 'BGR':
        x = x[:, :, ::-1]
    if preprocessing.mean is not None:
        x = x - np.array(preprocessing.mean, np.float32)
    if preprocessing.scale != 1:
        x = x * np.float32(preprocessing.scale)
    if preprocessing.std is not None:
        x = x / np.array(preprocessing.std, np.float32)
    return np.ascontiguousarray(x.transpose(2, 0, 1))


def ten_crops(x, size):
    """Return the four corners and the centre of images, and their mirror images.

    Args:
        x: (N, C, H, W).
        size: (height, width), at most (H, W).
    Returns:
        (10 N, C, height, width); the crops of one image follow each other.
    """
    height, width = size
    down, right = x.shape[2] - height, x.shape[3] - width
    starts = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    crops = np.stack([x[:, :, top:top + height, left:left + width] for top, left in starts], 1)
    crops = np.concatenate((crops, crops[..., ::-1]), 1)
    return crops.reshape(-1, x.shape[1], height, width)

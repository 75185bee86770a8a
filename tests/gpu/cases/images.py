"""Kernels of images.cu: bytes less their mean, times a scale, in float64."""
import numpy as np

from minichain.gpu.images import images_to_nchw, images_to_nhwc
from tests.gpu.registry import reference

SIZES = [(2, 5, 7, 3, 1), (1, 1, 1, 1, 0), (3, 17, 31, 3, 0), (2, 16, 20, 4, 1)]


def bytes_to_numbers(random, store, images, height, width, channels, reverse):
    x = random.integers(0, 256, (images, height, width, channels), np.uint8)
    mean = random.uniform(100, 130, channels).astype(np.float32)
    scale = random.uniform(.01, .03, channels).astype(np.float32)
    wide = x[..., ::-1] if reverse else x
    arguments = {'x': x, 'y': store(np.full(x.shape, np.nan)), 'mean': mean, 'scale': scale,
                 'reverse': bool(reverse)}
    return arguments, {'y': (wide - mean.astype(np.float64)) * scale.astype(np.float64)}


reference('images_to_nhwc', images_to_nhwc, SIZES, registers=48)(bytes_to_numbers)


@reference('images_to_nchw', images_to_nchw, SIZES, registers=48)
def bytes_to_planes(random, store, images, height, width, channels, reverse):
    arguments, expected = bytes_to_numbers(random, store, images, height, width, channels, reverse)
    arguments['y'] = arguments['y'].reshape(images, channels, height, width)
    return arguments, {'y': expected['y'].transpose(0, 3, 1, 2)}

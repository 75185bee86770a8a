"""Bytes of images as the input of a network: see ``kernels/images.cu``."""
import numpy as np

from minichain.backend import get_array_module
from minichain.gpu.grids import planes
from minichain.gpu.launcher import kernel, storage


def images_to_nchw(x, y, mean, scale, reverse=False):
    """Compute  y[n, c] = (x[n, :, :, c] - mean[c]) scale[c].

    Args:
        x: (N, H, W, C), uint8.
        y: filled, (N, C, H, W), float32 or bfloat16.
        mean, scale: of the channels of ``y``, (C,), float32.
        reverse: read the channels of ``x`` backwards: RGB to BGR.
    """
    images, height, width, channels = x.shape
    kernel(f'images_to_nchw_{storage(y)}')(
        x, y, mean, scale, images, height * width, channels, int(reverse),
        **planes(images, height * width))


def images_to_nhwc(x, y, mean, scale, reverse=False):
    """Compute  y[..., c] = (x[..., c] - mean[c]) scale[c];  y: (N, H, W, C).

    Other arguments as of :func:`images_to_nchw`.
    """
    images, height, width, channels = x.shape
    kernel(f'images_to_nhwc_{storage(y)}')(
        x, y, mean, scale, images, height * width, channels, int(reverse),
        **planes(images, height * width * channels))


def to_planes(mean, factor, pixels, reverse):
    """Compute what the function of this name in image_encoder.py does."""
    N, H, W, C = pixels.shape
    y = get_array_module(pixels).empty((N, C, H, W), np.float32)
    images_to_nchw(pixels, y, mean, factor, reverse)
    return y

"""Filters that make a convolution resize images by linear interpolation."""
import functools

import numpy as np

from minichain import backend
from minichain.errors import InvalidArgument
from minichain.initializer import Initializer


class UpsamplingDeconvFilter(Initializer):
    """Fills weights (C, C, k, ...) such that a transposed convolution enlarges each channel.

    Use it with stride (k + 1) // 2. The filter is the product of one triangle for each axis.

    Args:
        interpolation: only 'linear'.
        dtype: None means ``config.dtype``.
    Raises:
        InvalidArgument: another interpolation; kernels that are not square, or as many outputs
            as inputs.
    Long et al. 2015, "Fully convolutional networks for semantic segmentation", arXiv:1411.4038.
    """

    def __init__(self, interpolation='linear', dtype=None):
        super().__init__(dtype)
        if interpolation != 'linear':
            raise InvalidArgument(f"{type(self).__name__}: interpolation 'linear' expected, got "
                                  f'{interpolation!r}')

    def height(self, factor):
        """Return the peak of a triangle that is to scale by ``factor``."""
        return 1.

    def __call__(self, array):
        shape = array.shape
        if len(shape) < 3 or shape[0] != shape[1] or len(set(shape[2:])) != 1:
            raise InvalidArgument(f'{type(self).__name__}: weights (C, C, k, ...) with one kernel '
                                  f'size expected, got shape {shape}')
        size = shape[2]
        factor = (size + 1) // 2
        triangle = self.height(factor) * (
            1 - np.abs(np.arange(size) - (size - 1) / 2) / factor)
        values = np.zeros(shape)
        channels = np.arange(shape[0])
        values[channels, channels] = functools.reduce(
            np.multiply.outer, [triangle] * (len(shape) - 2))
        backend.copyto(array, values)


class DownsamplingConvFilter(UpsamplingDeconvFilter):
    """Fills weights (C, C, k, ...) such that a convolution shrinks each channel.

    As UpsamplingDeconvFilter, for a convolution with that stride; its filter sums up to about 1.
    """

    def height(self, factor):
        return 1 / factor

"""What fills a new parameter: an Initializer, a number, or an array."""
import numbers

import numpy as np

from minichain import backend
from minichain.configuration import get_dtype
from minichain.errors import InvalidArgument


class Initializer:
    """A callable that fills an array in place.

    Args:
        dtype: dtype of the arrays to make; None means ``config.dtype``.
    """

    def __init__(self, dtype=None):
        self.dtype = dtype

    def __call__(self, array):
        """Fill ``array`` in place."""
        raise NotImplementedError(f'{type(self).__name__} does not say how to fill an array')


class Constant(Initializer):
    """Fills with one value, or with the values of an array of the same shape."""

    def __init__(self, fill_value, dtype=None):
        super().__init__(dtype)
        self.fill_value = fill_value

    def __call__(self, array):
        if isinstance(self.fill_value, numbers.Number):
            array[...] = self.fill_value
            return
        try:
            backend.copyto(array, self.fill_value)
        except ValueError:
            raise InvalidArgument(f'initial values of shape {array.shape} expected, got '
                                  f'{self.fill_value.shape}') from None


def get_initializer(initializer, default=None):
    """Return ``initializer`` as a callable that fills an array.

    Args:
        initializer: Initializer or any callable(array), number, array, or None.
        default: what None stands for.
    Raises:
        InvalidArgument: none of these.
    """
    if initializer is None:
        initializer = default
    if callable(initializer):
        return initializer
    if isinstance(initializer, numbers.Number) or backend.is_array(initializer):
        return Constant(initializer)
    raise InvalidArgument(f'initializer: Initializer, number or array expected, got '
                          f'{type(initializer).__name__}')


def generate_array(initializer, shape, xp=np, dtype=None, device=None):
    """Return a new array of ``shape`` filled by ``initializer``.

    Args:
        initializer: callable(array).
        shape: tuple of ints.
        xp: array module, unless ``device`` is given.
        dtype: None means the initializer's own ``dtype``, then ``config.dtype``.
        device: where the array is to live.
    """
    dtype = get_dtype(getattr(initializer, 'dtype', None) if dtype is None else dtype)
    device = backend.get_device('cpu' if xp is np else 'cuda') if device is None else device
    with backend.using_device(device) as device:
        array = device.xp.empty(shape, dtype)
        initializer(array)
    return array

"""Views: the same values in another shape or with the axes in another order."""
import math

import numpy as np

from minichain.autograd import Primitive, as_result
from minichain.errors import InvalidType


class Reshape(Primitive):
    def __init__(self, shape):
        self.shape = shape

    def check_type_forward(self, in_types):
        size, shape = in_types[0].size, self.shape
        known = math.prod(n for n in shape if n != -1)
        fits = size == known if -1 not in shape else (
            shape.count(-1) == 1 and known > 0 and size % known == 0)
        if not fits:
            raise InvalidType(f'reshape: a shape of {size} elements, as {in_types[0].shape} has, '
                              f'expected, got {shape}')

    def forward(self, arrays):
        return arrays[0].reshape(self.shape),

    def backward(self, indexes, grads):
        return reshape(grads[0], self.inputs[0].shape),


class Transpose(Primitive):
    def __init__(self, axes):
        self.axes = axes

    def check_type_forward(self, in_types):
        n = in_types[0].ndim
        if self.axes is not None and sorted(a % max(n, 1) for a in self.axes) != list(range(n)):
            raise InvalidType(f'transpose: each of {n} axes once expected for shape '
                              f'{in_types[0].shape}, got {self.axes}')

    def forward(self, arrays):
        return arrays[0].transpose(self.axes),

    def backward(self, indexes, grads):
        if self.axes is None:
            return transpose(grads[0]),
        ndim = len(self.axes)
        return transpose(grads[0], tuple(np.argsort([axis % ndim for axis in self.axes]))),


def reshape(x, shape):
    """Return the same values in another shape; one length may be -1 and follows from the rest.

    Raises:
        InvalidType: the number of elements differs.
    """
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    return as_result(x) if x.shape == shape else Reshape(shape).apply((x,))[0]


def transpose(x, axes=None):
    """Permute the axes: axis i of the result is axis ``axes[i]`` of ``x``; None reverses them.

    Raises:
        InvalidType: ``axes`` is no permutation.
    """
    if isinstance(axes, int):
        axes = (axes,)
    return Transpose(axes if axes is None else tuple(axes)).apply((x,))[0]

"""Dropout: random zeros while training."""
from minichain.autograd import Primitive, as_result
from minichain.backend import get_array_module
from minichain.configuration import config
from minichain.errors import InvalidArgument
from minichain.gpu import dropout as by_kernels
from minichain.gpu.dispatch import fused
from minichain.type_check import expect_float, expect_shape, refuse_former


class Dropout(Primitive):
    """Multiplication by a mask that is drawn here, or given to make a draw repeatable."""

    def __init__(self, ratio, mask=None):
        self.ratio, self.mask = ratio, mask

    def check_type_forward(self, in_types):
        expect_float('dropout', x=in_types[0])
        if self.mask is not None:
            expect_shape('dropout', in_types[0].shape, mask=self.mask)

    def forward(self, arrays):
        x, = arrays
        if self.mask is None:
            self.mask = draw_mask(x, self.ratio)
        return x * self.mask,

    def backward(self, indexes, grads):
        return Dropout(self.ratio, self.mask).apply(grads)


@fused(by_kernels.draw_mask)
def draw_mask(x, ratio):
    """Return the factors for ``x``: 0 with probability ``ratio``, else 1 / (1 - ratio)."""
    scale = x.dtype.type(1 / (1 - ratio))
    return scale * (get_array_module(x).random.rand(*x.shape) >= ratio)


def dropout(x, ratio=.5, *, mask=None, return_mask=False, **former):
    """Set elements to 0 with probability ``ratio`` and scale the others by 1 / (1 - ratio).

    Does nothing unless ``config.train`` is true.

    Args:
        x: any shape, float.
        ratio: probability of a zero, 0 <= ratio < 1.
        mask: factors to use instead of drawing them, same shape and dtype as ``x``.
        return_mask: also return the factors (None when not training).
    Raises:
        InvalidArgument: ``ratio`` is out of range.
    Srivastava et al. 2014, "Dropout", JMLR 15.
    """
    if former:
        refuse_former('dropout', former)
    if not 0 <= ratio < 1:
        raise InvalidArgument(f'dropout: 0 <= ratio < 1 expected, got {ratio}')
    if not config.train:
        return (as_result(x), None) if return_mask else as_result(x)
    function = Dropout(ratio, mask)
    y, = function.apply((x,))
    return (y, function.mask) if return_mask else y

"""Huber's loss: quadratic for small differences, linear for large ones."""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidArgument
from minichain.functions._loss import expect_alike, expect_choice
from minichain.functions.clip import clip
from minichain.functions.sum import sum


class HuberLoss(Primitive):
    def __init__(self, delta):
        self.delta = delta

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        x, t = arrays
        size = abs(x - t)
        quadratic = get_array_module(x).minimum(size, self.delta)
        return quadratic * (size - quadratic / 2),

    def backward(self, indexes, grads):
        x, t = self.get_retained_inputs()
        gx = grads[0] * clip(x - t, -self.delta, self.delta)
        return gx, -gx


def huber_loss(x, t, delta, reduce='sum_along_second_axis'):
    """a ** 2 / 2 where |a| < delta, else delta (|a| - delta / 2), with a = x - t.

    Args:
        x, t: float, one shape and dtype, (N, K, ...).
        delta: where the loss becomes linear, > 0.
        reduce: 'sum_along_second_axis', or 'no' for the loss of every element.
    Returns:
        (N, ...), or the shape of ``x``.
    Raises:
        InvalidType: shapes or dtypes differ, or there is no second axis.
        InvalidArgument: unknown ``reduce``, or ``delta`` is not positive.
    Huber 1964, "Robust estimation of a location parameter", doi:10.1214/aoms/1177703732.
    """
    expect_choice('huber_loss', 'reduce', reduce, ('sum_along_second_axis', 'no'))
    if not delta > 0:
        raise InvalidArgument(f'huber_loss: delta > 0 expected, got {delta}')
    losses, = HuberLoss(delta).apply(expect_alike('huber_loss', x=x, t=t))
    return losses if reduce == 'no' else sum(losses, axis=1)

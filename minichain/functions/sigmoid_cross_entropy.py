"""Cross entropy of sigmoid(x) against labels 0 and 1, stable for scores of any size."""
from minichain.autograd import Primitive, as_array
from minichain.backend import get_array_module
from minichain.functions._axis import sum_dtype
from minichain.functions._loss import expect_choice
from minichain.functions.sigmoid import sigmoid
from minichain.type_check import expect_float, expect_integer, expect_same_module, expect_shape

LABEL = 'sigmoid_cross_entropy'


class SigmoidCrossEntropy(Primitive):
    """Losses times ``weights``, an array of x's shape that is 0 where labels are ignored."""

    label = LABEL

    def __init__(self, t, weights, add_up):
        self.t, self.weights, self.add_up = t, weights, add_up

    def check_type_forward(self, in_types):
        expect_float(LABEL, x=in_types[0])
        expect_shape(LABEL, in_types[0].shape, t=self.t)

    def forward(self, arrays):
        self.retain_inputs((0,))
        x, = arrays
        xp = get_array_module(x)
        losses = xp.log1p(xp.exp(-abs(x)))
        losses += xp.maximum(x, 0)
        losses = (losses - x * self.t) * self.weights
        return (losses.sum() if self.add_up else losses).astype(x.dtype),

    def backward(self, indexes, grads):
        x, = self.get_retained_inputs()
        return (sigmoid(x) - self.t) * self.weights * grads[0],


def sigmoid_cross_entropy(x, t, normalize=True, reduce='mean'):
    """Negative log likelihood of binary labels:  log(1 + exp(x)) - x t, in nats.

    Args:
        x: scores before the sigmoid, any shape, float.
        t: labels 0 and 1, or -1 for those to be ignored; the shape of ``x``, integer.
        normalize: the mean is over all labels that are not ignored, else the sum over len(x).
        reduce: 'mean', or 'no' for the loss of every label.
    Returns:
        a number, shape (), 0 if all labels are ignored; or the losses, the shape of ``x``.
    Raises:
        InvalidType: ``t`` is not integer, or has another shape than ``x``.
        InvalidArgument: unknown ``reduce``.
    """
    expect_choice(LABEL, 'reduce', reduce, ('mean', 'no'))
    t = as_array(t)
    expect_same_module(LABEL, (as_array(x), t))
    expect_integer(LABEL, t=t)
    xp, dtype = get_array_module(x), sum_dtype(x.dtype)
    kept = t != -1
    weights = kept.astype(dtype)
    if reduce == 'mean':
        weights /= xp.maximum(kept.sum(), 1).astype(dtype) if normalize else max(1, len(x))
    return SigmoidCrossEntropy(t.astype(x.dtype), weights, reduce == 'mean').apply((x,))[0]

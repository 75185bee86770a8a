"""The hinge loss of support vector machines, one class against the rest."""
from minichain.autograd import as_array, as_variable
from minichain.backend import get_array_module
from minichain.functions._loss import expect_choice, expect_labels, mean
from minichain.functions.relu import relu
from minichain.type_check import (
    expect_float,
    expect_integer,
    expect_ndim,
    expect_same_module,
    expect_shape,
)


def hinge(x, t, norm='L1', reduce='mean'):
    """max(0, 1 - s x) ** p, with s = 1 for the class of the label and -1 for all others.

    Args:
        x: scores, (N, K), float.
        t: labels from 0 to K - 1, (N,), integer.
        norm: 'L1' for p = 1, 'L2' for p = 2.
        reduce: 'mean', the sum over N, or 'no' for the loss of every score.
    Returns:
        a number, shape (), or the losses, (N, K).
    Raises:
        InvalidType: shapes or dtypes do not fit, or a label is out of range.
        InvalidArgument: unknown ``norm`` or ``reduce``.
    """
    expect_choice('hinge', 'norm', norm, ('L1', 'L2'))
    expect_choice('hinge', 'reduce', reduce, ('mean', 'no'))
    x, t = as_variable(x), as_array(t)
    expect_same_module('hinge', (x.array, t))
    expect_float('hinge', x=x)
    expect_ndim('hinge', 2, x=x)
    expect_integer('hinge', t=t)
    expect_shape('hinge', x.shape[:1], t=t)
    expect_labels('hinge', t, x.shape[1])
    xp = get_array_module(x)
    signs = xp.ones(x.shape, x.dtype)
    signs[xp.arange(len(t)), t] = -1
    losses = relu(x * signs + 1)
    if norm == 'L2':
        losses = losses * losses
    return losses if reduce == 'no' else mean(losses, len(x))

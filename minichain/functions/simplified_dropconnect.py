"""An affine map some of whose weights are 0 at random."""
import math

from minichain.autograd import as_array, as_variable
from minichain.backend import get_array_module
from minichain.configuration import config
from minichain.errors import InvalidArgument
from minichain.functions.linear import linear
from minichain.functions.matmul import matmul
from minichain.functions.reshape import reshape
from minichain.type_check import expect_ndim, expect_same_dtype, expect_shape


def simplified_dropconnect(x, W, b=None, ratio=.5, train=True, mask=None,
                           use_batchwise_mask=True):
    """y = x (m W)^T / (1 - ratio) + b, where the mask m is 0 with probability ``ratio``.

    It is ``linear`` unless ``train`` and ``config.train`` are true.

    Args:
        x: (N, I...), float; axes after the first are flattened to I.
        W: (O, I), same dtype.
        b: (O,), same dtype, or None.
        ratio: probability of a zero, 0 <= ratio < 1.
        train: whether to drop weights.
        mask: bool array to use instead of drawing it, False where weights are dropped.
        use_batchwise_mask: a mask for every sample, (N, O, I), not one for all, (O, I).
    Returns:
        (N, O).
    Raises:
        InvalidType: shapes or dtypes do not fit.
        InvalidArgument: ``ratio`` is out of range.
    Wan et al. 2013, "Regularization of neural networks using DropConnect", ICML.
    """
    label = 'simplified_dropconnect'
    if not 0 <= ratio < 1:
        raise InvalidArgument(f'{label}: 0 <= ratio < 1 expected, got {ratio}')
    if not (train and config.train):
        return linear(x, W, b)
    x, W = reshape(as_variable(x), (len(x), math.prod(x.shape[1:]))), as_variable(W)
    expect_ndim(label, 2, W=W)
    expect_same_dtype(label, x=x, W=W)
    expect_shape(label, (None, W.shape[1]), x=x)
    shape = (len(x), *W.shape) if use_batchwise_mask else W.shape
    if mask is None:
        mask = get_array_module(x).random.rand(*shape) >= ratio
    mask = as_array(mask)
    expect_shape(label, shape, mask=mask)
    W = W * (mask.astype(x.dtype) * (1 / (1 - ratio)))
    if not use_batchwise_mask:
        return linear(x, W, b)
    y = reshape(matmul(W, reshape(x, (*x.shape, 1))), (len(x), W.shape[1]))
    return y if b is None else y + b

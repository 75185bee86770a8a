"""BlackOut: a softmax over the label and a sample of other classes, for large vocabularies."""
from minichain.autograd import as_array, as_variable
from minichain.functions._loss import expect_choice, expect_labels, reduced
from minichain.functions.concat import concat
from minichain.functions.exponential import exp, log1p
from minichain.functions.get_item import get_item
from minichain.functions.matmul import matmul
from minichain.functions.reshape import reshape
from minichain.functions.softmax import log_softmax
from minichain.functions.sum import sum
from minichain.type_check import expect_float, expect_integer, expect_ndim, expect_shape


def black_out(x, t, W, samples, reduce='mean'):
    """-log p_0 - sum log(1 - p_k), with p the softmax of x W^T at the label (0) and the samples.

    Args:
        x: (N, D), float.
        t: labels, (N,), integer.
        W: one row for each class, (V, D), same dtype as ``x``.
        samples: other classes, (N, K), integer.
        reduce: 'mean', or 'no' for the loss of every row, (N,).
    Raises:
        InvalidType: shapes or dtypes do not fit, or ``W`` has no such row.
        InvalidArgument: unknown ``reduce``.
    Ji et al. 2015, "BlackOut: speeding up recurrent neural network language models with very
    large vocabularies", arXiv:1511.06909.
    """
    expect_choice('black_out', 'reduce', reduce, ('mean', 'no'))
    t, samples, W = as_array(t), as_array(samples), as_variable(W)
    expect_ndim('black_out', 2, x=x, W=W, samples=samples)
    expect_float('black_out', x=x)
    expect_shape('black_out', (len(x), W.shape[1]), x=x)
    expect_integer('black_out', t=t, samples=samples)
    expect_shape('black_out', (len(x),), t=t)
    expect_shape('black_out', (len(x), None), samples=samples)
    for classes in (t, samples):
        expect_labels('black_out', classes, len(W))
    rows = concat((get_item(W, t[:, None]), get_item(W, samples)))   # (N, 1 + K, D)
    log_p = log_softmax(reshape(matmul(rows, reshape(x, (*x.shape, 1))), rows.shape[:2]))
    others = log_p[:, 1:]
    return reduced(-log_p[:, 0] - sum(log1p(-exp(others)), axis=1), reduce)

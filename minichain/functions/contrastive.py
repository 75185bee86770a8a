"""Losses that pull alike samples together and push others apart: contrastive and triplet."""
from minichain.autograd import as_array
from minichain.errors import InvalidArgument
from minichain.functions._loss import expect_alike, expect_choice, reduced
from minichain.functions.power import sqrt
from minichain.functions.relu import relu
from minichain.functions.sum import sum
from minichain.type_check import expect_integer, expect_ndim, expect_shape


def _expect(label, margin, reduce, **operands):
    expect_choice(label, 'reduce', reduce, ('mean', 'no'))
    if not margin > 0:
        raise InvalidArgument(f'{label}: margin > 0 expected, got {margin}')
    expect_ndim(label, 2, **operands)
    return expect_alike(label, **operands)


def _squared_distance(x, y):
    difference = x - y
    return sum(difference * difference, axis=1)


def contrastive(x0, x1, y, margin=1, reduce='mean'):
    """(y d ** 2 + (1 - y) max(margin - d, 0) ** 2) / 2, with d the Euclidean distance of rows.

    Args:
        x0, x1: (N, K), float, one dtype.
        y: 1 for pairs that are alike, 0 for others, (N,), integer.
        margin: distance from which others are far enough, > 0.
        reduce: 'mean', or 'no' for the loss of every pair, (N,).
    Raises:
        InvalidType: shapes or dtypes do not fit.
        InvalidArgument: unknown ``reduce``, or ``margin`` is not positive.
    Hadsell et al. 2006, "Dimensionality reduction by learning an invariant mapping",
    doi:10.1109/CVPR.2006.100.
    """
    x0, x1 = _expect('contrastive', margin, reduce, x0=x0, x1=x1)
    y = as_array(y)
    expect_integer('contrastive', y=y)
    expect_shape('contrastive', x0.shape[:1], y=y)
    squared = _squared_distance(x0, x1)
    zero = (squared.array == 0).astype(x0.dtype)   # where the root has no slope: sqrt(1) - 1
    gap = relu(margin - (sqrt(squared + zero) - zero))
    alike = y.astype(x0.dtype)
    return reduced((squared * alike + gap * gap * (1 - alike)) / 2, reduce)


def triplet(anchor, positive, negative, margin=0.2, reduce='mean'):
    """max(0, |anchor - positive| ** 2 - |anchor - negative| ** 2 + margin), by rows.

    Args:
        anchor, positive, negative: (N, K), float, one dtype.
        margin: by how much the negative sample should be farther than the positive one, > 0.
        reduce: 'mean', or 'no' for the loss of every triplet, (N,).
    Raises:
        InvalidType: shapes or dtypes differ.
        InvalidArgument: unknown ``reduce``, or ``margin`` is not positive.
    Schroff et al. 2015, "FaceNet", arXiv:1503.03832.
    """
    anchor, positive, negative = _expect('triplet', margin, reduce, anchor=anchor,
                                         positive=positive, negative=negative)
    return reduced(relu(_squared_distance(anchor, positive) - _squared_distance(anchor, negative)
                        + margin), reduce)

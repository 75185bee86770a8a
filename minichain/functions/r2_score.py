"""The coefficient of determination."""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidArgument
from minichain.functions._loss import expect_alike, expect_choice


class R2Score(Primitive):
    def __init__(self, multioutput):
        self.multioutput = multioutput

    def forward(self, arrays):
        pred, true = arrays
        xp = get_array_module(pred)
        residual = ((pred - true) ** 2).sum(axis=0)
        total = ((true - true.mean(axis=0)) ** 2).sum(axis=0)
        scores = xp.where(total == 0, 0, 1 - residual / xp.where(total == 0, 1, total))
        return (scores if self.multioutput == 'raw_values' else scores.mean()).astype(pred.dtype),


def r2_score(pred, true, sample_weight=None, multioutput='uniform_average'):
    """1 - sum (pred - true) ** 2 / sum (true - mean) ** 2, the share of variance explained.

    Args:
        pred, true: (N, ...), float, one shape and dtype.
        sample_weight: must be None.
        multioutput: 'uniform_average' of all outputs, or 'raw_values', one for each.
    Returns:
        a number, shape (), or (...); 0 where ``true`` does not vary. No gradient flows.
    Raises:
        InvalidType: shapes or dtypes differ.
        InvalidArgument: ``sample_weight`` is given, or unknown ``multioutput``.
    """
    expect_choice('r2_score', 'multioutput', multioutput, ('uniform_average', 'raw_values'))
    if sample_weight is not None:
        raise InvalidArgument('r2_score: sample_weight None expected; weights are not supported')
    return R2Score(multioutput).apply(expect_alike('r2_score', pred=pred, true=true))[0]

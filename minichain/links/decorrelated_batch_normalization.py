"""Batch normalization that also makes features uncorrelated."""
import numpy as np

from minichain.configuration import config, get_dtype
from minichain.errors import InvalidArgument
from minichain.functions.decorrelated_batch_normalization import (
    decorrelated_batch_normalization,
    fixed_decorrelated_batch_normalization,
)
from minichain.link import Link


class DecorrelatedBatchNormalization(Link):
    """y = (cov + eps) ** (-1 / 2) (x - mean), by groups of features.

    While training, statistics are those of the batch, and the averages follow them. Otherwise
    (``config.train`` False) they are the averages.

    Args:
        size: C, number of features, x.shape[1].
        groups: number G of groups, a divisor of C; each of K = C / G features.
        decay: weight of the past in the averages.
        eps: added to the diagonal of the covariance.
        dtype: of the averages.
    Attributes:
        avg_mean: (G, K). avg_projection: (G, K, K). Both are saved with the link.
        N: how many batches were seen since fine tuning began.
    Raises:
        InvalidArgument: ``groups`` does not divide ``size``.
    Huang et al. 2018, "Decorrelated batch normalization", arXiv:1804.08450.
    """

    def __init__(self, size, groups=16, decay=.9, eps=2e-5, dtype=np.float32):
        super().__init__()
        if groups < 1 or size % groups:
            raise InvalidArgument('DecorrelatedBatchNormalization: groups that divide size '
                                  f'{size} expected, got {groups}')
        self.decay, self.eps, self.groups = decay, eps, groups
        width, dtype = size // groups, get_dtype(dtype)
        self.add_persistent('avg_mean', np.zeros((groups, width), dtype))
        self.add_persistent('avg_projection', np.zeros((groups, width, width), dtype)
                            + np.eye(width, dtype=dtype))
        self.add_persistent('N', 0)

    def start_finetuning(self):
        """From now on, calls with ``finetune=True`` average over all batches alike."""
        self.N = 0

    def forward(self, x, finetune=False):
        """Whiten x (N, C, ...) -> the same shape.

        Args:
            finetune: average the statistics over all batches since ``start_finetuning`` alike.
        """
        if not config.train:
            return fixed_decorrelated_batch_normalization(x, self.avg_mean, self.avg_projection,
                                                          self.groups)
        self.N += int(finetune)
        return decorrelated_batch_normalization(
            x, groups=self.groups, eps=self.eps, running_mean=self.avg_mean,
            running_projection=self.avg_projection,
            decay=1 - 1 / self.N if finetune else self.decay)

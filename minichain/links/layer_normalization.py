"""Normalization of each row, and of groups of channels."""
from minichain.functions.layer_normalization import group_normalization, layer_normalization
from minichain.link import Link
from minichain.variable import Parameter


class _Normalization(Link):
    """Scale gamma and shift beta, one number for each of ``size`` features."""

    def __init__(self, size, eps, initial_gamma, initial_beta):
        super().__init__()
        self.eps = eps
        with self.init_scope():
            self.gamma = Parameter(1 if initial_gamma is None else initial_gamma)
            self.beta = Parameter(0 if initial_beta is None else initial_beta)
        if size is not None:
            self._initialize_params(size)

    def _initialize_params(self, size):
        self.gamma.initialize(size)
        self.beta.initialize(size)

    def _expect_params(self, x):
        if self.gamma.array is None:
            self._initialize_params(x.shape[1])


class LayerNormalization(_Normalization):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, with mean and variance of each row.

    Args:
        size: K, the length of a row; None takes it from the first data.
        eps: keeps the divisor from 0.
        initial_gamma, initial_beta: initializers of gamma (None: 1) and beta (None: 0).
    Attributes:
        gamma, beta: (K,).
    Ba et al. 2016, "Layer normalization", arXiv:1607.06450.
    """

    def __init__(self, size=None, eps=1e-6, initial_gamma=None, initial_beta=None):
        super().__init__(size, eps, initial_gamma, initial_beta)

    def forward(self, x):
        """Normalize rows x (N, K) -> (N, K)."""
        self._expect_params(x)
        return layer_normalization(x, self.gamma, self.beta, self.eps)


class GroupNormalization(_Normalization):
    """y = gamma (x - mean) / sqrt(var + eps) + beta, with statistics of groups of channels.

    Args:
        groups: number of groups, a divisor of C.
        size: C, the number of channels; None takes it from the first data.
        eps: keeps the divisor from 0.
        initial_gamma, initial_beta: initializers of gamma (None: 1) and beta (None: 0).
    Attributes:
        gamma, beta: (C,).
    Wu, He 2018, "Group normalization", arXiv:1803.08494.
    """

    def __init__(self, groups, size=None, eps=1e-5, initial_gamma=None, initial_beta=None):
        super().__init__(size, eps, initial_gamma, initial_beta)
        self.groups = groups

    def forward(self, x):
        """Normalize x (N, C, ...) -> the same shape."""
        self._expect_params(x)
        return group_normalization(x, self.groups, self.gamma, self.beta, self.eps)

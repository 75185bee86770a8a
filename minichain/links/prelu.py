"""Activations with trained parameters: parametric ReLU and Swish."""
from minichain.functions.relu import prelu
from minichain.functions.sigmoid import swish
from minichain.link import Link
from minichain.variable import Parameter


class PReLU(Link):
    """max(x, 0) + W min(x, 0), with a trained slope W.

    Args:
        shape: of W, which spans the axes of x behind the first; () is one slope for all.
        init: initializer of W.
    Attributes:
        W: parameter of ``shape``.
    He et al. 2015, "Delving deep into rectifiers", arXiv:1502.01852.
    """

    def __init__(self, shape=(), init=.25):
        super().__init__()
        with self.init_scope():
            self.W = Parameter(init, shape)

    def forward(self, x):
        """Apply to x (N, ...) -> the same shape."""
        return prelu(x, self.W)


class Swish(Link):
    """x sigmoid(beta x), with a trained beta.

    Args:
        beta_shape: of beta, which spans the axes of x behind the first; None is all of them.
        beta_init: initializer of beta.
    Attributes:
        beta: parameter of ``beta_shape``.
    Ramachandran et al. 2017, "Searching for activation functions", arXiv:1710.05941.
    """

    def __init__(self, beta_shape, beta_init=1.):
        super().__init__()
        with self.init_scope():
            self.beta = Parameter(beta_init, beta_shape)

    def forward(self, x):
        """Apply to x (N, ...) -> the same shape."""
        if self.beta.array is None:
            self.beta.initialize(x.shape[1:])
        return swish(x, self.beta)

"""A fully connected layer that drops weights while training."""
import math

from minichain import initializers
from minichain.functions.simplified_dropconnect import simplified_dropconnect
from minichain.link import Link
from minichain.variable import Parameter


class SimplifiedDropconnect(Link):
    """y = x (m W)^T / (1 - ratio) + b, where the mask m is 0 with probability ``ratio``.

    Args:
        in_size: I, the length of a row; None takes it from the first data.
        out_size: O.
        ratio: probability of a zero.
        nobias: leave b out.
        initialW: initializer of W; None is LeCunNormal.
        initial_bias: initializer of b; None is 0.
    Attributes:
        W: (O, I). b: (O,) or None.
    Wan et al. 2013, "Regularization of neural networks using DropConnect", ICML.
    """

    def __init__(self, in_size, out_size, ratio=.5, nobias=False, initialW=None,
                 initial_bias=None):
        super().__init__()
        self.out_size, self.ratio = out_size, ratio
        with self.init_scope():
            self.W = Parameter(initializers.get_initializer(initialW))
            self.b = None if nobias else Parameter(
                0 if initial_bias is None else initial_bias, out_size)
        if in_size is not None:
            self._initialize_params(in_size)

    def _initialize_params(self, in_size):
        self.W.initialize((self.out_size, in_size))

    def forward(self, x, train=True, mask=None, use_batchwise_mask=True):
        """Apply to x (N, I...) -> (N, O); see ``functions.simplified_dropconnect``.

        Args:
            x: axes after the first are flattened.
            train: whether to drop weights, if ``config.train`` is true too.
            mask: bool array to use instead of drawing it.
            use_batchwise_mask: a mask for every sample, not one for all.
        """
        if self.W.array is None:
            self._initialize_params(math.prod(x.shape[1:]))
        return simplified_dropconnect(x, self.W, self.b, self.ratio, train, mask,
                                      use_batchwise_mask)

"""A fully connected layer with a way around it."""
from minichain.chain import Chain
from minichain.functions.relu import relu
from minichain.functions.sigmoid import sigmoid
from minichain.links.linear import Linear


class Highway(Chain):
    """y = t activate(plain(x)) + (1 - t) x,  t = sigmoid(transform(x)).

    Args:
        in_out_size: width of x and y.
        nobias: leave the biases out.
        activate: function.
        init_Wh, init_bh: initializers of W and b of ``plain``; None is LeCunNormal and 0.
        init_Wt, init_bt: initializers of W and b of ``transform``; -1 lets most of x pass.
    Attributes:
        plain, transform: Linear.
    Srivastava et al. 2015, "Highway networks", arXiv:1505.00387.
    """

    def __init__(self, in_out_size, nobias=False, activate=relu, init_Wh=None, init_Wt=None,
                 init_bh=None, init_bt=-1):
        super().__init__()
        self.activate = activate
        with self.init_scope():
            self.plain = Linear(in_out_size, in_out_size, nobias, init_Wh, init_bh)
            self.transform = Linear(in_out_size, in_out_size, nobias, init_Wt, init_bt)

    def forward(self, x):
        """Apply to x (N, in_out_size) -> the same shape."""
        t = sigmoid(self.transform(x))
        return self.activate(self.plain(x)) * t + x * (1 - t)

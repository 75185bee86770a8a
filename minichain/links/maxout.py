"""A fully connected layer that keeps the largest of several outputs."""
from minichain import backend
from minichain.chain import Chain
from minichain.errors import InvalidArgument
from minichain.functions.maxout import maxout
from minichain.links.linear import Linear


class Maxout(Chain):
    """y_i = max over j of (x W^T + b)_ij.

    Args:
        in_size: width of x; None takes it from the first data.
        out_size: width of y.
        pool_size: how many outputs compete for each place.
        initialW: initializer of W; an array is (out_size, pool_size, in_size); None is
            LeCunNormal.
        initial_bias: initializer of b; an array is (out_size, pool_size); None leaves b out.
    Attributes:
        linear: Linear, with out_size * pool_size outputs.
    Raises:
        InvalidArgument: an array of another number of axes.
    Goodfellow et al. 2013, "Maxout networks", arXiv:1302.4389.
    """

    def __init__(self, in_size, out_size, pool_size, initialW=None, initial_bias=0):
        super().__init__()
        self.out_size, self.pool_size = out_size, pool_size
        rows = out_size * pool_size
        initialW = _flat('initialW', initialW, 3, (rows, in_size))
        initial_bias = _flat('initial_bias', initial_bias, 2, (rows,))
        with self.init_scope():
            self.linear = Linear(in_size, rows, initial_bias is None, initialW, initial_bias)

    def forward(self, x):
        """Apply to x (N, in_size) -> (N, out_size)."""
        return maxout(self.linear(x), self.pool_size)


def _flat(name, initial, ndim, shape):
    if not backend.is_array(initial) or initial.ndim == 0:
        return initial
    if initial.ndim != ndim:
        raise InvalidArgument(f'Maxout: {name} with {ndim} axes expected, got {initial.shape}')
    return initial.reshape(shape)

"""A fully connected layer."""
from minichain import initializers
from minichain.autograd import as_array
from minichain.functions.linear import linear
from minichain.initializer import get_initializer
from minichain.link import Link
from minichain.variable import Parameter


class Linear(Link):
    """Affine map of rows:  y = x W^T + b.

    Args:
        in_size: I, the length of a row; None takes it from the first data. ``Linear(n)`` means
            ``Linear(None, n)``.
        out_size: O.
        nobias: leave b out.
        initialW: initializer of W; None is LeCunNormal.
        initial_bias: initializer of b; None is 0.
    Attributes:
        W: (O, I). b: (O,) or None.
    """

    def __init__(self, in_size, out_size=None, nobias=False, initialW=None, initial_bias=None):
        super().__init__()
        if out_size is None:
            in_size, out_size = None, in_size
        self.in_size, self.out_size = in_size, out_size
        with self.init_scope():
            self.W = Parameter(get_initializer(
                initialW, initializers.LeCunNormal()))
            self.b = None if nobias else Parameter(
                0 if initial_bias is None else initial_bias, out_size)
        if in_size is not None:
            self._initialize_params(in_size)

    @classmethod
    def from_params(cls, W, b=None, nobias=False):
        """Return a layer with given weights W (O, I) and bias b (O,), None: 0."""
        return cls(W.shape[1], W.shape[0], nobias, as_array(W), as_array(b))

    def _initialize_params(self, in_size):
        self.W.initialize((self.out_size, in_size))

    @property
    def printable_specs(self):
        return (('in_size', self.in_size), ('out_size', self.out_size),
                ('nobias', self.b is None))

    def forward(self, x, n_batch_axes=1):
        """Apply the layer.

        Args:
            x: (N..., I...); the axes behind the batch axes are flattened.
            n_batch_axes: number of leading axes that are kept.
        Returns:
            (N..., O).
        """
        if self.W.array is None:
            in_size = 1
            for length in x.shape[n_batch_axes:]:
                in_size *= length
            self._initialize_params(in_size)
        return linear(x, self.W, self.b, n_batch_axes)

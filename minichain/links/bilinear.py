"""A layer that is linear in each of two inputs."""
from minichain import initializers
from minichain.errors import InvalidArgument
from minichain.functions.bilinear import bilinear
from minichain.link import Link
from minichain.variable import Parameter


class Bilinear(Link):
    """y_l = sum_jk e1_j e2_k W_jkl + (e1 V1)_l + (e2 V2)_l + b_l, row by row.

    Args:
        left_size, right_size, out_size: J, K, L: widths of e1, e2 and y.
        nobias: leave V1, V2 and b out.
        initialW: initializer of W; None is LeCunNormal.
        initial_bias: initializers of V1, V2 and b, as a tuple; None is LeCunNormal for V1 and V2
            and 0 for b.
    Attributes:
        W: (J, K, L). V1: (J, L), V2: (K, L), b: (L,), or None.
    Raises:
        InvalidArgument: ``initial_bias`` is no tuple of three.
    """

    def __init__(self, left_size, right_size, out_size, nobias=False, initialW=None,
                 initial_bias=None):
        super().__init__()
        initial_bias = (None, None, 0) if initial_bias is None else initial_bias
        if not isinstance(initial_bias, tuple) or len(initial_bias) != 3:
            raise InvalidArgument('Bilinear: initial_bias as a tuple of initializers of V1, V2 '
                                  f'and b expected, got {initial_bias!r}')
        self.in_sizes, self.nobias = (left_size, right_size), nobias
        self.V1 = self.V2 = self.b = None
        with self.init_scope():
            self.W = Parameter(initializers.get_initializer(initialW),
                               (left_size, right_size, out_size))
            if not nobias:
                V1, V2, b = map(initializers.get_initializer, initial_bias)
                self.V1 = Parameter(V1, (left_size, out_size))
                self.V2 = Parameter(V2, (right_size, out_size))
                self.b = Parameter(b, out_size)

    def forward(self, e1, e2):
        """Combine e1 (N, J) and e2 (N, K) -> (N, L); axes after the first are flattened."""
        return bilinear(e1, e2, self.W, self.V1, self.V2, self.b)

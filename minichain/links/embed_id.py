"""A table with a trained row for every id."""
from minichain import initializers
from minichain.autograd import as_array
from minichain.functions.embed_id import embed_id
from minichain.initializer import get_initializer
from minichain.link import Link
from minichain.variable import Parameter


class EmbedID(Link):
    """Rows of a trained table, picked by integer ids.

    Args:
        in_size: V, the number of ids.
        out_size: E, the length of a row.
        initialW: initializer of W; None is Normal(1).
        ignore_label: the id whose result is zeros and that gets no gradient; None: there is none.
    Attributes:
        W: (V, E).
    """

    def __init__(self, in_size, out_size, initialW=None, ignore_label=None):
        super().__init__()
        self.ignore_label = ignore_label
        with self.init_scope():
            self.W = Parameter(get_initializer(
                initialW, initializers.Normal(1.)), (in_size, out_size))

    @classmethod
    def from_params(cls, W, ignore_label=None):
        """Return a table with given rows W (V, E)."""
        return cls(*W.shape, as_array(W), ignore_label)

    @property
    def printable_specs(self):
        return (('in_size', self.W.shape[0]), ('out_size', self.W.shape[1]),
                ('ignore_label', self.ignore_label))

    def forward(self, x):
        """Return the rows of ids ``x``, integers of any shape: x.shape + (E,)."""
        return embed_id(x, self.W, self.ignore_label)

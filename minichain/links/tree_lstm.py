"""LSTM layers for the nodes of a tree."""
from functools import reduce
from operator import add

from minichain.autograd import as_variable
from minichain.chain import Chain
from minichain.errors import InvalidArgument, InvalidType
from minichain.functions.concat import concat
from minichain.functions.tree_lstm import tree_lstm
from minichain.links.linear import Linear


class _TreeLSTM(Chain):
    """Inputs of a node: the cell states and the outputs of its children, and x."""

    def _children_of(self, cshsx, n_ary=None):
        """Return (cs, hs, x); None becomes zeros."""
        *states, x = cshsx
        if not states or len(states) % 2 or (n_ary is not None and len(states) != 2 * n_ary):
            wanted = 'one or more' if n_ary is None else n_ary
            raise InvalidType(f'{type(self).__name__}: states c of {wanted} children, as many h, '
                              f'then x expected, got {len(cshsx)} arguments')
        zeros = self.xp.zeros((x.shape[0], self.state_size), x.dtype)
        states = [as_variable(zeros if state is None else state) for state in states]
        middle = len(states) // 2
        return states[:middle], states[middle:], x


class ChildSumTreeLSTM(_TreeLSTM):
    """A node with any number of children, whose order does not matter.

    a, i, o see the sum of the children's outputs, each child's forget gate f_k its own output;
    see ``functions.tree_lstm``.

    Args:
        in_size: I, the width of x; None takes it from the first data.
        out_size: H, the width of states.
    Attributes:
        W_x: Linear(I, 4H). W_h_aio: Linear(H, 3H) and W_h_f: Linear(H, H), without bias.
    Tai et al. 2015, "Improved semantic representations from tree-structured long short-term
    memory networks", arXiv:1503.00075.
    """

    def __init__(self, in_size, out_size):
        super().__init__()
        self.in_size, self.state_size = in_size, out_size
        with self.init_scope():
            self.W_x = Linear(in_size, 4 * out_size)
            self.W_h_aio = Linear(out_size, 3 * out_size, nobias=True)
            self.W_h_f = Linear(out_size, out_size, nobias=True)

    def forward(self, *cshsx):
        """Compute a node: ``link(c_1, ..., c_K, h_1, ..., h_K, x)`` -> (c, h).

        Args:
            cshsx: states of the children, (N, H) each, or None for zeros; x (N, I).
        """
        cs, hs, x = self._children_of(cshsx)
        gates, split = self.W_x(x), 3 * self.state_size
        aio = gates[:, :split] + self.W_h_aio(reduce(add, hs))
        forget = [gates[:, split:] + self.W_h_f(h) for h in hs]
        return tree_lstm(*cs, concat((aio, *forget), axis=1))


class NaryTreeLSTM(_TreeLSTM):
    """A node with a fixed number of children, each with weights of its own.

    See ``functions.tree_lstm``.

    Args:
        in_size: I, the width of x; None takes it from the first data.
        out_size: H, the width of states.
        n_ary: K, the number of children.
    Attributes:
        W_x: Linear(I, (3 + K) H). W_h1 ... W_hK: Linear(H, (3 + K) H) without bias.
    Raises:
        InvalidArgument: ``n_ary`` below 1.
    Tai et al. 2015, "Improved semantic representations from tree-structured long short-term
    memory networks", arXiv:1503.00075.
    """

    def __init__(self, in_size, out_size, n_ary=2):
        if n_ary < 1:
            raise InvalidArgument(f'NaryTreeLSTM: n_ary of at least 1 expected, got {n_ary}')
        super().__init__()
        self.in_size, self.state_size, self.n_ary = in_size, out_size, n_ary
        with self.init_scope():
            self.W_x = Linear(in_size, (3 + n_ary) * out_size)
            for k in range(1, n_ary + 1):
                setattr(self, f'W_h{k}', Linear(out_size, (3 + n_ary) * out_size, nobias=True))

    def forward(self, *cshsx):
        """Compute a node: ``link(c_1, ..., c_K, h_1, ..., h_K, x)`` -> (c, h).

        Args:
            cshsx: states of the children, (N, H) each, or None for zeros; x (N, I).
        """
        cs, hs, x = self._children_of(cshsx, self.n_ary)
        gates = self.W_x(x)
        for k, h in enumerate(hs, 1):
            gates = gates + self[f'W_h{k}'](h)
        return tree_lstm(*cs, gates)

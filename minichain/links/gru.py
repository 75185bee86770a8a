"""Gated recurrent unit layers, by the step."""
from minichain.autograd import as_variable
from minichain.chain import Chain
from minichain.functions.hyperbolic import tanh
from minichain.functions.sigmoid import sigmoid
from minichain.links._hidden_state import HiddenState
from minichain.links.linear import Linear


class GRUBase(Chain):
    """Parameters of a GRU.

    Args:
        in_size: I, the width of the inputs; None takes it from the first data.
        out_size: H, the width of states and outputs.
        init: initializer of the W of inputs; None is LeCunNormal.
        inner_init: initializer of the W of states; None is LeCunNormal.
        bias_init: initializer of all b; None is 0.
    Attributes:
        W_r, W_z, W: Linear(I, H), of the input. U_r, U_z, U: Linear(H, H), of the state.
    """

    def __init__(self, in_size, out_size, init=None, inner_init=None, bias_init=None):
        super().__init__()
        self.state_size = out_size
        with self.init_scope():
            for gate in ('_r', '_z', ''):
                setattr(self, f'W{gate}', Linear(in_size, out_size, initialW=init,
                                                 initial_bias=bias_init))
                setattr(self, f'U{gate}', Linear(out_size, out_size, initialW=inner_init,
                                                 initial_bias=bias_init))

    def _step(self, h, x):
        r, z = (sigmoid(W(x) + U(h)) for W, U in ((self.W_r, self.U_r), (self.W_z, self.U_z)))
        new = tanh(self.W(x) + self.U(r * h))
        return h + z * (new - h)


class StatelessGRU(GRUBase):
    """A GRU whose state the caller keeps; arguments as of GRUBase.

        r = s(W_r x + U_r h),   z = s(W_z x + U_z h),   h' = (1 - z) h + z tanh(W x + U (r h))

    Cho et al. 2014, "On the properties of neural machine translation", arXiv:1409.1259.
    """

    def forward(self, h, x):
        """Compute one step: state h (N, H) and input x (N, I) -> next state (N, H)."""
        return self._step(as_variable(h), x)


class StatefulGRU(HiddenState, GRUBase):
    """A GRU that keeps its state; formula as of StatelessGRU, arguments as of GRUBase.

    The first step after a reset is  h' = s(W_z x) tanh(W x),  without the parts of U.

    Attributes:
        h: output of the last step, (N, H) Variable; None after a reset.
    """

    def __init__(self, in_size, out_size, init=None, inner_init=None, bias_init=0):
        super().__init__(in_size, out_size, init, inner_init, bias_init)
        self.reset_state()

    def forward(self, x):
        """Compute one step of every sequence: x (N, I) -> h (N, H)."""
        if self.h is None:
            self.h = sigmoid(self.W_z(x)) * tanh(self.W(x))
        else:
            self.h = self._step(self.h, x)
        return self.h


class GRU(StatefulGRU):
    """Another name of StatefulGRU."""

"""Minimal gated unit layers, by the step."""
from minichain.autograd import as_variable
from minichain.chain import Chain
from minichain.functions.concat import concat
from minichain.functions.hyperbolic import tanh
from minichain.functions.sigmoid import sigmoid
from minichain.links._hidden_state import HiddenState
from minichain.links.linear import Linear


class MGUBase(Chain):
    """Parameters of a minimal gated unit.

    Args:
        n_inputs: I, the width of the inputs; None takes it from the first data.
        n_units: H, the width of states and outputs.
    Attributes:
        W_f, W_h: Linear(H + I, H), of the state and the input side by side.
    """

    def __init__(self, n_inputs, n_units):
        super().__init__()
        width = None if n_inputs is None else n_inputs + n_units
        with self.init_scope():
            self.W_f = Linear(width, n_units)
            self.W_h = Linear(width, n_units)

    def _step(self, h, x):
        f = sigmoid(self.W_f(concat((h, x), axis=1)))
        new = tanh(self.W_h(concat((f * h, x), axis=1)))
        return h + f * (new - h)


class StatelessMGU(MGUBase):
    """A minimal gated unit whose state the caller keeps; arguments as of MGUBase.

        f = s(W_f [h, x]),   h' = (1 - f) h + f tanh(W_h [f h, x])

    Zhou et al. 2016, "Minimal gated unit for recurrent neural networks", arXiv:1603.09420.
    """

    def forward(self, h, x):
        """Compute one step: state h (N, H) and input x (N, I) -> next state (N, H)."""
        return self._step(as_variable(h), x)


class StatefulMGU(HiddenState, MGUBase):
    """A minimal gated unit that keeps its state; formula as of StatelessMGU.

    Args:
        in_size, out_size: I and H, as of MGUBase.
    Attributes:
        h: output of the last step, (N, H) Variable; None after a reset, which stands for zeros.
    """

    def __init__(self, in_size, out_size):
        super().__init__(in_size, out_size)
        self.state_size = out_size
        self.reset_state()

    def forward(self, x):
        """Compute one step of every sequence: x (N, I) -> h (N, H)."""
        h = self.h
        if h is None:
            h = as_variable(self.xp.zeros((x.shape[0], self.state_size), x.dtype))
        self.h = self._step(h, x)
        return self.h

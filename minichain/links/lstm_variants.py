"""LSTM layers with peepholes, and with zoneout, by the step."""
from minichain.autograd import as_variable
from minichain.chain import Chain
from minichain.functions.hyperbolic import tanh
from minichain.functions.lstm import lstm
from minichain.functions.reshape import reshape
from minichain.functions.sigmoid import sigmoid
from minichain.functions.zoneout import zoneout
from minichain.links.linear import Linear


class _StatefulLSTM(Chain):
    """What both have: parameters without a forget bias, the state, and the gates."""

    def __init__(self, in_size, out_size):
        super().__init__()
        self.state_size = out_size
        self.reset_state()
        with self.init_scope():
            self.upward = Linear(in_size, 4 * out_size)
            self.lateral = Linear(out_size, 4 * out_size, nobias=True)

    def reset_state(self):
        """Forget the state: the next input begins new sequences."""
        self.c = self.h = None

    def set_state(self, c, h):
        """Set the state, both (N, H)."""
        self.c, self.h = as_variable(c), as_variable(h)
        self.device_resident_moved()

    def device_resident_moved(self):
        for state in (self.c, self.h):
            if state is not None:
                state.to_device(self.device)

    def _gates(self, x):
        """Gate inputs of one step, (N, 4H), gates a, i, f, o interleaved."""
        gates = self.upward(x)
        return gates if self.h is None else gates + self.lateral(self.h)

    def _zeros(self, x):
        return as_variable(self.xp.zeros((x.shape[0], self.state_size), x.dtype))


class StatefulPeepholeLSTM(_StatefulLSTM):
    """An LSTM whose gates also see the cell state, and which keeps its state.

        c' = tanh(a) s(i + peep_i c) + c s(f + peep_f c),   h' = s(o + peep_o c') tanh(c')

    Args:
        in_size: I, the width of the inputs; None takes it from the first data.
        out_size: H, the width of states and outputs.
    Attributes:
        upward: Linear(I, 4H), of the input. lateral: Linear(H, 4H) without bias, of the state.
        peep_i, peep_f, peep_o: Linear(H, H) without bias, of the cell state.
        c, h: cell state and output of the last step, (N, H) Variables; None after a reset.
    Gers, Schmidhuber 2000, "Recurrent nets that time and count", doi:10.1109/IJCNN.2000.861302.
    """

    def __init__(self, in_size, out_size):
        super().__init__(in_size, out_size)
        with self.init_scope():
            for gate in 'ifo':
                setattr(self, f'peep_{gate}', Linear(out_size, out_size, nobias=True))

    def forward(self, x):
        """Compute one step of every sequence: x (N, I) -> h (N, H)."""
        gates = reshape(self._gates(x), (x.shape[0], self.state_size, 4))
        a, i, f, o = (gates[:, :, k] for k in range(4))
        c = self._zeros(x) if self.c is None else self.c
        self.c = tanh(a) * sigmoid(i + self.peep_i(c)) + c * sigmoid(f + self.peep_f(c))
        self.h = sigmoid(o + self.peep_o(self.c)) * tanh(self.c)
        return self.h


class StatefulZoneoutLSTM(_StatefulLSTM):
    """An LSTM whose states keep former values at random while training.

    Args:
        in_size: I, the width of the inputs; None takes it from the first data.
        out_size: H, the width of states and outputs.
        c_ratio, h_ratio: probabilities that an element of c and of h keeps its former value.
    Attributes:
        upward: Linear(I, 4H), of the input. lateral: Linear(H, 4H) without bias, of the state.
        c, h: cell state and output of the last step, (N, H) Variables; None after a reset.
    Krueger et al. 2016, "Zoneout", arXiv:1606.01305.
    """

    def __init__(self, in_size, out_size, c_ratio=.5, h_ratio=.5):
        super().__init__(in_size, out_size)
        self.c_ratio, self.h_ratio = c_ratio, h_ratio

    def forward(self, x):
        """Compute one step of every sequence: x (N, I) -> h (N, H)."""
        former = [self._zeros(x) if state is None else state for state in (self.c, self.h)]
        c, h = lstm(former[0], self._gates(x))
        self.c = zoneout(former[0], c, self.c_ratio)
        self.h = zoneout(former[1], h, self.h_ratio)
        return self.h

"""Long short-term memory layers, by the step and by the packed sequence."""
import functools

import numpy as np

from minichain import initializers
from minichain.autograd import as_variable
from minichain.backend import get_device_from_array
from minichain.chain import Chain
from minichain.errors import InvalidType
from minichain.functions.concat import concat
from minichain.functions.linear import linear
from minichain.functions.lstm import lstm
from minichain.functions.lstm_sequence import lstm_sequence
from minichain.functions.permutate import Permutate
from minichain.initializer import generate_array, get_initializer
from minichain.links.linear import Linear


class LSTMBase(Chain):
    """Parameters of an LSTM with forget gate; rows of W and b interleave gates a, i, f, o.

    Args:
        in_size: I, the width of the inputs; None takes it from the first data. ``LSTM(n)`` means
            ``LSTM(None, n)``.
        out_size: H, the width of states and outputs.
        lateral_init, upward_init: initializers of the two W; None is LeCunNormal.
        bias_init: initializer of the biases of a, i and o; None is 0.
        forget_bias_init: initializer of the bias of f; None is 1.
    Attributes:
        upward: Linear(I, 4H), of the input. lateral: Linear(H, 4H) without bias, of the state.
    """

    def __init__(self, in_size, out_size=None, lateral_init=None, upward_init=None,
                 bias_init=None, forget_bias_init=None):
        super().__init__()
        if out_size is None:
            in_size, out_size = None, in_size
        self.state_size = out_size
        self.lateral_init, self.upward_init = lateral_init, upward_init
        self.bias_init = 0 if bias_init is None else bias_init
        self.forget_bias_init = 1 if forget_bias_init is None else forget_bias_init
        with self.init_scope():
            self.upward = Linear(in_size, 4 * out_size, initialW=0)
            self.lateral = Linear(out_size, 4 * out_size, nobias=True, initialW=0)
        if in_size is not None:
            self._initialize_params()

    def _initialize_params(self):
        """Draw every gate on its own, in Chainer's order: lateral and upward, gate by gate."""
        size, xp = self.state_size, self.xp
        default = initializers.LeCunNormal()
        for start in range(0, 4 * size, size):
            for W, initializer in ((self.lateral.W, self.lateral_init),
                                   (self.upward.W, self.upward_init)):
                fill = get_initializer(initializer, default)
                W.array[start:start + size] = generate_array(
                    fill, (size, W.shape[1]), dtype=W.dtype, device=self.device)
        bias = self.upward.b.array.reshape(size, 4)
        for gate, initializer in enumerate((self.bias_init, self.bias_init,
                                            self.forget_bias_init, self.bias_init)):
            fill = get_initializer(initializer)
            bias[:, gate] = generate_array(fill, (size,), xp, bias.dtype, self.device)
        for parameter in self.params():   # drawn by _draw_params together, not each by itself
            parameter.initializer = None

    def _draw_params(self):
        if self.upward.W.array is not None:
            self._initialize_params()

    def _gates(self, x, h):
        """Gate inputs of one step, (N, 4H); x (N, I), h (M, H) with M >= N, or None."""
        if self.upward.W.array is None:
            self.upward._initialize_params(int(np.prod(x.shape[1:])))
            self._initialize_params()
        if h is not None and x.shape[0] > h.shape[0]:
            raise InvalidType(f'{type(self).__name__}: at most {h.shape[0]} rows expected, as the '
                              f'state has, got {x.shape[0]}. For new sequences forget the state: '
                              'reset_state(), or None as the state')
        gates = self.upward(x)
        return gates if h is None else gates + self.lateral(h[:x.shape[0]])


class StatelessLSTM(LSTMBase):
    """An LSTM with forget gate whose state the caller keeps; arguments as of LSTMBase."""

    def forward(self, c, h, x):
        """Compute one step.

        Args:
            c, h: states (N, H), or None for zeros. x: input (N, I).
        Returns:
            (c, h): the next states.
        """
        gates = self._gates(x, h)
        return lstm(_zeros(gates, self) if c is None else c, gates)

    def sequence(self, x, batch_sizes, c=None, h=None):
        """Compute all steps of packed sequences; see ``functions.lstm_sequence``.

        Args:
            x: packed inputs (sum of batch_sizes, I).
            batch_sizes: how many sequences, sorted by falling length, have each step.
            c, h: states before the first step, (N, H), or None for zeros.
        Returns:
            (hs, c, h): packed outputs (sum of batch_sizes, H), and the last states (N, H).
        """
        if self.upward.W.array is None:
            self._gates(x[:0], None)
        size = self.state_size
        if c is None or h is None:
            zeros = self.xp.zeros((batch_sizes[0], size), x.dtype)
            c, h = (as_variable(zeros if state is None else state) for state in (c, h))
        gates = linear(x, gate_blocks(self.upward.W, size), gate_blocks(self.upward.b, size))
        hs, h, c = lstm_sequence(gates, gate_blocks(self.lateral.W, size), h, c, batch_sizes)
        return hs, c, h


def gate_blocks(W, size):
    """Turn rows that interleave gates a, i, f, o into blocks i, f, o, a: (4H, ...) both ways."""
    order, inverse = _orders_of_rows(size, get_device_from_array(W))
    return Permutate(order, 0, inverse).apply((W,))[0]


@functools.lru_cache(maxsize=64)
def _orders_of_rows(size, device):
    """Return which row goes to each place, and the other way; on a device, sent once."""
    order = np.arange(4 * size).reshape(size, 4).T[[1, 2, 3, 0]].ravel()
    return device.send(order), device.send(np.argsort(order))


class LSTM(LSTMBase):
    """An LSTM with forget gate that keeps its state; arguments as of LSTMBase.

    Attributes:
        c, h: cell state and output of the last step, (N, H) Variables; None after a reset.

    A batch with fewer rows than the one before leaves the states of the others as they are.
    ``loss.unchain_backward()`` cuts the states from their past.
    Gers et al. 2000, "Learning to forget", doi:10.1162/089976600300015015.
    """

    def __init__(self, in_size, out_size=None, lateral_init=None, upward_init=None,
                 bias_init=None, forget_bias_init=None):
        super().__init__(in_size, out_size, lateral_init, upward_init, bias_init, forget_bias_init)
        self.reset_state()

    def reset_state(self):
        """Forget the state: the next input begins new sequences."""
        self.c = self.h = None

    def set_state(self, c, h):
        """Set the state, both (N, H)."""
        self.c, self.h = as_variable(c), as_variable(h)
        for state in (self.c, self.h):
            if state.ndim != 2 or state.shape[1] != self.state_size:
                raise InvalidType(f'LSTM.set_state: (N, {self.state_size}) expected, got '
                                  f'{state.shape}')
            state.to_device(self.device)

    def device_resident_moved(self):
        for state in (self.c, self.h):
            if state is not None:
                state.to_device(self.device)

    def forward(self, x):
        """Compute one step of every sequence: x (N, I) -> h (N, H)."""
        gates = self._gates(x, self.h)
        self.c, y = lstm(_zeros(gates, self) if self.c is None else self.c, gates)
        rest = None if self.h is None else self.h[x.shape[0]:]
        self.h = y if rest is None or rest.shape[0] == 0 else concat((y, rest), axis=0)
        return y


def _zeros(gates, link):
    return as_variable(link.xp.zeros((gates.shape[0], link.state_size), gates.dtype))

"""Recurrent layers over whole sequences of several lengths, in one or both directions."""
import numpy as np

from minichain import initializers
from minichain.autograd import as_variable
from minichain.chain import ChainList
from minichain.errors import InvalidType
from minichain.functions import n_step
from minichain.functions.concat import concat
from minichain.functions.permutate import permutate
from minichain.functions.transpose_sequence import transpose_sequence
from minichain.link import Link
from minichain.type_check import refuse_former
from minichain.variable import Parameter


class NStepBase(ChainList):
    """Parameters of a stack of recurrent layers, one child link for each layer and direction.

    Args:
        n_layers: number L of layers.
        in_size: I, the width of the inputs.
        out_size: H, the width of states and outputs.
        dropout: share of zeros in what goes from layer to layer while training.
        initialW: initializer of all w; None is LeCunNormal.
        initial_bias: initializer of all b; None is 0.
    Attributes:
        ws, bs: lists, for each child, of its parameters w0 ... and b0 ...: the first half of the
            weights belongs to the inputs, (H, I) or, after the first layer, (H, H * directions),
            the other half to the states, (H, H).
    """

    n_weights, n_cells, use_bi_direction = 2, 1, False
    rnn = None

    def __init__(self, n_layers, in_size, out_size, dropout, *, initialW=None, initial_bias=None,
                 **former):
        refuse_former(type(self).__name__, former)
        self.n_layers, self.out_size, self.dropout = n_layers, out_size, dropout
        self.direction = 2 if self.use_bi_direction else 1
        layers = []
        for i in range(n_layers * self.direction):
            width, layer = in_size if i < self.direction else out_size * self.direction, Link()
            with layer.init_scope():
                for k in range(self.n_weights):
                    shape = out_size, width if k < self.n_weights // 2 else out_size
                    setattr(layer, f'w{k}', Parameter(
                        initializers.get_initializer(initialW), shape))
                    setattr(layer, f'b{k}', Parameter(
                        0 if initial_bias is None else initial_bias, out_size))
            layers.append(layer)
        super().__init__(*layers)

    ws = property(lambda self: [[getattr(layer, f'w{k}') for k in range(self.n_weights)]
                                for layer in self])
    bs = property(lambda self: [[getattr(layer, f'b{k}') for k in range(self.n_weights)]
                                for layer in self])

    def init_hx(self, xs):
        """Return states of zeros for ``xs``, (L * directions, len(xs), H)."""
        shape = self.n_layers * self.direction, len(xs), self.out_size
        return as_variable(self.xp.zeros(shape, xs[0].dtype))

    def _call(self, states, xs, former):
        """Return ([last states], [outputs]) in the order of ``xs``."""
        refuse_former(type(self).__name__, former)
        if not xs:
            raise InvalidType(f'{type(self).__name__}: at least one sequence expected, got none')
        for state in states:
            wanted = self.n_layers * self.direction, len(xs), self.out_size
            if state is not None and state.shape != wanted:
                raise InvalidType(f'{type(self).__name__}: states {wanted} expected, (layers * '
                                  f'directions, sequences, out_size), got {state.shape}')
        order = np.argsort([-len(x) for x in xs], kind='stable')   # the longest come first
        indices = self.device.send(order)
        states = [self.init_hx(xs) if state is None else permutate(state, indices, axis=1)
                  for state in states]
        steps = transpose_sequence([xs[i] for i in order])
        running = len(steps[0]) if steps else 0   # sequences without a step keep their state
        *last, steps = type(self).rnn(self.n_layers, self.dropout,
                                      *(state[:, :running] for state in states), self.ws, self.bs,
                                      steps)
        if running < len(xs):
            last = [concat((new, old[:, running:]), axis=1) for new, old in zip(last, states)]
        outputs = dict(zip(order.tolist(), transpose_sequence(steps)))
        return ([permutate(state, indices, axis=1, inv=True) for state in last],
                [outputs.get(i, steps[0][:0]) for i in range(len(xs))])


class _NStepOne(NStepBase):
    """Layers with one state."""

    def forward(self, hx, xs, **former):
        """Compute all steps.

        Args:
            hx: first states, (L * directions, B, H), or None for zeros.
            xs: list of B sequences, (length_i, I) each, in any order; not all of length 0.
        Returns:
            (hy, ys): last states, and a list of outputs, (length_i, H * directions) each.
        """
        (hy,), ys = self._call([hx], xs, former)
        return hy, ys


class NStepLSTM(NStepBase):
    """LSTM of several layers: ``functions.n_step_lstm``; arguments as of NStepBase."""

    n_weights, n_cells, rnn = 8, 2, staticmethod(n_step.n_step_lstm)

    def forward(self, hx, cx, xs, **former):
        """Compute all steps.

        Args:
            hx, cx: first states, (L * directions, B, H), or None for zeros.
            xs: list of B sequences, (length_i, I) each, in any order; not all of length 0.
        Returns:
            (hy, cy, ys): last states, and a list of outputs, (length_i, H * directions) each.
        """
        (hy, cy), ys = self._call([hx, cx], xs, former)
        return hy, cy, ys


class NStepBiLSTM(NStepLSTM):
    """NStepLSTM in both directions: ``functions.n_step_bilstm``."""

    use_bi_direction, rnn = True, staticmethod(n_step.n_step_bilstm)


class NStepGRU(_NStepOne):
    """GRU of several layers: ``functions.n_step_gru``; arguments as of NStepBase."""

    n_weights, rnn = 6, staticmethod(n_step.n_step_gru)


class NStepBiGRU(NStepGRU):
    """NStepGRU in both directions: ``functions.n_step_bigru``."""

    use_bi_direction, rnn = True, staticmethod(n_step.n_step_bigru)


class NStepRNNTanh(_NStepOne):
    """Layers  h' = tanh(w0 x + b0 + w1 h + b1); arguments as of NStepBase."""

    rnn = staticmethod(n_step.n_step_rnn)


class NStepBiRNNTanh(NStepRNNTanh):
    """NStepRNNTanh in both directions."""

    use_bi_direction, rnn = True, staticmethod(n_step.n_step_birnn)


class NStepRNNReLU(_NStepOne):
    """Layers  h' = relu(w0 x + b0 + w1 h + b1); arguments as of NStepBase."""

    @staticmethod
    def rnn(*args):
        return n_step.n_step_rnn(*args, activation='relu')


class NStepBiRNNReLU(NStepRNNReLU):
    """NStepRNNReLU in both directions."""

    use_bi_direction = True

    @staticmethod
    def rnn(*args):
        return n_step.n_step_birnn(*args, activation='relu')

"""One step of a long short-term memory unit with forget gate.

The backward formula is the chain rule written out, on arrays or Variables alike; differentiating
it again needs nothing more. ``lstm_sequence.py`` runs the same unit over whole sequences.
"""
from minichain.autograd import Primitive
from minichain.backend import get_array_module
from minichain.errors import InvalidType
from minichain.functions.concat import concat, stack
from minichain.functions.hyperbolic import tanh
from minichain.functions.sigmoid import sigmoid
from minichain.type_check import expect_float, expect_ndim, expect_same_dtype, expect_shape


def array_sigmoid(xp, x):
    """1 / (1 + exp(-x)) of an array, by tanh, which never overflows."""
    y = xp.tanh(x * .5)
    y *= .5
    y += .5
    return y


def split_gates(x):
    """(M, 4H, ...) -> cell input a, gates i, f, o, each (M, H, ...); interleaved as in Chainer."""
    gates = x.reshape(x.shape[0], x.shape[1] // 4, 4, *x.shape[2:])
    return [gates[:, :, k] for k in range(4)]


class LSTM(Primitive):
    def check_type_forward(self, in_types):
        c_prev, x = in_types
        expect_float('lstm', c_prev=c_prev, x=x)
        expect_same_dtype('lstm', c_prev=c_prev, x=x)
        if c_prev.ndim < 2:
            expect_ndim('lstm', 2, c_prev=c_prev)
        expect_shape('lstm', (None, None, *c_prev.shape[2:]), x=x)
        if x.shape[1] != 4 * c_prev.shape[1]:
            raise InvalidType('lstm: x.shape[1] == 4 * c_prev.shape[1] expected, got '
                              f'{x.shape[1]} and 4 * {c_prev.shape[1]}. Gates a, i, f, o are '
                              'interleaved along axis 1')
        if x.shape[0] > c_prev.shape[0]:
            raise InvalidType(f'lstm: at most as many rows of x as of c_prev expected, got '
                              f'{x.shape[0]} and {c_prev.shape[0]}')

    def forward(self, arrays):
        self.retain_inputs((0, 1))
        self.retain_outputs((0,))
        c_prev, x = arrays
        xp, rows = get_array_module(x), len(x)
        a, i, f, o = split_gates(x)
        c = c_prev.copy()
        c[:rows] *= array_sigmoid(xp, f)
        c[:rows] += xp.tanh(a) * array_sigmoid(xp, i)
        return c, array_sigmoid(xp, o) * xp.tanh(c[:rows])

    def backward(self, indexes, grads):
        c_prev, x = self.get_retained_inputs()
        c, = self.get_retained_outputs()
        gc_all, gh = grads
        rows = x.shape[0]
        a, i, f, o = split_gates(x)
        a, i, f, o, tanh_c = tanh(a), sigmoid(i), sigmoid(f), sigmoid(o), tanh(c[:rows])
        gc = 0 if gc_all is None else gc_all[:rows]
        go = 0 * o
        if gh is not None:
            gc = gh * o * (1 - tanh_c * tanh_c) + gc
            go = gh * tanh_c * o * (1 - o)
        gx = stack((gc * i * (1 - a * a), gc * a * i * (1 - i),
                    gc * c_prev[:rows] * f * (1 - f), go), axis=2)
        gc_prev = gc * f
        if rows < c_prev.shape[0]:
            rest = 0 * c_prev[rows:] if gc_all is None else gc_all[rows:]
            gc_prev = concat((gc_prev, rest), axis=0)
        return gc_prev, gx.reshape(x.shape)


def lstm(c_prev, x):
    """One step of an LSTM with forget gate:  c = tanh(a) s(i) + c_prev s(f),  h = s(o) tanh(c).

    Args:
        c_prev: previous cell state, (N, H, ...), float.
        x: gate inputs before the nonlinearity, (M, 4H, ...) with M <= N, same dtype; a, i, f, o
            are interleaved. Rows of ``c_prev`` from M on are passed through, for sequences that
            have ended in a batch sorted by falling length.
    Returns:
        (c, h): new cell state (N, H, ...), output (M, H, ...).
    Raises:
        InvalidType: ``x`` is not four times as wide as ``c_prev``, or has more rows.
    Gers et al. 2000, "Learning to forget", doi:10.1162/089976600300015015.
    """
    return LSTM().apply((c_prev, x))

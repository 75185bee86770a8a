"""An LSTM over whole sequences as one function: the recurrent half, in preallocated buffers.

The input half of all steps is one ``linear`` in front of it. Sequences of different lengths are
packed: sorted by falling length, step by step, only the rows of those that still run. Read
lstm.py first.
"""
from functools import partial
from itertools import accumulate

import numpy as np

from minichain.autograd import Primitive, grad
from minichain.backend import get_array_module
from minichain.configuration import thread_state
from minichain.errors import InvalidType
from minichain.functions.concat import concat
from minichain.functions.hyperbolic import tanh
from minichain.functions.identity import identity
from minichain.functions.matmul import matmul
from minichain.functions.sigmoid import sigmoid
from minichain.gpu import lstm_sequence as by_kernels
from minichain.gpu.dispatch import fused
from minichain.type_check import expect_float, expect_same_dtype, expect_shape


class LSTMSequence(Primitive):
    """Gates lie in blocks i, f, o, a of H columns each, so that one pass covers i, f and o."""

    def __init__(self, batch_sizes):
        self.batch_sizes = batch_sizes
        self.ends = list(accumulate(batch_sizes))

    def check_type_forward(self, in_types):
        x, W, h0, c0 = in_types
        H = h0.shape[1]
        expect_float('lstm_sequence', x=x, W=W, h0=h0, c0=c0)
        expect_same_dtype('lstm_sequence', x=x, W=W, h0=h0, c0=c0)
        expect_shape('lstm_sequence', (self.ends[-1] if self.ends else 0, 4 * H), x=x)
        expect_shape('lstm_sequence', (4 * H, H), W=W)
        expect_shape('lstm_sequence', h0.shape, c0=c0)
        sizes = self.batch_sizes
        if list(sizes) != sorted(sizes, reverse=True) or (sizes and sizes[0] > h0.shape[0]):
            raise InvalidType(f'lstm_sequence: batch sizes that never grow, at most {h0.shape[0]} '
                              f'as h0 has rows, expected, got {sizes}')

    def steps(self):
        """Return (first row, end row, number of rows) of every step."""
        return [(end - n, end, n) for end, n in zip(self.ends, self.batch_sizes)]

    def forward(self, arrays):
        self.retain_inputs((0, 1, 2, 3))
        self.retain_outputs((0,))
        *results, self.gradients = run_steps(*arrays, self.steps())
        return tuple(results)

    def backward(self, indexes, grads):
        if not thread_state.on_arrays:
            return self.replayed(grads)
        hs, = self.get_retained_outputs()
        return self.gradients(*self.get_retained_inputs(), hs, grads, indexes)

    def replayed(self, grads):
        """Gradients with a history: the same steps again, operation by operation."""
        # Nodes of their own, so that no gradient runs on from one operand into another of which it
        # was computed: that is for the caller to do.
        inputs = identity(*self.get_retained_inputs())
        pairs = [(y, gy) for y, gy in zip(lstm_steps(*inputs, self.batch_sizes), grads)
                 if gy is not None]
        return grad([y for y, _ in pairs], inputs, [gy for _, gy in pairs],
                    enable_double_backprop=True)


@fused(by_kernels.run_steps, libraries=('cublasLt',))
def run_steps(x, W, h0, c0, steps):
    """Run all steps.

    Args:
        x, W, h0, c0: as of :func:`lstm_sequence`.
        steps: (first row, end row, number of rows) of every step.
    Returns:
        (hs, h, c, gradients): as of :func:`lstm_sequence`, and a function that takes x, W, h0, c0,
        hs, the gradients of hs, h and c or None, and the numbers of the operands whose gradients
        are wanted; it returns those of the four operands, None for a W or h0 that is not wanted.
    """
    xp, H = get_array_module(x), h0.shape[1]
    gates = xp.empty(x.shape, x.dtype)
    cells = xp.empty((len(x), H), x.dtype)
    tanh_cells = xp.empty_like(cells)
    hs = xp.empty_like(cells)
    h, c = h0.copy(), c0.copy()   # the states of all sequences, ended ones too
    W_T = xp.ascontiguousarray(W.T)   # a faster operand of thin products
    # States of zeros, as most sequences begin with, need no product. (A GPU would have to wait for
    # the answer.)
    from_zeros = xp is np and not h0.any()
    for start, end, n in steps:
        gate, tanh_c = gates[start:end], tanh_cells[start:end]
        if start == 0 and from_zeros:
            gate[...] = x[start:end]
        else:
            xp.matmul(h[:n], W_T, out=gate)
            gate += x[start:end]
        lstm_pointwise(gate, c[:n], tanh_c)
        cells[start:end] = c[:n]
        xp.multiply(gate[:, 2 * H:3 * H], tanh_c, out=hs[start:end])
        h[:n] = hs[start:end]
    return hs, h, c, partial(gradients_of_steps, gates, cells, tanh_cells, from_zeros, steps)


def gradients_of_steps(gates, cells, tanh_cells, from_zeros, steps, x, W, h0, c0, hs, grads,
                       indexes):
    """Go back through all steps; see :func:`run_steps`."""
    ghs, gh_last, gc_last = grads
    xp, H = get_array_module(x), h0.shape[1]
    gx = xp.empty(x.shape, x.dtype)
    gh = xp.zeros(h0.shape, x.dtype) if gh_last is None else gh_last.copy()
    gc = xp.zeros(c0.shape, x.dtype) if gc_last is None else gc_last.copy()
    previous = xp.empty(hs.shape, x.dtype)   # the output of the step before, row by row
    slope, slopes = xp.empty(h0.shape, x.dtype), xp.empty((len(h0), 3 * H), x.dtype)
    for t in reversed(range(len(steps))):
        start, end, n = steps[t]
        before = slice(steps[t - 1][0], steps[t - 1][0] + n) if t else slice(0, n)
        c_previous = (cells if t else c0)[before]
        previous[start:end] = (hs if t else h0)[before]
        gate, tanh_c, ggate = gates[start:end], tanh_cells[start:end], gx[start:end]
        i, f, o, a = (gate[:, k * H:(k + 1) * H] for k in range(4))
        if ghs is not None:
            gh[:n] += ghs[start:end]
        tanh_slope(tanh_c, out=slope[:n])
        slope[:n] *= o
        slope[:n] *= gh[:n]
        gc[:n] += slope[:n]
        xp.multiply(gc[:n], a, out=ggate[:, :H])
        xp.multiply(gc[:n], c_previous, out=ggate[:, H:2 * H])
        xp.multiply(gh[:n], tanh_c, out=ggate[:, 2 * H:3 * H])
        ifo = gate[:, :3 * H]
        xp.subtract(1, ifo, out=slopes[:n])
        slopes[:n] *= ifo
        ggate[:, :3 * H] *= slopes[:n]
        tanh_slope(a, out=slope[:n])
        slope[:n] *= i
        xp.multiply(gc[:n], slope[:n], out=ggate[:, 3 * H:])
        gc[:n] *= f
        if t or 2 in indexes:
            gh[:n] = ggate @ W
    after = steps[0][1] if from_zeros and steps else 0   # zeros before add nothing
    gW = gx[after:].T @ previous[after:] if 1 in indexes else None
    return gx, gW, gh if 2 in indexes else None, gc


def lstm_pointwise(gate, c, tanh_c):
    """Turn inputs of gates i, f, o, a, (n, 4H), into their values, and the cells into the next.

    Args:
        gate, c: changed in place; c (n, H).
        tanh_c: filled with the tanh of the next cells.
    """
    xp, H = get_array_module(c), c.shape[1]
    ifo = gate[:, :3 * H]
    ifo *= .5   # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2
    xp.tanh(gate, out=gate)
    ifo *= .5
    ifo += .5
    c *= gate[:, H:2 * H]
    xp.multiply(gate[:, :H], gate[:, 3 * H:], out=tanh_c)
    c += tanh_c
    xp.tanh(c, out=tanh_c)


def tanh_slope(y, out):
    """Fill ``out`` with the derivative of tanh where tanh is ``y``."""
    xp = get_array_module(y)
    xp.multiply(y, y, out=out)
    xp.subtract(1, out, out=out)


def lstm_steps(x, W, h0, c0, batch_sizes):
    """Compute what :func:`lstm_sequence` computes, from small functions: its specification."""
    H, end = h0.shape[1], 0
    h, c, hs = h0, c0, []
    for n in batch_sizes:
        start, end = end, end + n
        gate = x[start:end] + matmul(h[:n], W, transb=True)
        i, f, o = (sigmoid(gate[:, k * H:(k + 1) * H]) for k in range(3))
        c_new = c[:n] * f + i * tanh(gate[:, 3 * H:])
        hs.append(o * tanh(c_new))
        h, c = ((new if n == len(old) else concat((new, old[n:]), axis=0))
                for new, old in ((hs[-1], h), (c_new, c)))
    return concat(hs, axis=0), h, c


def lstm_sequence(x, W, h0, c0, batch_sizes):
    """Run the recurrent half of an LSTM over packed sequences.

    Row block t of the packed arrays holds step t of the ``batch_sizes[t]`` longest sequences:

        i, f, o, a = blocks of (x_t + h_{t-1} W^T)
        c_t = c_{t-1} s(f) + s(i) tanh(a),   h_t = s(o) tanh(c_t)

    Args:
        x: gate inputs of all steps, (sum of batch_sizes, 4H), float; blocks i, f, o, a.
        W: recurrent weights, (4H, H), same dtype and blocks.
        h0, c0: initial states, (N, H), sequences sorted by falling length.
        batch_sizes: how many sequences have a step t, a list of ints that never grow, at most N.
    Returns:
        (hs, h, c): outputs of all steps packed as ``x``, (sum of batch_sizes, H), and the last
        states of every sequence, (N, H).
    Raises:
        InvalidType: shapes or dtypes do not fit, or batch sizes grow.
    Gers et al. 2000, "Learning to forget", doi:10.1162/089976600300015015.
    """
    batch_sizes = [int(n) for n in batch_sizes if n]
    return LSTMSequence(batch_sizes).apply((x, W, h0, c0))

"""The recurrent half of an LSTM over packed sequences: a matrix product and a kernel a step.

What is computed, and in which order rows lie, is said in functions/lstm_sequence.py.
"""
import functools

from minichain.backend import get_array_module
from minichain.gpu.casts import as_float32, as_stored
from minichain.gpu.gemm import gemm
from minichain.gpu.lstm import lstm_backward, lstm_forward
from minichain.gpu.precision import is_bfloat16


def run_steps(x, W, h0, c0, steps):
    """Run all steps; arguments and results as of the function of this name in functions/.

    Under ``config.precision = 'bf16'`` gates, outputs and a copy of W are bfloat16, cells float32.

    Args:
        x: (rows, 4H). W: (4H, H). h0, c0: (N, H). All float32.
        steps: (first row, end row, number of rows) of every step.
    """
    xp = get_array_module(x)
    W, h0 = as_stored(W), as_stored(h0)
    gates = as_stored(x) if is_bfloat16(W.dtype) else x.copy()   # which are written to
    hs, cells = (xp.empty((len(x), h0.shape[1]), each.dtype) for each in (gates, c0))
    h, c = h0.copy(), c0.copy()   # the last states
    h_before, c_before = h, c
    for (start, end, n), still in zip(steps, rows_after(steps)):
        gemm(h_before[:n], W, gates[start:end], trans_b=True, beta=1)
        lstm_forward(gates[start:end], c_before[:n], cells[start:end], hs[start:end])
        h_before, c_before = hs[start:end], cells[start:end]
        if still < n:   # sequences that end here
            h[still:n], c[still:n] = h_before[still:], c_before[still:]
    back = functools.partial(gradients, gates, cells, steps)
    return as_float32(hs), as_float32(h), c, back


def gradients(gates, cells, steps, x, W, h0, c0, hs, grads, indexes):
    """Return gradients of x, W, h0 and c0; of W and h0 None if ``indexes`` lack 1, 2.

    Args:
        gates, cells, steps: of the way forward; gates as they are stored.
        hs: the outputs. grads: gradients of hs, h and c, or None.
    """
    xp = get_array_module(hs)
    ghs, gh_last, gc_last = grads
    ghs = xp.zeros_like(hs) if ghs is None else ghs.copy()   # gets what comes by later steps
    gh = xp.zeros_like(hs, shape=h0.shape) if gh_last is None else gh_last.copy()
    gc = xp.zeros_like(hs, shape=c0.shape) if gc_last is None else gc_last.copy()
    if gh_last is not None:
        for (_, end, n), still in zip(steps, rows_after(steps)):
            ghs[end - n + still:end] += gh[still:n]   # of sequences that end here
    W, h0, hs, ghs = (as_stored(each, gates.dtype) for each in (W, h0, hs, ghs))
    gx, previous = xp.empty_like(gates), xp.empty_like(hs)
    for t in reversed(range(len(steps))):
        start, end, n = steps[t]
        before = slice(steps[t - 1][0], steps[t - 1][0] + n) if t else slice(0, n)
        previous[start:end] = (hs if t else h0)[before]
        lstm_backward(gates[start:end], (cells if t else xp.ascontiguousarray(c0))[before],
                      cells[start:end], ghs[start:end], gc[:n], gx[start:end])
        if t:
            gemm(gx[start:end], W, ghs[before], beta=1)
        elif 2 in indexes:
            gemm(gx[start:end], W, gh[:n])
    gW = None
    if 1 in indexes:
        gW = gemm(gx, previous, xp.empty(W.shape, x.dtype), trans_a=True)
    return as_float32(gx), gW, gh if 2 in indexes else None, gc


def rows_after(steps):
    """Return the number of rows of the step after each; 0 after the last."""
    return [n for _, _, n in steps[1:]] + [0]

"""The recurrent half of an LSTM over packed sequences, in one of two ways.

Either a matrix product and a kernel a step, or one launch for all steps (persistent_lstm.py);
``config.persistent_lstm`` and ``fastest.py`` decide. What is computed, and in which order rows
lie, is said in functions/lstm_sequence.py.
"""
import functools

import numpy as np

from minichain.backend import get_array_module
from minichain.configuration import config
from minichain.gpu import cublaslt, fastest, persistent_lstm
from minichain.gpu.casts import as_float32, as_stored, narrow, storage_dtype
from minichain.gpu.gemm import gemm
from minichain.gpu.launcher import machine_of
from minichain.gpu.lstm import lstm_backward, lstm_forward
from minichain.gpu.precision import is_bfloat16
from minichain.gpu.simulator import Simulator


def run_steps(x, W, h0, c0, steps):
    """Run all steps; arguments and results as of the function of this name in functions/.

    Under ``config.precision = 'bf16'`` gates, outputs and a copy of W are bfloat16, cells float32.

    Args:
        x: (rows, 4H). W: (4H, H). h0, c0: (N, H). All float32.
        steps: (first row, end row, number of rows) of every step.
    """
    xp, H = get_array_module(x), h0.shape[1]
    gates = xp.empty(x.shape, storage_dtype())
    hs, cells = xp.empty((len(x), H), gates.dtype), xp.empty((len(x), H), c0.dtype)
    h, c = h0.copy(), c0.copy()   # the last states
    c0, W, h0 = xp.ascontiguousarray(c0), as_stored(W), as_stored(h0)
    arrays = xp.ascontiguousarray(x), W, h0, c0, gates, cells, hs, h, c
    run_fastest('forward', gates, steps, lambda: step_by_step(*arrays, steps),
                lambda units: in_one_launch(*arrays, steps, units),
                persistent_lstm.forward_units)
    back = functools.partial(gradients, gates, cells, (W, h0, hs), steps)
    return as_float32(hs), h, c, back


def run_fastest(what, gates, steps, by_steps, at_once, units_of_block):
    """Call one of two functions that do the same.

    Which one is the faster is tried once for lengths and numbers of sequences that are about the
    same. Results of both repeat from run to run, but in the last digits they differ from each
    other, and a clock may choose differently tomorrow: so under ``config.deterministic`` steps are
    launched one by one, and in the simulator, whose clock says nothing.

    Args:
        what: name of the work. gates: array (rows, 4H). steps: as of :func:`run_steps`.
        by_steps, at_once: the functions; the second takes how many units a block is to own.
        units_of_block: says so, given H and ``gates``; None where it cannot be done at once.
    """
    H, way = gates.shape[1] // 4, config.persistent_lstm
    if way == 'auto' and (config.deterministic or isinstance(machine_of(gates), Simulator)):
        way = 'never'
    units = None if way == 'never' else units_of_block(H, gates)
    if units is None:
        by_steps()
    elif way == 'always':
        at_once(units)
    else:
        about = [1 << (n - 1).bit_length() for n in (len(steps), -(-len(gates) // len(steps)))]
        fastest.run(f'LSTM {what} of {H} units, {about[0]} steps of {about[1]}, {gates.dtype} '
                    f'{config.precision} cublasLt {cublaslt.version()}',
                    (by_steps, functools.partial(at_once, units)), fastest.milliseconds_of_replay)


def in_one_launch(x, W, h0, c0, gates, cells, hs, h, c, steps, units):
    """Fill the arrays of :func:`~minichain.gpu.persistent_lstm.persistent_lstm_forward`."""
    starts, barrier = starts_of(steps, x)
    persistent_lstm.persistent_lstm_forward(
        x, W, h0, c0, gates, cells, hs, h, c, starts, barrier, units)


def starts_of(steps, like):
    """Return where steps begin, and a barrier, on the device of an array."""
    xp = get_array_module(like)
    starts, barrier = xp.empty(len(steps) + 1, np.int32), xp.empty(1, np.uint32)
    persistent_lstm.write_starts(steps, starts, barrier)
    return starts, barrier


def step_by_step(x, W, h0, c0, gates, cells, hs, h, c, steps):
    """Fill the same arrays by a matrix product and a kernel a step."""
    if is_bfloat16(gates.dtype):
        narrow(x, gates)
    else:
        gates[...] = x
    h_before, c_before = h0, c0
    for (start, end, n), still in zip(steps, rows_after(steps)):
        gemm(h_before[:n], W, gates[start:end], trans_b=True, beta=1)
        lstm_forward(gates[start:end], c_before[:n], cells[start:end], hs[start:end])
        h_before, c_before = hs[start:end], cells[start:end]
        if still < n:   # sequences that end here
            h[still:n], c[still:n] = as_float32(h_before[still:]), c_before[still:]


def gradients(gates, cells, stored, steps, x, W, h0, c0, hs, grads, indexes):
    """Return gradients of x, W, h0 and c0; of W and h0 None if ``indexes`` lack 1, 2.

    Args:
        gates, cells, steps: of the way forward; gates as they are stored.
        stored: W, h0 and hs of the way forward, as the gates are stored.
        hs: the outputs. grads: gradients of hs, h and c, or None.
    """
    xp = get_array_module(hs)
    h0, c0 = xp.ascontiguousarray(h0), xp.ascontiguousarray(c0)
    ghs, gh_last, gc_last = (
        xp.zeros_like(like) if each is None else xp.ascontiguousarray(each)
        for each, like in zip(grads, (hs, h0, c0)))
    W, h0, hs = stored
    gx, previous, gc = (xp.empty_like(like) for like in (gates, hs, c0))
    arrays = gates, cells, c0, hs, h0, W, ghs, gh_last, gc_last, gx, previous, gc
    run_fastest('backward', gates, steps,
                lambda: back_step_by_step(*arrays, steps, adds_last=grads[1] is not None),
                lambda units: back_in_one_launch(*arrays, steps, units),
                persistent_lstm.backward_units)
    gh = gW = None
    if 2 in indexes:
        gh, (_, end, _) = gh_last.copy(), steps[0]
        gemm(gx[:end], W, gh[:end])
    if 1 in indexes:
        gW = gemm(gx, previous, xp.empty(W.shape, x.dtype), trans_a=True)
    return as_float32(gx), gW, gh, gc


def back_in_one_launch(gates, cells, c0, hs, h0, W, ghs, gh_last, gc_last, gx, previous, gc,
                       steps, units):
    """Fill the arrays of :func:`~minichain.gpu.persistent_lstm.persistent_lstm_backward`."""
    starts, barrier = starts_of(steps, gx)
    gc[steps[0][2]:] = gc_last[steps[0][2]:]   # of sequences that have no step
    persistent_lstm.persistent_lstm_backward(
        gates, cells, c0, hs, h0, W, ghs, gh_last, gc_last, gx, previous, gc, starts, barrier,
        units)


def back_step_by_step(gates, cells, c0, hs, h0, W, ghs, gh_last, gc_last, gx, previous, gc, steps,
                      adds_last):
    """Fill the same arrays by a kernel and a matrix product a step.

    Args:
        adds_last: whether ``gh_last`` may be other than zeros.
    """
    ghs = ghs.copy()   # gets what comes by later steps
    for (_, end, n), still in zip(steps if adds_last else (), rows_after(steps)):
        ghs[end - n + still:end] += gh_last[still:n]   # of sequences that end here
    ghs = as_stored(ghs, gates.dtype)
    gc[...] = gc_last
    for t in reversed(range(len(steps))):
        start, end, n = steps[t]
        before = slice(steps[t - 1][0], steps[t - 1][0] + n) if t else slice(0, n)
        previous[start:end] = (hs if t else h0)[before]
        lstm_backward(gates[start:end], (cells if t else c0)[before], cells[start:end],
                      ghs[start:end], gc[:n], gx[start:end])
        if t:
            gemm(gx[start:end], W, ghs[before], beta=1)


def rows_after(steps):
    """Return the number of rows of the step after each; 0 after the last."""
    return [n for _, _, n in steps[1:]] + [0]

"""Kernels of persistent_lstm.cu: the steps of an LSTM one after another, in float64."""
import numpy as np

from minichain.gpu import persistent_lstm
from tests.gpu.cases.lstm import blocks, sigmoid
from tests.gpu.registry import reference

# units of a block, H, N, then the sizes of steps. Blocks that share no work and some that have
# less than others; widths under, at and over a stretch of 16, whole packs of 4 and not; one
# sequence, one unit, one step; rows that never run; more rows than a block has threads for.
SIZES = [(2, 5, 3, 3, 2, 1), (1, 1, 1, 1), (1, 1, 4, 3, 3, 1, 1), (4, 16, 5, 5, 5, 4, 1),
         (3, 7, 2, 2, 2, 2, 2, 2), (8, 20, 2, 1), (5, 36, 37, 37, 20, 19, 4, 3),
         (16, 33, 70, 66, 64, 1), (4, 12, 1, 1, 1, 1)]

ROUNDED = {'bfloat16': 2 ** -7}   # a number that is rounded otherwise is one that steps begin with


def starts_of(sizes):
    return np.array([0, *np.cumsum(sizes)], np.int32)


@reference('persistent_lstm_starts', persistent_lstm.write_starts, registers=32, dtypes=('',),
           sizes=[(2, 1), (1,), (*range(40, 3, -1),), (3,) * 15, (3,) * 16])
def starts(random, store, *sizes):
    ends = np.cumsum(sizes).tolist()
    steps = [(end - size, end, size) for end, size in zip(ends, sizes)]
    arguments = {'steps': steps, 'starts': np.full(len(sizes) + 1, -1, np.int32),
                 'barrier': np.full(1, 7, np.uint32)}
    return arguments, {'starts': starts_of(sizes), 'barrier': np.zeros(1, np.uint32)}


def operands(random, store, width, rows, sizes):
    """Return inputs of gates, weights and first states, with sums of about 1."""
    x = random.standard_normal((sum(sizes), 4 * width)).astype(np.float32)
    W = store(random.standard_normal((4 * width, width)) / width ** .5)
    h0, c0 = random.standard_normal((2, rows, width)).astype(np.float32)
    return x, W, store(h0), c0


def forward_pass(x, W, h0, c0, sizes, store):
    """Return gates, cells, outputs and the last states; outputs are rounded as they are stored."""
    h, c = h0.astype(np.float64), c0.astype(np.float64)
    gates, cells, hs, end = [], [], [], 0
    for size in sizes:
        start, end = end, end + size
        i, f, o, a = blocks(x[start:end] + h[:size] @ W.astype(np.float64).T)
        i, f, o, a = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(a)
        c[:size] = c[:size] * f + i * a
        h[:size] = store(o * np.tanh(c[:size]))
        gates.append(np.concatenate((i, f, o, a), axis=1))
        cells.append(c[:size].copy())
        hs.append(h[:size].copy())
    return np.concatenate(gates), np.concatenate(cells), np.concatenate(hs), h, c


@reference('persistent_lstm_forward', persistent_lstm.persistent_lstm_forward, SIZES,
           registers=144, tolerance=ROUNDED)
def forward(random, store, units, width, rows, *sizes):
    x, W, h0, c0 = operands(random, store, width, rows, sizes)
    gates, cells, hs, h, c = forward_pass(x, W, h0, c0, sizes, store)
    last = h0.astype(np.float32), c0.copy()   # of rows that never run, which are not written
    arguments = {
        'x': x, 'W': W, 'h0': h0, 'c0': c0, 'gates': store(np.full(x.shape, np.nan)),
        'cells': np.full(cells.shape, np.nan, np.float32),
        'hs': store(np.full(cells.shape, np.nan)), 'h': last[0], 'c': last[1],
        'starts': starts_of(sizes), 'barrier': np.zeros(1, np.uint32), 'units': units}
    return arguments, {'gates': gates, 'cells': cells, 'hs': hs, 'h': h, 'c': c}


@reference('persistent_lstm_backward', persistent_lstm.persistent_lstm_backward, SIZES,
           registers=160, tolerance=ROUNDED)
def backward(random, store, units, width, rows, *sizes):
    x, W, h0, c0 = operands(random, store, width, rows, sizes)
    gates, cells, hs, _, _ = forward_pass(x, W, h0, c0, sizes, store)
    gates, cells, hs = store(gates), cells.astype(np.float32), store(hs)
    ghs = random.standard_normal(cells.shape).astype(np.float32)
    gh_last, gc_last = random.standard_normal((2, rows, width)).astype(np.float32)
    gh, gc = gh_last.astype(np.float64), gc_last.astype(np.float64)
    gx, previous, ends = np.zeros(x.shape), np.zeros(hs.shape), np.cumsum(sizes)
    for t in reversed(range(len(sizes))):
        size, end = sizes[t], ends[t]
        before = slice(ends[t - 1] - sizes[t - 1], ends[t - 1] - sizes[t - 1] + size)
        here, before = slice(end - size, end), before if t else slice(0, size)
        i, f, o, a = blocks(gates[here])
        tanh_c = np.tanh(cells[here].astype(np.float64))
        from_h = gh[:size] + ghs[here]
        from_c = gc[:size] + from_h * o * (1 - tanh_c ** 2)
        gc[:size] = from_c * f
        gx[here] = np.concatenate((
            from_c * a * i * (1 - i), from_c * (cells if t else c0)[before] * f * (1 - f),
            from_h * tanh_c * o * (1 - o), from_c * i * (1 - a ** 2)), axis=1)
        gh[:size] = store(gx[here]).astype(np.float64) @ W.astype(np.float64)
        previous[here] = (hs if t else h0)[before]
    arguments = {
        'gates': gates, 'cells': cells, 'c0': c0, 'hs': hs, 'h0': h0, 'W': W, 'ghs': ghs,
        'gh_last': gh_last, 'gc_last': gc_last, 'gx': store(np.full(x.shape, np.nan)),
        'previous': store(np.full(hs.shape, np.nan)), 'gc': gc_last.copy(),
        'starts': starts_of(sizes), 'barrier': np.zeros(1, np.uint32), 'units': units}
    return arguments, {'gx': gx, 'previous': previous, 'gc': gc}

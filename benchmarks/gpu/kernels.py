"""Kernels that do little but move memory, on arrays of over 256 MB: how near are they to a copy?

Every result is compared with its formula in float64, computed on the device.
"""
import dataclasses

import numpy as np

from benchmarks.comparison import TORCH
from benchmarks.gpu.operands import ADAM, KSIZE, LRN, STRIDE, Storage, labels_of, pooled
from benchmarks.gpu.peers import FORMS, forms, missing, place_of
from benchmarks.gpu.rows import SHARE, Case, add_case, make_table
from benchmarks.variants import PLAIN
from minichain.gpu.embedding import embedding_gradient
from minichain.gpu.error_flag import new_error_flag
from minichain.gpu.lrn import lrn_backward, lrn_forward
from minichain.gpu.optimizers import adam
from minichain.gpu.pooling import (
    average_pooling_forward,
    max_pooling_backward,
    max_pooling_forward,
)
from minichain.gpu.softmax_cross_entropy import softmax_cross_entropy

PRECISIONS = 'float32', 'bf16'
# operands: sizes, and those of a rehearsal
IMAGES, SMALL_IMAGES = (64, 192, 96, 96), (2, 8, 7, 7)
SCORES, SMALL_SCORES = (10240, 10000), (6, 40)
WEIGHTS, SMALL_WEIGHTS = 80_000_000, 1000
TABLE, SMALL_TABLE = (200_000, 1024, 65_536), (50, 16, 30)      # V, E, rows


@dataclasses.dataclass
class Kernel:
    """A kernel with its operands.

    Attributes:
        run: launches it.
        numbers: how many of the storage's dtype are read and written.
        read_back: function that returns its results.
        expected: function that returns them in float64.
        wide_bytes: bytes of operands that are float32 in any storage.
        reset: puts operands back that the kernel changes, or None.
        tolerance: of the results; None: that of the precision.
    """

    run: object
    numbers: int
    read_back: object
    expected: object
    wide_bytes: int = 0
    reset: object = None
    tolerance: float | None = None


def windows_of(x, out):
    """Yield what each place of a window sees, float64, NaN-free: views of (N, C, H, W)."""
    for dy in range(KSIZE):
        for dx in range(KSIZE):
            yield x[:, :, dy:dy + STRIDE * (out[2] - 1) + 1:STRIDE,
                    dx:dx + STRIDE * (out[3] - 1) + 1:STRIDE]


def lrn_parts(s, shape):
    """Return (x, gy, scale): operands of the normalization in float64."""
    x, gy = s.wide(s.draw(shape)), s.wide(s.draw(shape, 2))
    half, squares = LRN['n'] // 2, x * x
    total = squares.copy()
    for step in range(1, half + 1):
        total[:, step:] += squares[:, :-step]
        total[:, :-step] += squares[:, step:]
    return x, gy, LRN['k'] + LRN['alpha'] * total


def normalize(s, shape):
    """LRN, forward."""
    x, y = s.draw(shape), s.empty(shape)

    def expected():
        x, _, scale = lrn_parts(s, shape)
        return [x * scale ** -LRN['beta']]
    return Kernel(lambda: lrn_forward(x, y, **LRN), 2 * x.size, lambda: [s.read(y)], expected)


def normalize_back(s, shape):
    """LRN, backward."""
    x, gy, gx = s.draw(shape), s.draw(shape, 2), s.empty(shape)

    def expected():
        x, gy, scale = lrn_parts(s, shape)
        each, half = gy * x * scale ** (-LRN['beta'] - 1), LRN['n'] // 2
        total = each.copy()
        for step in range(1, half + 1):
            total[:, step:] += each[:, :-step]
            total[:, :-step] += each[:, step:]
        return [gy * scale ** -LRN['beta'] - 2 * LRN['alpha'] * LRN['beta'] * x * total]
    return Kernel(lambda: lrn_backward(x, gy, gx, **LRN), 3 * x.size, lambda: [s.read(gx)],
                  expected)


def largest(s, shape):
    """Max pooling, forward, without places for a way back."""
    x, y = s.draw(shape), s.empty(pooled(shape))

    def expected():
        views = list(windows_of(s.wide(x), y.shape))
        best = views[0]
        for view in views[1:]:
            best = s.xp.maximum(best, view)
        return [best]
    return Kernel(lambda: max_pooling_forward(x, y, None, (KSIZE,) * 2, (STRIDE,) * 2, (0, 0)),
                  x.size + y.size, lambda: [s.read(y)], expected)


def largest_back(s, shape):
    """Max pooling, backward."""
    x, y, gy = s.draw(shape), s.empty(pooled(shape)), s.draw(pooled(shape), 2)
    winners, gx = s.xp.zeros(y.shape, 'int32'), s.empty(shape)
    geometry = (KSIZE,) * 2, (STRIDE,) * 2, (0, 0)
    max_pooling_forward(x, y, winners, *geometry)

    def expected():
        wide, total = s.wide(x), s.xp.zeros(shape, 'float64')
        g, top, taken = s.wide(gy), s.wide(y), s.xp.zeros(y.shape, 'bool')
        for view, target in zip(windows_of(wide, y.shape), windows_of(total, y.shape)):
            wins = (view == top) & ~taken
            taken |= wins
            target[...] = target + g * wins
        return [total]
    return Kernel(lambda: max_pooling_backward(gy, winners, gx, *geometry), gy.size + gx.size,
                  lambda: [s.read(gx)], expected, wide_bytes=4 * gy.size)


def means(s, shape):
    """Average pooling, forward."""
    x, y = s.draw(shape), s.empty(pooled(shape))

    def expected():
        views = list(windows_of(s.wide(x), y.shape))
        return [sum(views[1:], views[0]) / KSIZE ** 2]
    return Kernel(lambda: average_pooling_forward(x, y, (KSIZE,) * 2, (STRIDE,) * 2, (0, 0)),
                  x.size + y.size, lambda: [s.read(y)], expected)


def cross_entropy(s, shape):
    """Cross entropy of softmax, and the gradient of the scores in their place."""
    rows, classes = shape
    xp, x = s.xp, s.draw(shape)
    before, labels = x.copy(), xp.asarray(labels_of(rows, classes))
    losses, scale = xp.zeros(rows, 'float32'), xp.full(1, 1 / rows, 'float32')
    error = new_error_flag(xp)

    def reset():
        x[...] = before

    def expected():
        wide, each = s.wide(before), xp.arange(rows)
        e = xp.exp(wide)
        total = e.sum(axis=1, keepdims=True)
        e /= total
        e[each, labels] -= 1
        return [xp.log(total[:, 0]) - wide[each, labels], e / rows]
    return Kernel(lambda: softmax_cross_entropy(x, labels, losses, scale, error), 2 * x.size,
                  lambda: [losses, s.read(x)], expected, wide_bytes=8 * rows, reset=reset)


def update(s, count):
    """Adam's first update of weights in one array, float32 in any precision."""
    xp, wide = s.xp, Storage(s.xp, 'float32')
    x, g = wide.draw(count), wide.draw(count, 2)
    before, m, v = x.copy(), xp.zeros(count, 'float32'), xp.zeros(count, 'float32')
    rate = ADAM['alpha'] * (1 - ADAM['beta2']) ** .5 / (1 - ADAM['beta1'])
    rates, factor = xp.asarray(np.array([rate, 1], 'float32')), xp.ones(1, 'float32')
    numbers = {name: ADAM[name] for name in ('beta1', 'beta2', 'eps')}

    def reset():
        x[...] = before
        m.fill(0)
        v.fill(0)

    def expected():
        wide_g = g.astype('float64')
        m, v = (1 - ADAM['beta1']) * wide_g, (1 - ADAM['beta2']) * wide_g ** 2
        return [before.astype('float64') - rate * m / (v ** .5 + ADAM['eps']), m, v]
    return Kernel(lambda: adam(x, g, m, v, rates, factor, **numbers), 0, lambda: [x, m, v],
                  expected, wide_bytes=28 * count, reset=reset)


def embed_back(s, sizes):
    """The gradient of an embedding, added to a table of zeros."""
    table, width, rows = sizes
    xp, gy = s.xp, s.draw((rows, width))
    ids, gW = xp.asarray(labels_of(rows, table // 4)), xp.zeros((table, width), 'float32')
    error = new_error_flag(xp)

    def run():
        gW.fill(0)
        embedding_gradient(gy, ids, gW, error)

    def expected():
        total = xp.zeros((table, width), 'float64')
        xp.add.at(total, ids, s.wide(gy))
        return [total]
    # the table is filled, rows of it are read and written
    return Kernel(run, gy.size, lambda: [gW], expected,
                  wide_bytes=4 * gW.size + 8 * gy.size + 4 * rows)


# name: (what makes it, sizes, those of a rehearsal, name in torch_kernels.py)
KERNELS = {
    'LRN': (normalize, IMAGES, SMALL_IMAGES, 'normalize'),
    'LRN, backward': (normalize_back, IMAGES, SMALL_IMAGES, 'normalize_back'),
    'max pooling 3/2': (largest, IMAGES, SMALL_IMAGES, 'largest'),
    'max pooling 3/2, backward': (largest_back, IMAGES, SMALL_IMAGES, 'largest_back'),
    'average pooling 3/2': (means, IMAGES, SMALL_IMAGES, 'means'),
    'cross entropy and gradient': (cross_entropy, SCORES, SMALL_SCORES, 'cross_entropy'),
    'Adam': (update, WEIGHTS, SMALL_WEIGHTS, 'update'),
    'embedding, backward': (embed_back, TABLE, SMALL_TABLE, 'embed_back')}


def make_case(name, precision, options, bench):
    """Return the Case of a kernel."""
    make, sizes, small, theirs = KERNELS[name]
    sizes, storage = small if options.quick else sizes, Storage(bench.device.xp, precision)
    kernel = make(storage, sizes)

    def function():
        kernel.run()
    function.read = kernel.read_back
    if kernel.reset is not None:
        function.reset = kernel.reset
    place, reason = place_of(options.device)
    if reason:
        peers = missing(reason, FORMS, options)
    else:
        from benchmarks.gpu import torch_kernels
        peers = forms(lambda: getattr(torch_kernels, theirs)(storage, sizes, place), place,
                      options)
    shapes = 'x'.join(map(str, sizes)) if isinstance(sizes, tuple) else f'{sizes / 1e6:g} M'
    return Case(name, shapes, precision, {PLAIN: lambda: function, **peers}, kernel.expected,
                [(0, storage.size * kernel.numbers + kernel.wide_bytes)], {TORCH: (1.,)}, SHARE)


def run(options, bench):
    """Return the table."""
    table = make_table('Kernels that move memory, on arrays of over 256 MB', FORMS)
    for name, (make, *_) in KERNELS.items():
        for precision in PRECISIONS[:1] if make is update else PRECISIONS:
            add_case(table, FORMS, lambda name=name, precision=precision: make_case(
                name, precision, options, bench), options, bench)
    table.note('GB: what has to be read and written at least; cross entropy and Adam work in '
               'place. embedding: V x E x rows, with the filling of the table with zeros')
    return table

"""All steps of an LSTM over packed sequences in one launch: see ``kernels/persistent_lstm.cu``.

Arrays are those of functions/lstm_sequence.py. Sums are made in a fixed order, which does not
depend on how units are spread over blocks: two runs agree in every bit. Products are of float32
numbers, or of bfloat16 ones, added up in float32; ``config.precision = 'tf32'`` changes nothing.
"""
from minichain.gpu.grids import whole_warps
from minichain.gpu.launcher import BLOCK, kernel, storage
from minichain.gpu.residency import blocks_at_once, multiprocessors

SIDE = 4        # rows and columns of a tile of sums
AT_ONCE = 16    # depth of the product that neighbours read at once, forward
AT_ONCE_BACK = 64
NUMBERS = 16    # that one launch writes


def write_starts(steps, starts, barrier):
    """Tell kernels where steps begin, without an array of the host.

    Args:
        steps: (first row, end row, number of rows) of every step.
        starts: filled: the first row of each step, then the end; (steps + 1,), int32.
        barrier: filled: (1,), uint32, for one launch after another.
    """
    numbers = [*(start for start, _, _ in steps), steps[-1][1]]
    for first in range(0, len(numbers), NUMBERS):
        some = numbers[first:first + NUMBERS]
        kernel('persistent_lstm_starts')(
            starts, barrier, first, len(some), *some, *[0] * (NUMBERS - len(some)),
            grid=1, block=32)


def persistent_lstm_forward(x, W, h0, c0, gates, cells, hs, h, c, starts, barrier, units):
    """Run all steps:  gates = x_t + h_{t-1} W^T,  then what ``lstm_forward`` of lstm.py does.

    Args:
        x: inputs of the gates, (rows, 4H), float32.
        W: recurrent weights, (4H, H), dtype of ``gates``.
        h0, c0: initial states, (N, H), dtype of ``gates`` and float32.
        gates: filled with the values of the gates, (rows, 4H), float32 or bfloat16.
        cells, hs: filled; (rows, H), float32 and dtype of ``gates``.
        h, c: filled with the last states of the sequences that have a step, (N, H), float32.
        starts, barrier: of :func:`write_starts`.
        units: of a block, as :func:`forward_units` says; all blocks must be there at once.
    """
    rows, width = h0.shape
    kernel(f'persistent_lstm_forward_{storage(gates)}')(
        x, W, h0, c0, gates, cells, hs, h, c, starts, len(starts) - 1, width, units, barrier,
        grid=-(-width // units), block=whole_warps(whole_tiles(rows) * units, BLOCK),
        shared=forward_bytes(width, units), cooperative=True)


def persistent_lstm_backward(gates, cells, c0, hs, h0, W, ghs, gh_last, gc_last, gx, previous, gc,
                             starts, barrier, units):
    """Go back through all steps:  gh_t = ghs_t + gx_{t+1} W,  then what ``lstm_backward`` does.

    Args:
        gates, cells, hs: of the way forward. c0, h0, W: as they were given to it.
        ghs: gradients of the outputs, (rows, H), float32.
        gh_last, gc_last: gradients of the last states, (N, H), float32.
        gx: filled with gradients of the inputs of gates, (rows, 4H), dtype of ``gates``; it begins
            at a multiple of 16 bytes, as all memory that is got for an array.
        previous: filled with the output before that of the same place in ``hs``.
        gc: filled with gradients of c0, of the sequences that have a step, (N, H), float32.
        starts, barrier: of :func:`write_starts`.
        units: of a block, as :func:`backward_units` says.
    """
    rows, width = h0.shape
    kernel(f'persistent_lstm_backward_{storage(gates)}')(
        gates, cells, c0, hs, h0, W, ghs, gh_last, gc_last, gx, previous, gc, starts,
        len(starts) - 1, width, units, barrier, grid=-(-width // units),
        block=whole_warps(whole_tiles(rows) * whole_tiles(units), BLOCK),
        shared=backward_bytes(width, units), cooperative=True)


def whole_tiles(count):
    """Return how many rows or columns the tiles for so many have."""
    return -(-count // SIDE) * SIDE


def forward_bytes(width, units):
    """Return how much shared memory a block needs for the weights of its units: float32, four
    gates of each, rows of W of whole stretches."""
    return 4 * SIDE * units * -(-width // AT_ONCE) * AT_ONCE


def backward_bytes(width, units):
    """Return the same for the way back: columns of W."""
    return 4 * whole_tiles(units) * -(-4 * width // AT_ONCE_BACK) * AT_ONCE_BACK


def forward_units(width, like):
    """Return how many units each block is to own, so that there is a block on each multiprocessor.

    Args:
        width: H.
        like: array of the dtype of the gates, on their device.
    Returns:
        int; None if so many weights find no place in a block's shared memory, or not all blocks
        are there at once: then the steps have to be launched one by one.
    """
    units = -(-width // multiprocessors(like))
    return fitting('persistent_lstm_forward', width, units, forward_bytes(width, units), like)


def backward_units(width, like):
    """Return the same for the way back, where a tile is of four units."""
    units = whole_tiles(-(-width // multiprocessors(like)))
    return fitting('persistent_lstm_backward', width, units, backward_bytes(width, units), like)


def fitting(name, width, units, shared, like):
    """Return ``units``, or None if there is no room for the blocks of all units."""
    at_once = blocks_at_once(f'{name}_{storage(like)}', BLOCK, shared, like)
    return units if at_once * units >= width else None

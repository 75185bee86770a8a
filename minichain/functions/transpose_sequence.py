"""From one array a sequence to one array a time step."""
import numpy as np

from minichain.errors import InvalidType
from minichain.functions.concat import concat
from minichain.functions.permutate import permutate
from minichain.functions.split import split_axis


def transpose_sequence(xs):
    """Exchange sequences and time: element i of result t is element t of sequence i.

    Args:
        xs: N Variables or arrays, (length_i, ...), longest first.
    Returns:
        tuple of Variables, one a time step: (number of sequences longer than t, ...).
    Raises:
        InvalidType: lengths rise, or the shapes behind them differ.
    """
    xs = tuple(xs)
    lengths = np.array([len(x) for x in xs], int)
    if (np.diff(lengths) > 0).any():
        raise InvalidType('transpose_sequence: sequences from the longest to the shortest '
                          f'expected, got lengths {lengths.tolist()}')
    if lengths.sum() == 0:
        return ()
    # All sequences behind one another; then sorted by time, stably: by sequence within a time.
    times = np.concatenate([np.arange(n) for n in lengths])
    counts = np.bincount(times)
    y = permutate(concat(xs, 0), np.argsort(times, kind='stable'))
    return split_axis(y, np.cumsum(counts)[:-1], 0)

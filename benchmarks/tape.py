"""What does the tape cost? Small arrays, so that the arithmetic itself costs next to nothing."""
import statistics

import numpy as np

from benchmarks.frame import Table, compare, find_peer, missing, time_in_turns, verdict
from minichain import Variable

OPERATIONS = 1000
BAR, STRETCH = 1.25, .8


def chain(x, y):
    """Apply 1,000 operations, y = y * x and y = y + x in turns."""
    for _ in range(OPERATIONS // 2):
        y = y * x
        y = y + x
    return y


def ours():
    """Forward and backward on minichain."""
    x = Variable(np.full((4, 4), .5, 'float32'))
    y = chain(x, x)
    y.grad = np.ones((4, 4), 'float32')
    y.backward()
    return x.grad


def with_torch(torch):
    """Return the same on eager PyTorch."""
    def function():
        x = torch.full((4, 4), .5, requires_grad=True)
        y = chain(x, x)
        y.backward(torch.ones(4, 4))
        return x.grad.numpy()
    return function


def run(options):
    """Return the Table."""
    table = Table('Forward + backward of 1,000 operations on 4 x 4 float32 arrays, all checks on: '
                  'CPU time',
                  ['library', 'us/operation, median', 'least', 'ratio, median', 'least', 'bar',
                   'stretch'])
    torch = find_peer('torch')
    functions = {'minichain': ours}
    if torch is not None:
        functions['torch'] = with_torch(torch)
        np.testing.assert_allclose(ours(), functions['torch'](), rtol=1e-4)
    seconds = time_in_turns(functions, rounds=3 if options.quick else 41)
    found = {name: (statistics.median(times) / OPERATIONS * 1e6, min(times) / OPERATIONS * 1e6)
             for name, times in seconds.items()}
    if torch is None:
        cell, note = missing('torch')
        table.add('minichain', *found['minichain'], cell, cell, f'{BAR:g}', f'{STRETCH:g}')
        table.add('torch', cell, cell, None, None, None, None)
        table.notes.append(note)
    else:
        ratio, least = compare(seconds['minichain'], seconds['torch'])
        table.add('minichain', *found['minichain'], ratio, least, verdict(ratio, BAR),
                  verdict(ratio, STRETCH))
        table.add(f'torch {torch.__version__}', *found['torch'], None, None, None, None)
    return table

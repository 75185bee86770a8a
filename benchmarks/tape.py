"""What does the tape cost? Small arrays, so that the arithmetic itself costs next to nothing."""
import numpy as np

from benchmarks import remote
from benchmarks.comparison import (
    CHAINER,
    TORCH,
    Computation,
    add_row,
    explain_missing,
    make_table,
    remotes,
)
from benchmarks.frame import find_peer
from benchmarks.variants import PLAIN
from minichain import Variable

OPERATIONS = 1000
BARS = {TORCH: (1.25, .8), CHAINER: (.5,)}


def chain(x, y):
    """Apply 1,000 operations, y = y * x and y = y + x in turns."""
    for _ in range(OPERATIONS // 2):
        y = y * x
        y = y + x
    return y


def ours(x):
    """Forward and backward on minichain of an array, (4, 4)."""
    x = Variable(x)
    y = chain(x, x)
    y.grad = x.xp.ones((4, 4), x.dtype)
    y.backward()
    return x.grad


def with_torch(torch, place='cpu'):
    """Return the same on eager PyTorch."""

    def function():
        x = torch.full((4, 4), .5, requires_grad=True, device=place)
        y = chain(x, x)
        y.backward(torch.ones(4, 4, device=place))
        return x.grad
    return function


def run(options):
    """Return the Table."""
    peers = [TORCH, CHAINER]
    table = make_table('Forward + backward of 1,000 operations on 4 x 4 arrays, all checks on: '
                       'milliseconds are microseconds an operation', peers)
    torch = find_peer('torch')
    functions = {PLAIN: lambda: ours(np.full((4, 4), .5, 'float32'))}
    if torch is not None:
        functions[TORCH] = with_torch(torch)
    with remotes() as opened:
        functions.update(remote.chainer_function(
            table, options, {'kind': 'tape', 'operations': OPERATIONS}, {'x': np.zeros(1)},
            opened))
        add_row(table, peers, Computation(
            'y = y * x, y = y + x', '4x4', functions, BARS, OPERATIONS, 'operations', rounds=41),
            options)
    explain_missing(table, peers, options)
    return table

"""How many blocks of how many threads, for the two loops that most kernels are made of."""
from minichain.gpu.launcher import BLOCK, blocks_for


def whole_warps(count, most=BLOCK):
    """Return the fewest threads in whole warps for ``count`` things, ``most`` at most."""
    return max(32, min(most, -(-count // 32) * 32))


def flat(count, width=1):
    """Return grid and block for one loop over ``count`` elements, ``width`` a thread at a time."""
    threads = -(-count // width)
    block = whole_warps(threads)
    return {'grid': blocks_for(threads, block), 'block': block}


def planes(count, size):
    """Return grid and block for ``count`` planes (y) of ``size`` elements (x).

    Where a plane is smaller than a block, a block takes several planes at once.
    """
    across = whole_warps(size)
    down = max(1, min(BLOCK // across, count))
    return {'grid': (blocks_for(size, across), min(-(-count // down), 65535)),
            'block': (across, down)}

"""Sizes of grids, and that kernels are right with any: each loop goes on where its grid ends."""
from unittest import mock

import pytest

from minichain.gpu.grids import flat, planes, whole_warps
from minichain.gpu.launcher import Kernel
from minichain.gpu.simulator.builder import missing
from tests.gpu import registry

ENTRIES = registry.entries()
# What these write, or whom they wait for, depends on the grid.
OWN_GRID = {'gradient_squares', *(
    f'batch_norm_{what}_{dtype}' for what in ('parts', 'gradient_parts')
    for dtype in ('float32', 'bfloat16'))}
launch = Kernel.__call__


@pytest.mark.parametrize('count', [0, 1, 31, 32, 33, 255, 256, 257, 10 ** 6, 2 ** 33])
def test_threads_come_in_whole_warps_and_suffice_for_a_grid_that_is_not_the_largest(count):
    for size, threads in ((flat(count), 1), (flat(count, 4), 4)):
        assert size['block'] % 32 == 0 and size['block'] <= 256
        assert size['grid'] * size['block'] * threads >= count or size['grid'] == 4096
    assert whole_warps(count, 64) in (32, 64)


@pytest.mark.parametrize('count, size', [(1, 1), (70000, 3), (5, 49), (3, 10 ** 6), (0, 9),
                                         (9, 0)])
def test_a_block_takes_several_small_planes(count, size):
    (across, down), (columns, rows) = planes(count, size)['block'], planes(count, size)['grid']
    assert across * down <= 256 and across % 32 == 0 and rows <= 65535
    assert columns * across >= size and rows * down >= count
    assert size != 49 or (across, down) == (64, 4)


def with_one_block(self, *arguments, grid, **how):
    own = self.name in OWN_GRID or how.get('cooperative')
    size = grid if isinstance(grid, tuple) else (grid,)
    return launch(self, *arguments, grid=grid if own else tuple(min(1, n) for n in size), **how)


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.parametrize('name', sorted(set(ENTRIES) - OWN_GRID))
def test_one_block_does_the_work_of_all(name):
    with mock.patch.object(Kernel, '__call__', with_one_block):
        for size in ENTRIES[name][0].sizes:
            registry.check(name, size)
